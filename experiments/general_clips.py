"""Test clips of a corpus by general models (paper, Table 2): reference and rows as folders of videos, then scores.

Protocol ours, the paper gives none: of each clip one frame is known. Identity, texture, light and albedo come from it,
expression from the sound, and the pose and what is behind the face from the true frame. A second row takes the pose
from the sound too, anchored at the known frame. Nothing is learned from the clip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datamodules.clip import Clip
from datamodules.manifest import ManifestEntry, read_manifest
from datamodules.open_clip import open_clip, open_sound
from datamodules.single_frame import known_from_one_frame, nearest_seen_frame
from evaluation.run_files import IGNORED, flatten
from evaluation.score import TRUTH, score_folders
from evaluation.score_rows import mean_row, write_csv
from evaluation.tables.run_folder import CLIPS, PARENTS
from experiments import provenance
from experiments.callbacks import last_checkpoint, resolve_precision
from experiments.corpus import prepare
from experiments.person import require_same_face
from experiments.report import write_report
from experiments.rows import REFERENCE, keep_measured, write_crops, write_refined
from experiments.settings import load_settings
from face.albedo import ALBEDOS
from face.coefficients import EXPRESSION, get_pose, with_pose
from face.models.registry import load_face_model
from face.rendering import Renderer
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.audio import FRAME_SAMPLES
from media.digest import sha256_of_values
from media.errors import InputError
from synthesis.eyes import EyeFollower
from synthesis.talker import Talker

STAGES = ("audio2pose", "memory_gan")
ROWS = ("true_pose", "predicted_pose", "static", "other_sound")


@dataclass(frozen=True)
class GeneralModels:
    """What every clip is made with.

    Attributes:
        audio2pose: General first stage.
        memory_gan: General second stage.
        bf16: Whether the second stage computes in bfloat16.
    """

    audio2pose: Audio2PoseLSTM
    memory_gan: MemoryGAN
    bf16: bool


def run_test_clips(settings: dict[str, Any], folder: Path) -> None:
    """Generate, score and report test clips.

    Args:
        settings: Resolved settings of the run.
        folder: The run folder.

    Raises:
        InputError: If the corpus, a clip or a general run cannot be used.
    """
    parents = general_parents(settings)
    models = load_general_models(settings, parents)
    with provenance.stage(folder, "prepare"):
        prepared = prepare(settings)
    entries = chosen_entries(read_manifest(prepared), settings["data"]["split"], settings["data"]["clips"])
    videos = folder / "videos"
    with provenance.stage(folder, "generate"):
        for index, entry in enumerate(tqdm(entries, desc="test clips", unit="clip")):
            if _is_written(videos, entry.name):
                continue
            clip, other = (open_clip(prepared / one.clip, one.frames) for one in (entry, entries[index - 1]))
            write_clip_rows(settings, models, clip, entry.name, open_sound(other), videos)
    with provenance.stage(folder, "score"):
        score_test_clips(videos, folder, parents)
    write_report(folder)


def general_parents(settings: dict[str, Any]) -> dict[str, Path]:
    """The run of each stage whose weights the settings name.

    Raises:
        InputError: If a run is missing, has not trained its stage, is not of a corpus, or used another version of the
            face model.
    """
    parents = {}
    for stage in STAGES:
        named = settings[f"init_from_{stage}"] or settings["init_from"]
        parent = Path(named).expanduser() if named else None
        wanted = f"give a finished run of experiment={stage}_general"
        if parent is None or last_checkpoint(parent, stage) is None:
            raise InputError(f"init_from_{stage}={named}: {wanted}")
        kind = load_settings(parent)["data"]["kind"]
        if kind != "corpus":
            raise InputError(
                f"init_from_{stage}={named}: has data.kind={kind}, and its weights are not general; {wanted}"
            )
        require_same_face(parent, settings)
        parents[stage] = parent
    return parents


def load_general_models(settings: dict[str, Any], parents: Mapping[str, Path]) -> GeneralModels:
    """Both stages.

    Args:
        settings: Of the run.
        parents: From `general_parents`.
    """
    paths = [str(last_checkpoint(parents[stage], stage)) for stage in STAGES]
    accelerator = settings["trainer"]["accelerator"]
    device = "cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu"
    bf16 = resolve_precision(settings["trainer"]["precision"], accelerator).startswith("bf16")
    return GeneralModels(
        Audio2PoseLSTM.load_from_checkpoint(paths[0], map_location=device),
        MemoryGAN.load_from_checkpoint(paths[1], map_location=device),
        bf16,
    )


def settings_hash(run: Path) -> str:
    """Ten hexadecimal digits of a run's settings that can change its result, less the seed: equal for repetitions."""
    settings = flatten(load_settings(run))
    counted = {k: v for k, v in settings.items() if k != "seed" and not any(fnmatch(k, pattern) for pattern in IGNORED)}
    return sha256_of_values(counted)[:10]


def chosen_entries(entries: list[ManifestEntry], split: str, count: int) -> list[ManifestEntry]:
    """Some clips of a split, evenly spaced in the order of names.

    Args:
        entries: Of the whole corpus.
        split: Which part.
        count: How many; 0 or more than there are: all.

    Raises:
        InputError: If the split has no clip.
    """
    there = [entry for entry in entries if entry.split == split]
    if not there:
        raise InputError(f"data.split={split}: the corpus has no clip of it; choose another split")
    count = min(count, len(there)) or len(there)
    return [there[k * len(there) // count] for k in range(count)]


def write_clip_rows(
    settings: dict[str, Any], models: GeneralModels, clip: Clip, name: str, other_sound: np.ndarray, videos: Path
) -> None:
    """Write the reference and the rows of one clip.

    Args:
        settings: Of the run.
        models: General.
        clip: Prepared.
        name: Of the clip, of which the videos get theirs.
        other_sound: Of another clip, for the row that should be worse.
        videos: Gets `reference/NAME.mp4` and `rows/ROW/NAME.mp4`.
    """
    face = settings["face"]
    model = load_face_model(face["model"], face["model_file"])
    frame = nearest_seen_frame(clip, settings["data"]["frame"])
    clip = known_from_one_frame(clip, frame, model)
    known = slice(frame, frame + 1)
    renderer = Renderer(model, face["rasterizer"], clip.crop.size)
    albedo = ALBEDOS[face["albedo"]](clip.frames(known), torch.from_numpy(clip.coefficients[known]), renderer)
    talker = Talker(clip, renderer, albedo, models.audio2pose, models.memory_gan, bf16=models.bf16)
    whole = slice(0, len(clip))
    write_crops(videos / REFERENCE / f"{name}.mp4", clip, whole)
    for row, chi in row_coefficients(talker, frame, other_sound):
        write_refined(
            videos / "rows" / row / f"{name}.mp4", talker.refine(chi, talker.true_background(whole)), len(clip)
        )


def row_coefficients(talker: Talker, frame: int, other_sound: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The face of every row.

    Args:
        talker: With a clip of which one frame is known.
        frame: That frame.
        other_sound: Samples of another clip.

    Yields:
        Row name and (T, 257) χ. The lids follow the eyes of the true frame, which lies behind the face.
    """
    truth = talker.clip.coefficients
    heard = talker.listen(talker.clip.sound(slice(0, len(truth))))
    foreign = np.resize(other_sound, FRAME_SAMPLES * len(truth))
    follow_eyes = EyeFollower(talker.renderer.model)

    def spoken(expression: np.ndarray) -> np.ndarray:
        chi = truth.copy()
        chi[:, EXPRESSION] = follow_eyes(expression, truth[:, EXPRESSION])
        return chi

    speaking = spoken(heard.expression)
    yield "true_pose", speaking
    yield "predicted_pose", with_pose(speaking, heard.pose - heard.pose[frame] + get_pose(truth)[frame])
    yield "static", spoken(np.broadcast_to(truth[frame, EXPRESSION], heard.expression.shape))
    yield "other_sound", spoken(talker.listen(foreign).expression)


def score_test_clips(videos: Path, folder: Path, parents: Mapping[str, Path]) -> None:
    """Score what was written: `clips.csv` with a line per video, `scores.csv` with the means of the rows.

    Args:
        videos: Folder of `reference` and `rows`.
        folder: The run folder; its `scored.json` says how many clips were scored, and of which general models.
        parents: From `general_parents`.
    """
    scores = score_folders(videos / REFERENCE, videos / "rows", progress=True, finished=folder / "clips.partial.jsonl")
    write_csv(scores.rows, folder / CLIPS)
    means = [mean_row([row for row in scores.rows if row["name"].startswith(f"{name}/")], name) for name in ROWS]
    write_csv([*means, {**scores.truth, "name": TRUTH}], folder / "scores.csv")
    hashes = {stage: settings_hash(parent) for stage, parent in parents.items()}
    keep_measured(folder, clips=len(scores.rows) // len(ROWS), **{PARENTS: hashes})


def _is_written(videos: Path, name: str) -> bool:
    return all((videos / "rows" / row / f"{name}.mp4").is_file() for row in ROWS)
