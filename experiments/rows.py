"""The evaluation rows of a run as folders of videos, scored by `evaluation` like anybody else's (SPEC, rows).

`reenacted` videos have the true pose, eyelids and background and a row's expression; `generated` videos have the
predicted pose and the matched background. The rows differ in the expression alone.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datamodules.clip import Clip
from evaluation.compare import measured_reference, score_each
from evaluation.measured_as import measured_as
from evaluation.score import score_pair
from evaluation.score_rows import Row, mean_row, write_csv
from evaluation.tables.run_folder import REFERENCE_ANGLES, SCORED
from face.coefficients import EXPRESSION
from media.video import VideoWriter, stream_frames
from media.whole_file import whole_file
from synthesis.eyes import EyeFollower
from synthesis.talker import Motion, Talker

REFERENCE = "reference"
SHUFFLES = (1, 2, 3)  # quarters of its length by which the sound is rolled (SPEC)
TRUE = "true_coefficients"  # the row of the true movement: it has no generated video
ROWS = ("audio", "static", *(f"shuffled_{quarter}" for quarter in SHUFFLES), TRUE)
REENACTED_COLUMNS = (
    *("psnr", "psnr_face", "ssim", "ssim_face", "ssim_gaussian"),
    *("lmd_iod", "lmd_px128", "lmd_face_iod", "mouth_correlation", "lost_frames"),
)
GENERATED_COLUMNS = (
    *("hs", "hs_centred", "hs_ceiling", "w1_pitch", "w1_yaw", "w1_roll"),
    *("head_motion_ratio", "velocity_distance", "acceleration_distance", "beat_align", "beat_align_chance"),
    *("av_offset", "av_confidence", "lost_frames_generated"),
)


def row_expressions(talker: Talker, samples: np.ndarray) -> dict[str, Motion]:
    """The motion of every row for one sound.

    Args:
        talker: The trained person.
        samples: Held-out sound.

    Returns:
        Row name to motion; all have the pose that the sound gives, and the row's expression.
    """
    heard = talker.listen(samples)
    training = talker.clip.coefficients[talker.clip.training, EXPRESSION]
    still = np.broadcast_to(training.mean(0), heard.expression.shape).astype(np.float32)
    motions = {"audio": heard, "static": replace(heard, expression=still)}
    for quarter in SHUFFLES:
        rolled = talker.listen(np.roll(samples, quarter * len(samples) // 4))
        motions[f"shuffled_{quarter}"] = replace(heard, expression=rolled.expression)
    return motions


def row_videos(folder: Path, row: str) -> list[Path]:
    """The videos of a row, in the order in which they are written.

    Args:
        folder: Of the reference and the rows.
        row: One of `ROWS`.
    """
    kinds = ("reenacted",) if row == TRUE else ("reenacted", "generated")
    return [folder / row / f"{kind}.mp4" for kind in kinds]


def write_rows(talker: Talker, part: slice, folder: Path, progress: bool = False) -> None:
    """Write the reference and every row's two videos; what is there already is not made again.

    Args:
        talker: The trained person.
        part: Frames of the clip, with their sound.
        folder: Gets `reference.mp4` and `<row>/{reenacted,generated}.mp4`.
        progress: Show progress bars.
    """
    clip = talker.clip
    samples = clip.sound(part)
    total = part.stop - part.start
    # with its sound, so that its own beats and its own offset stand in the row of the truth
    _write_once(folder / f"{REFERENCE}.mp4", _true_crops(clip, part), total, samples, lossless=True, progress=progress)
    missing = [row for row in ROWS if not all(path.exists() for path in row_videos(folder, row))]
    if not missing:
        return
    motions = row_expressions(talker, samples)
    truth, follow_eyes = clip.coefficients[part], EyeFollower(talker.renderer.model)
    motions[TRUE] = replace(motions["audio"], expression=truth[:, EXPRESSION])
    for name in missing:
        motion, chi = motions[name], truth.copy()
        # The eyes are those of the frame behind the face, so the lids are too, as in every video that is generated.
        chi[:, EXPRESSION] = follow_eyes(motion.expression, truth[:, EXPRESSION])
        reenacted = _pictures(talker.refine(chi, talker.true_background(part)))
        _write_once(folder / name / "reenacted.mp4", reenacted, total, None, lossless=True, progress=progress)
        if name == TRUE:
            continue  # the pose of the other rows belongs to the sound, not to the truth
        performance = talker.perform(motion)
        background = talker.training_background(performance.source_frames)
        generated = _pictures(talker.refine(performance.coefficients, background))
        _write_once(folder / name / "generated.mp4", generated, total, samples, lossless=False, progress=progress)


def score_rows(folder: Path, output: Path, progress: bool = False) -> list[Row]:
    """Score what `write_rows` wrote and write the table.

    Args:
        folder: With the reference and the rows.
        output: CSV file, one line per row; the three shuffled ones are averaged. Beside it comes what tables of many
            runs need: `scored.json` and `reference_angles.npy`.
        progress: Show a progress bar.

    Returns:
        The lines of the table; `truth` is the reference against itself, its `hs_ceiling` the reference's first half
        against its second.
    """
    reference = folder / f"{REFERENCE}.mp4"
    videos = {row: row_videos(folder, row) for row in ROWS}
    scored = score_each(reference, [path for paths in videos.values() for path in paths], progress=progress)
    rows = {row: _joined(row, [next(scored) for _ in paths]) for row, paths in videos.items()}
    table = [
        rows["audio"],
        rows["static"],
        mean_row([rows[f"shuffled_{quarter}"] for quarter in SHUFFLES], "shuffled"),
        rows[TRUE],
        _chosen(_of_generated(score_pair(reference, reference, "truth")), (*REENACTED_COLUMNS, *GENERATED_COLUMNS)),
    ]
    write_csv(table, output)
    measured = measured_reference(reference)
    np.save(output.with_name(REFERENCE_ANGLES), measured.angles[~measured.bridged].astype(np.float32))
    keep_measured(output.parent, frames=len(measured))
    return table


def is_scored(folder: Path, output: Path) -> bool:
    """Whether `score_rows` has scored the videos that are there, to its end.

    Args:
        folder: With the reference and the rows.
        output: The table.
    """
    scores = (output, output.with_name(SCORED))  # the latter is written last
    videos = [folder / f"{REFERENCE}.mp4", *(path for row in ROWS for path in row_videos(folder, row))]
    if not all(path.is_file() for path in (*scores, *videos)):
        return False
    return min(path.stat().st_mtime_ns for path in scores) > max(path.stat().st_mtime_ns for path in videos)


def keep_measured(run: Path, **facts: Any) -> None:
    """Write beside the scores of a run how they were measured, which tables of many runs compare."""
    with whole_file(run / SCORED) as temporary:
        temporary.write_text(json.dumps(measured_as() | facts, indent=1), encoding="utf-8")


def write_crops(path: Path, clip: Clip, part: slice) -> None:
    """Write the true frames of a part of a clip, from its source, with their sound."""
    total = part.stop - part.start
    _write_once(path, _true_crops(clip, part), total, clip.sound(part), lossless=True, progress=False)


def write_refined(path: Path, refined: Iterable[tuple[np.ndarray, np.ndarray]], total: int) -> None:
    """Write what `Talker.refine` yields, without sound."""
    _write_once(path, _pictures(refined), total, None, lossless=True, progress=False)


def _joined(row: str, scores: list[Row]) -> Row:
    """The scores of a row's videos, in the order of `row_videos`, each giving its own columns."""
    joined = _chosen(scores[0], REENACTED_COLUMNS)
    if len(scores) > 1:
        joined |= _chosen(_of_generated(scores[1]), GENERATED_COLUMNS)
    return joined | {"name": row}


def _of_generated(scores: Row) -> Row:
    """Scores with their lost frames under the name that tells them from those of the reenacted video."""
    return scores | {"lost_frames_generated": scores["lost_frames"]}


def _chosen(scores: Row, columns: tuple[str, ...]) -> Row:
    return {column: scores[column] for column in ("name", *columns)}


def _true_crops(clip: Clip, part: slice) -> Iterator[np.ndarray]:
    """From the source video itself, never from the clip's copy (SPEC)."""
    for frame in stream_frames(clip.source, part.start, part.stop):
        yield clip.crop.apply(frame)


def _pictures(refined: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
    for picture, _ in refined:
        yield picture


def _write_once(
    path: Path, frames: Iterator[np.ndarray], total: int, samples: np.ndarray | None, *, lossless: bool, progress: bool
) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    first = next(frames)
    height, width = first.shape[:2]
    bar = tqdm(desc=f"writing {path.parent.name}/{path.stem}", total=total, unit="frame", disable=not progress)
    with bar, VideoWriter(path, width, height, audio=samples, lossless=lossless) as writer:
        writer.write(first)
        bar.update()
        for frame in frames:
            writer.write(frame)
            bar.update()
