"""A run from its settings to its report: prepare, fit both stages, generate, score; what is done is not done again."""

from pathlib import Path
from typing import Any

import numpy as np

from datamodules.clip import Clip
from experiments import provenance, tracking
from experiments.fit import fit_audio2pose, fit_memory_gan
from experiments.generate import speak, speech_output
from experiments.launch import is_first_process
from experiments.person import load_talker, prepare, prepared_by_first_process, scored_part
from experiments.photo import run_photo
from experiments.report import write_report
from experiments.rows import is_scored, score_rows, write_rows
from face.coefficients import get_pose
from media.whole_file import whole_file
from synthesis.talker import Talker

HELDOUT_VIDEO = "heldout.mp4"


def run_stages(settings: dict[str, Any], folder: Path) -> None:
    """Take a run to its end, from wherever it was left.

    Args:
        settings: Resolved settings of the run.
        folder: The run folder.

    Raises:
        InputError: If the video, the sound or a setting cannot be used.
    """
    run = tracking.start_wandb(settings, folder)
    if settings["data"]["kind"] == "photo":
        run_photo(settings, folder, run)
        return
    if settings["data"]["kind"] == "corpus":
        from experiments.general import run_general  # imports what only corpora need

        run_general(settings, folder, run)
        return
    if settings["data"]["kind"] == "test_clips":
        from experiments.general_clips import run_test_clips

        run_test_clips(settings, folder)
        tracking.log_results(run, folder)
        return
    if is_first_process():
        with provenance.stage(folder, "prepare"):
            clip = prepare(settings, folder)
            provenance.record(folder, video_sha256=clip.source_sha256)
    else:
        clip = prepared_by_first_process(folder)
    with provenance.stage(folder, "fit audio2pose"):
        fit_audio2pose(settings, folder, clip, run)
    with provenance.stage(folder, "fit memory_gan"):
        fit_memory_gan(settings, folder, clip, run)
    if is_first_process():
        _generate_and_score(settings, folder, clip)
        tracking.log_results(run, folder)


def _generate_and_score(settings: dict[str, Any], folder: Path, clip: Clip) -> None:
    talker = load_talker(settings, folder, clip)
    part = scored_part(clip, settings)
    videos, scores, poses = folder / "videos", folder / "scores.csv", folder / "poses.npz"
    heldout = videos / HELDOUT_VIDEO
    with provenance.stage(folder, "generate"):
        write_rows(talker, part, videos, progress=True)
        if not heldout.exists():
            speak(talker, clip.sound(part), heldout)
        if not poses.exists():
            write_poses(talker, part, poses)
    if not is_scored(videos, scores):  # it is, where a finished run speaks once more
        with provenance.stage(folder, "score"):
            score_rows(videos, scores, progress=True)
    if settings["generate"]["audio"]:
        with provenance.stage(folder, "speak"):
            speech_video(talker, settings, folder)
    write_report(folder)


def speech_video(talker: Talker, settings: dict[str, Any], folder: Path) -> None:
    """The video that `generate.audio` asks for."""
    output = speech_output(settings, folder)
    if settings["generate"]["output"] or not output.exists():
        speak(talker, Path(settings["generate"]["audio"]), output)


def write_poses(talker: Talker, part: slice, path: Path) -> None:
    """Head angles in degrees of the held-out part: true, predicted from its sound, and fitted to the background."""
    motion = talker.listen(talker.clip.sound(part))
    angles = {
        "true_angles": get_pose(talker.clip.coefficients[part])[:, :3],
        "predicted_angles": motion.pose[:, :3],
        "fitted_angles": get_pose(talker.perform(motion).coefficients)[:, :3],
    }
    with whole_file(path) as temporary:
        np.savez(temporary, **{name: np.degrees(values) for name, values in angles.items()})
