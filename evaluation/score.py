"""Scores of generated videos against real ones, whoever made them.

    python -m evaluation.score REFERENCE GENERATED [--out scores.csv]

REFERENCE and GENERATED are two videos, or two folders whose videos have equal names. Every number is measured in the
two files. The table ends with the mean and with the reference scored against itself, which must be perfect.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from evaluation.head_pose import head_motion_ratio, head_pose_ceiling, head_pose_similarity
from evaluation.image_quality import mean_inside, psnr, ssim_map
from evaluation.landmark_distance import landmark_distance
from evaluation.lip_sync import mouth_correlation
from evaluation.measure import SIZE, Measurement, measure
from evaluation.tables import Row, format_table, mean_row, write_csv
from media.errors import InputError
from media.video import FPS, sha256

TRUTH = "truth against truth"
# what FFmpeg reads and people have; anything else in a folder (tables, sound, pictures) is not a video to score
VIDEO_ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".gif")
)
_KEPT = 16  # measurements of references in memory, about 6 kB a frame each

_log = logging.getLogger(__name__)
_references: dict[str, Measurement] = {}  # sha256 -> measurement, so that a reference is tracked once per process


@dataclass(frozen=True)
class Scores:
    """Scores of many pairs.

    Attributes:
        rows: One per pair that could be scored, sorted by name; columns as in `score_pair`.
        truth: The mean of the references of these rows, each scored against itself.
        refused: One line per pair that could not be scored.
    """

    rows: list[Row]
    truth: Row
    refused: list[str]

    @property
    def table(self) -> list[Row]:
        """The rows, the mean (of each subfolder too if there are several), and truth against truth."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row["name"].rpartition("/")[0], []).append(row)
        means = [mean_row(rows, f"mean of {name or '.'}") for name, rows in groups.items()] if len(groups) > 1 else []
        return [*self.rows, *means, mean_row(self.rows, "mean"), self.truth]


def score_pair(reference: str | Path, generated: str | Path, name: str | None = None, progress: bool = False) -> Row:
    """Score one generated video against the real one, frame k against frame k, at 25 frames/s.

    The longer one is cut. Frames in which the face was lost in either file count for the pictures but not for
    landmarks, poses and mouths.

    Args:
        reference: The real video.
        generated: The video to score: of the same view, in any size, or already cropped to 256 x 256 px.
        name: Of the row; by default the generated file's.
        progress: Show progress bars.

    Returns:
        `name`, `frames` (compared), `psnr`, `psnr_face` (dB), `ssim`, `ssim_face`, `lmd_iod` (outer-eye distances),
        `lmd_px128` (pixels of a 128 px crop), `hs`, `w1_pitch`, `w1_yaw`, `w1_roll` (degrees), `hs_ceiling` (the
        reference's first half against its second), `head_motion_ratio`, `mouth_correlation`, `lost_frames` (of
        `frames`, those without a face in either file).

    Raises:
        InputError: A file cannot be read or has no face, or the two do not show the same view.
    """
    truth = _measured_reference(reference, progress)
    same = sha256(generated) == truth.sha256
    made = truth if same else measure(generated, like=truth, progress=progress)
    frames = min(len(truth), len(made))
    if len(truth) != len(made):
        _log.warning(
            f"{generated}: {len(made)} frames ({len(made) / FPS:.2f} s), {reference}: {len(truth)} "
            f"({len(truth) / FPS:.2f} s); the first {frames} of both are compared"
        )
    seen = ~(truth.bridged[:frames] | made.bridged[:frames])
    if not seen.any():
        raise InputError(f"{generated}: no frame shows a face both here and in {reference}; nothing can be compared")
    name = Path(generated).stem if name is None else name
    pictures = _picture_scores(truth, made, frames, name, progress)
    return {
        "name": name,
        "frames": frames,
        **pictures,
        **_face_scores(truth, made, seen),
        "lost_frames": int((~seen).sum()),
    }


def score_folders(reference: str | Path, generated: str | Path, progress: bool = False) -> Scores:
    """Score every video of one folder against the video of the same name in another.

    Names are paths below the folder without ending. A generated video in deeper folders than its partner
    (`audio/clip1` for `clip1`) is a row of its own. Videos without partner are listed as warnings.

    Args:
        reference: Folder of real videos.
        generated: Folder of videos to score.
        progress: Show progress bars.

    Returns:
        The scores; a pair that cannot be scored costs its own row only.

    Raises:
        InputError: No name matches, a name is there twice, or no pair could be scored.
    """
    pairs = _matched(Path(reference), Path(generated))
    rows: list[Row] = []
    truths: dict[Path, Row] = {}
    refused: list[str] = []
    for name, (real, made) in tqdm(pairs.items(), desc="scoring", unit="clip", disable=not progress):
        try:
            rows.append(score_pair(real, made, name, progress))
            truths.setdefault(real, score_pair(real, real, name, progress))
        except InputError as error:
            refused.append(f"{name}: {error}")
            _log.warning(f"not scored: {error}")
    if not rows:
        raise InputError(f"none of the {len(pairs)} pairs in {generated} could be scored; the first: {refused[0]}")
    return Scores(rows, mean_row(list(truths.values()), TRUTH), refused)


def _measured_reference(path: str | Path, progress: bool) -> Measurement:
    key = sha256(path)
    if key not in _references:
        while len(_references) >= _KEPT:
            del _references[next(iter(_references))]
        _references[key] = measure(path, progress=progress)
    return _references[key]


def _picture_scores(truth: Measurement, made: Measurement, frames: int, name: str, progress: bool) -> dict[str, float]:
    """Metrics of the pixels; two frames in memory at a time."""
    values: dict[str, list[float]] = {"psnr": [], "psnr_face": [], "ssim": [], "ssim_face": []}
    pairs = zip(range(frames), made.frames(), truth.frames(), strict=False)
    with _one_thread():
        for index, *pair in tqdm(pairs, desc=f"comparing {name}", total=frames, unit="frame", disable=not progress):
            ours, real = (torch.tensor(frame).permute(2, 0, 1)[None] for frame in pair)
            similarity = ssim_map(ours, real)
            for key, mask in (("", None), ("_face", torch.from_numpy(truth.face_mask(index))[None, None])):
                values["psnr" + key].append(psnr(ours, real, mask).item())
                values["ssim" + key].append(mean_inside(similarity, mask).item())
    return {key: float(np.nanmean(frame_values)) for key, frame_values in values.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one core: for single frames, starting and awaiting others costs more than they do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _face_scores(truth: Measurement, made: Measurement, seen: np.ndarray) -> dict[str, float]:
    """Metrics of landmarks, poses and mouths over the frames that show a face in both files."""

    def both(values: str) -> tuple[torch.Tensor, torch.Tensor]:
        ours, real = (torch.from_numpy(getattr(side, values)[: len(seen)][seen]) for side in (made, truth))
        return ours, real

    points, angles = both("key_points"), both("angles")
    scores = {
        "lmd_iod": landmark_distance(*points).mean(),
        "lmd_px128": landmark_distance(*points, unit="px128", size=SIZE).mean(),
        **head_pose_similarity(*angles),
        "hs_ceiling": head_pose_ceiling(torch.from_numpy(truth.angles[~truth.bridged])),
        "head_motion_ratio": head_motion_ratio(*angles),
        "mouth_correlation": mouth_correlation(*both("mouth_opening")),
    }
    return {key: value.item() for key, value in scores.items()}


def _matched(reference: Path, generated: Path) -> dict[str, tuple[Path, Path]]:
    """Row name -> (real, generated), sorted by name; says which videos have no partner."""
    real, made = _videos(reference), _videos(generated)
    pairs: dict[str, tuple[Path, Path]] = {}
    for name, path in made.items():
        parts = name.split("/")
        tails = ("/".join(parts[first:]) for first in range(len(parts)))
        partner = next((real[tail] for tail in tails if tail in real), None)
        if partner is None:
            _log.warning(f"{path}: no video of this name in {reference}; not scored")
        elif partner != path:
            pairs[name] = (partner, path)
    for path in sorted(set(real.values()) - {partner for partner, _ in pairs.values()}):
        _log.warning(f"{path}: no video of this name in {generated}; not scored")
    if not pairs:
        raise InputError(
            f"no video in {generated} ({len(made)} found) has the name of one in {reference} ({len(real)} found); "
            "give equal names to what belongs together"
        )
    return pairs


def _videos(folder: Path) -> dict[str, Path]:
    """Videos below a folder by name: the path below it without ending."""

    def visible() -> Iterator[Path]:
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in VIDEO_ENDINGS and path.is_file() and not hidden:
                yield path

    named = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in visible()]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise InputError(f"{folder} holds several videos named {twice[0]}, with different endings; keep one of them")
    return dict(named)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0, or 1 if anything was refused."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.score", description="Score generated videos.")
    parser.add_argument("reference", type=Path, help="the real video, or a folder of them")
    parser.add_argument("generated", type=Path, help="the video to score, or a folder with equal names")
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        scores = _score(options.reference, options.generated)
        if options.out:
            write_csv(scores.table, options.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(format_table(scores.table))
    if scores.refused:
        print(f"{len(scores.refused)} of {len(scores.refused) + len(scores.rows)} pairs were refused", file=sys.stderr)
    return 1 if scores.refused else 0


def _score(reference: Path, generated: Path) -> Scores:
    if reference.is_dir() != generated.is_dir():
        raise InputError(f"{reference} and {generated}: one is a folder and one is not; give two videos or two folders")
    if reference.is_dir():
        return score_folders(reference, generated, progress=sys.stderr.isatty())
    row = score_pair(reference, generated, progress=sys.stderr.isatty())
    return Scores([row], score_pair(reference, reference, TRUTH), [])


if __name__ == "__main__":
    sys.exit(main())
