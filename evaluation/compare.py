"""One generated video against the real one: every metric, one row."""

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from evaluation.av_offset import offset
from evaluation.beat_alignment import beat_alignment
from evaluation.columns import COLUMNS
from evaluation.face_crop import NOTE, is_taken_as_crop, require_same_crop
from evaluation.head_motion import head_motion_ratio
from evaluation.head_pose import BIN_WIDTH, head_pose_ceiling, head_pose_similarity, raw_and_centred
from evaluation.landmark_distance import landmark_distance
from evaluation.lip_sync import mouth_correlation
from evaluation.measure import SIZE, Measurement, Sound, measure, track_file
from evaluation.motion_spectra import motion_spectra_distance
from evaluation.origin import code_commit, run_of
from evaluation.picture_scores import arcface_encoder, picture_scores
from evaluation.score_rows import Row
from media.ahead import ahead
from media.digest import sha256
from media.errors import InputError
from media.threads import one_thread
from media.video import FPS

_KEPT = 16  # measurements of references in memory, about 6 kB a frame each
_HASH_DIGITS = 12

_log = logging.getLogger(__name__)
_references: dict[str, Measurement] = {}  # sha256 -> measurement, so that a reference is tracked once per process


@dataclass(frozen=True)
class ScoreSettings:
    """What can be chosen about the numbers of a row.

    Attributes:
        bin_width: Of HS, degrees.
        normaliser: Of HS: "pooled", "full" or degrees, see `evaluation.head_pose`.
        arcface: ONNX file of an ArcFace network, for `csim`; None leaves that column out.
    """

    bin_width: float = BIN_WIDTH
    normaliser: str | float = "pooled"
    arcface: Path | None = None

    @property
    def head_pose(self) -> dict[str, Any]:
        """Keywords of the functions of `evaluation.head_pose`."""
        return {"bin_width": self.bin_width, "normaliser": self.normaliser}


DEFAULTS = ScoreSettings()


def score_pair(
    reference: str | Path,
    generated: str | Path,
    name: str | None = None,
    progress: bool = False,
    settings: ScoreSettings = DEFAULTS,
) -> Row:
    """Score one generated video against the real one, frame k against frame k, at 25 frames/s.

    The longer one is cut. Frames in which the face was lost in either file count for the pictures but not for
    landmarks, poses and mouths. Two files are tracked side by side where torch may use more than one thread.

    Args:
        reference: The real video.
        generated: The video to score: of the same view, in any size, or already cropped to 256 x 256 px.
        name: Of the row; by default the generated file's.
        progress: Show progress bars.
        settings: What can be chosen.

    Returns:
        The columns of `evaluation.columns`, in their order; nan where something cannot be measured, such as beats
        without sound.

    Raises:
        InputError: A file cannot be read or has no face, or the two do not show the same view or the same crop.
    """
    name = Path(generated).stem if name is None else name
    return _compared(*_measured(reference, generated, progress), name, progress, settings)


def score_each(
    reference: str | Path, generated: Sequence[Path], settings: ScoreSettings = DEFAULTS, progress: bool = False
) -> Iterator[Row]:
    """Score several videos against one real one, each as `score_pair` does; one is tracked while another is compared.

    Args:
        reference: The real video.
        generated: The videos to score.
        settings: What can be chosen.
        progress: Show a progress bar.

    Yields:
        The row of each video, named after its file.

    Raises:
        InputError: As `score_pair`.
    """
    truth = measured_reference(reference)
    tracked = ahead(map(track_file, generated), 1)
    bar = tqdm(tracked, "scoring", len(generated), unit="clip", disable=not progress)
    for path, found in zip(generated, bar, strict=True):
        yield _compared(truth, measure(found, like=truth), path.stem, False, settings)


def _compared(truth: Measurement, made: Measurement, name: str, progress: bool, settings: ScoreSettings) -> Row:
    frames = min(len(truth), len(made))
    if len(truth) != len(made):
        _log.warning(
            f"{made.path}: {len(made)} frames ({len(made) / FPS:.2f} s), {truth.path}: {len(truth)} "
            f"({len(truth) / FPS:.2f} s); the first {frames} of both are compared"
        )
    seen = ~(truth.bridged[:frames] | made.bridged[:frames])
    if not seen.any():
        raise InputError(f"{made.path}: no frame shows a face both here and in {truth.path}; nothing can be compared")
    require_same_crop(truth, made, seen)
    encoder = arcface_encoder(settings.arcface) if settings.arcface else None
    with one_thread() as workers:  # frames side by side keep the other cores busy
        scores = {
            "name": name,
            "frames": frames,
            **picture_scores(truth, made, seen, encoder, workers, f"comparing {name}" if progress else None),
            **_face_scores(truth, made, seen, settings),
            **_sound_scores(truth, made, frames),
            "lost_frames": int((~seen).sum()),
            "notes": _notes(truth, made),
            "run": run_of(made.path),
            "data": f"{truth.sha256[:_HASH_DIGITS]}:{made.sha256[:_HASH_DIGITS]}",
            "commit": code_commit(),
        }
    return {column: scores[column] for column in COLUMNS if column in scores}


def measured_reference(path: str | Path, progress: bool = False) -> Measurement:
    """The measurement of a reference, from memory if it is one of the last that were measured.

    Raises:
        InputError: As `measure`.
    """
    key = sha256(path)
    return _references[key] if key in _references else _kept(measure(path, progress=progress))


def _measured(reference: str | Path, generated: str | Path, progress: bool) -> tuple[Measurement, Measurement]:
    """Both files; one that is the other is measured once."""
    if sha256(reference) == sha256(generated):
        truth = measured_reference(reference, progress)
        return truth, truth
    if sha256(reference) in _references or torch.get_num_threads() == 1:
        truth = measured_reference(reference, progress)
        return truth, measure(generated, like=truth, progress=progress)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(track_file, generated)
        truth = measured_reference(reference, progress)
        return truth, measure(waiting.result(), like=truth)


def _kept(measurement: Measurement) -> Measurement:
    while len(_references) >= _KEPT:
        del _references[next(iter(_references))]
    _references[measurement.sha256] = measurement
    return measurement


def _face_scores(truth: Measurement, made: Measurement, seen: np.ndarray, settings: ScoreSettings) -> dict[str, float]:
    """Metrics of landmarks, poses and mouths over the frames that show a face in both files."""

    def both(values: str, only: np.ndarray = seen) -> tuple[torch.Tensor, torch.Tensor]:
        ours, real = (torch.from_numpy(getattr(side, values)[: len(seen)][only]) for side in (made, truth))
        return ours, real

    points, angles = both("key_points"), both("angles")
    # spectra need equal steps in time: frames without a face keep their interpolated angles
    moving = both("angles", np.ones_like(seen))
    scores = {
        "lmd_iod": landmark_distance(*points).mean(),
        "lmd_px128": landmark_distance(*points, unit="px128", size=SIZE).mean(),
        "lmd_face_iod": landmark_distance(*points, region="face").mean(),
        "lmd_face_px128": landmark_distance(*points, unit="px128", size=SIZE, region="face").mean(),
        **raw_and_centred(head_pose_similarity, *angles, **settings.head_pose),
        **_ceiling(truth, settings),
        "head_motion_ratio": head_motion_ratio(*angles),
        "velocity_distance": motion_spectra_distance(*moving, of="velocity"),
        "acceleration_distance": motion_spectra_distance(*moving, of="acceleration"),
        "mouth_correlation": mouth_correlation(*both("mouth_opening")),
    }
    return {key: float(value) for key, value in scores.items()}


def _ceiling(truth: Measurement, settings: ScoreSettings) -> dict[str, Any]:
    angles = torch.from_numpy(truth.angles[~truth.bridged])
    if len(angles) < 2:
        return {"hs_ceiling": math.nan}
    return {"hs_ceiling": head_pose_ceiling(angles, **settings.head_pose)["hs"]}


def _sound_scores(truth: Measurement, made: Measurement, frames: int) -> dict[str, float]:
    """Movement against the sound of the generated file, or of the reference if that has none."""
    scores = dict.fromkeys(("beat_align", "beat_align_chance", "av_offset", "av_confidence"), math.nan)
    sound = _sound_of(truth, made)
    if sound is None:
        return scores
    beats = torch.from_numpy(sound.beats[sound.beats < frames / FPS])
    aligned = beat_alignment(torch.from_numpy(made.angles[:frames]), beats)
    scores |= {key: value.item() for key, value in aligned.items()}
    seen, heard = (torch.from_numpy(side[:frames]) for side in (made.mouth_opening, sound.mouth_opening))
    late, confidence = offset(seen, heard)
    return scores | {"av_offset": late.item(), "av_confidence": confidence.item()}


def _sound_of(truth: Measurement, made: Measurement) -> Sound | None:
    return made.sound or truth.sound


def _notes(truth: Measurement, made: Measurement) -> str:
    """What was done to the two files before they were compared."""
    notes = []
    sides = [("reference", truth)] if made is truth else [("reference", truth), ("generated", made)]
    for side, measured in sides:
        if abs(measured.fps - FPS) > 0.005:
            notes.append(f"{side} {measured.fps:.4g} -> {FPS} frames/s")
        if (measured.width, measured.height) != (SIZE, SIZE):
            size = f"{measured.width}x{measured.height} px"
            notes.append(f"{side} {size}: square of {measured.crop.side:.4g} px resized to {SIZE}")
    if is_taken_as_crop(truth, made):
        notes.append(NOTE)
    frames = min(len(truth), len(made))
    for side, measured in sides:
        if len(measured) > frames:
            notes.append(f"first {frames} of {len(measured)} {side} frames")
    if made.sound is None:
        notes.append("sound of the reference" if truth.sound else "no sound")
    return "; ".join(notes)
