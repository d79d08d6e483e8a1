"""Scores of generated videos against real ones, whoever made them.

    python -m evaluation.score REFERENCE GENERATED [--out scores.csv]
    torchrun --nproc-per-node N -m evaluation.score REFERENCE GENERATED --out scores.csv

REFERENCE and GENERATED are two videos, or two folders whose videos have equal names. Every number is measured in the
two files. The table ends with the mean, with the reference scored against itself, which must be perfect, and with what
head movement of the same person (half against half) and of other people scores. With --out, finished rows are kept in
a file beside it until the table is complete, and the same command goes on after a crash.
"""

import argparse
import base64
import hashlib
import json
import logging
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from evaluation.compare import DEFAULTS, ScoreSettings, measured_reference, score_pair
from evaluation.finished_rows import FinishedRows, NotKeptError
from evaluation.head_pose import BIN_WIDTH, NORMALISERS, head_pose_ceiling, head_pose_floor, raw_and_centred
from evaluation.matching import matched_videos
from evaluation.origin import code_commit, run_of
from evaluation.picture_scores import arcface_encoder
from evaluation.processes import gathered, joined_processes, own_share
from evaluation.score_rows import Row, format_table, mean_row, write_csv
from media.digest import sha256
from media.errors import InputError

__all__ = ["CEILING", "FLOOR", "TRUTH", "ScoreSettings", "Scores", "main", "score_folders", "score_pair"]

TRUTH, CEILING, FLOOR = "truth against truth", "half against half", "other people"
OTHERS = 20  # ours: most references that each one is compared with for the floor, evenly spaced among them

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """Scores of many pairs.

    Attributes:
        rows: One per pair that could be scored, sorted by name; columns as in `score_pair`.
        truth: The mean of the references of these rows, each scored against itself.
        refused: One line per pair that could not be scored.
        bounds: What the head movement of references scores: each one's halves, and that of the others.
    """

    rows: list[Row]
    truth: Row
    refused: list[str]
    bounds: list[Row] = field(default_factory=list)

    @property
    def table(self) -> list[Row]:
        """The rows, the mean (of each subfolder too if there are several), truth against truth, the bounds of HS."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row["name"].rpartition("/")[0], []).append(row)
        means = [mean_row(rows, f"mean of {name or '.'}") for name, rows in groups.items()] if len(groups) > 1 else []
        return [*self.rows, *means, mean_row(self.rows, "mean"), self.truth, *self.bounds]


def score_folders(
    reference: str | Path,
    generated: str | Path,
    progress: bool = False,
    settings: ScoreSettings = DEFAULTS,
    finished: Path | None = None,
) -> Scores:
    """Score every video of one folder against the video of the same name in another.

    Names are paths below the folder without ending. A generated video in deeper folders than its partner
    (`audio/clip1` for `clip1`) is a row of its own. Videos without partner are listed as warnings. Where processes
    have joined (`torchrun`), each scores its share, and all return the whole.

    Args:
        reference: Folder of real videos.
        generated: Folder of videos to score.
        progress: Show progress bars.
        settings: What can be chosen.
        finished: File that keeps finished rows; those it has already are not scored again.

    Returns:
        The scores; a pair that cannot be scored costs its own row only.

    Raises:
        InputError: No name matches, a name is there twice, no pair could be scored, or a row could not be kept.
    """
    pairs = matched_videos(Path(reference), Path(generated))
    return _score_pairs([(name, *paths) for name, paths in pairs.items()], settings, FinishedRows(finished), progress)


def _score_pairs(
    pairs: list[tuple[str, Path, Path]], settings: ScoreSettings, finished: FinishedRows, progress: bool
) -> Scores:
    """Scores of named pairs (real, generated), shared among processes."""
    rows: list[Row] = []
    truths: dict[str, tuple[Row, np.ndarray]] = {}
    refused: list[tuple[str, str]] = []
    # neighbours in the order of references: what one process tracks, the others need not
    share = own_share(sorted(pairs, key=lambda pair: (pair[1], pair[0])))
    for name, real, made in tqdm(share, desc="scoring", unit="clip", disable=not progress or len(pairs) == 1):
        try:
            row = _scored_once(real, made, name, settings, finished, progress)
            if real.as_posix() not in truths:
                truths[real.as_posix()] = _truth_once(real, settings, finished, progress)
            rows.append(row)
        except NotKeptError:
            raise  # of the disk, not of the pair
        except InputError as error:
            refused.append((name, str(error)))
            _log.warning(f"not scored: {error}")
    rows, refused = sorted(gathered(rows), key=lambda row: row["name"]), sorted(gathered(refused))
    if not rows:
        raise InputError(f"none of the {len(pairs)} pairs could be scored; the first: {refused[0][1]}")
    # a reference at the border of two shares is in both, with the same values
    truths = dict(sorted(gathered(list(truths.items())), key=itemgetter(0)))
    truth = mean_row([row for row, _ in truths.values()], TRUTH)
    bounds = _bounds([angles for _, angles in truths.values()], list(rows[0]), settings)
    return Scores(rows, truth, [f"{name}: {error}" for name, error in refused], bounds)


def _scored_once(
    real: Path, made: Path, name: str, settings: ScoreSettings, finished: FinishedRows, progress: bool
) -> Row:
    """The row of a pair, scored unless it was before."""
    key = _key(real, made, settings)
    record = finished.get(key)
    if record is None:
        record = {"row": score_pair(real, made, name, progress, settings)}
        finished.add(key, record)
    return {**record["row"], "name": name, "run": run_of(made)}  # the same bytes may lie in several places


def _truth_once(real: Path, settings: ScoreSettings, finished: FinishedRows, progress: bool) -> tuple[Row, np.ndarray]:
    """A reference scored against itself, and its angles (T, 3) in frames that show a face."""
    key = _key(real, real, settings) + ":truth"
    record = finished.get(key)
    if record is None:
        measured = measured_reference(real)
        angles = np.ascontiguousarray(measured.angles[~measured.bridged], np.float32)
        row = score_pair(real, real, TRUTH, progress, settings)
        record = {"row": row, "angles": base64.b64encode(angles.tobytes()).decode()}
        finished.add(key, record)
    return record["row"], np.frombuffer(base64.b64decode(record["angles"]), np.float32).reshape(-1, 3).copy()


def _key(real: Path, made: Path, settings: ScoreSettings) -> str:
    """What a row depends on: both files, the settings, the code."""
    facts = {
        "files": [sha256(real), sha256(made)],
        "head_pose": settings.head_pose,
        "arcface": sha256(settings.arcface) if settings.arcface else None,
        "commit": code_commit(),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _bounds(references: Sequence[np.ndarray], columns: list[str], settings: ScoreSettings) -> list[Row]:
    """Rows of the ceiling and the floor of HS; none for what needs more frames or references than there are."""
    sides = [torch.from_numpy(angles) for angles in references]
    ceilings, floors = [], []
    for index, angles in enumerate(sides):
        if len(angles) > 1:
            ceilings.append(raw_and_centred(head_pose_ceiling, angles, **settings.head_pose))
        others = [*sides[index + 1 :], *sides[:index]]
        if others:
            chosen = [others[k * len(others) // min(len(others), OTHERS)] for k in range(min(len(others), OTHERS))]
            floors.append(raw_and_centred(head_pose_floor, angles, chosen, **settings.head_pose))
    empty = {column: "" if column in ("notes", "run", "data", "commit") else math.nan for column in columns}
    return [
        {**empty, **mean_row(rows, name), "name": name} for name, rows in ((CEILING, ceilings), (FLOOR, floors)) if rows
    ]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status: 0, or 1 if anything was refused (of several processes, the first's)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    with joined_processes() as rank:
        try:
            scores = _score(options, progress=rank == 0 and sys.stderr.isatty())
        except NotKeptError as error:
            print(error, file=sys.stderr)  # whichever process it happened in: the others know nothing of it
            return 1
        except InputError as error:
            if rank == 0:
                print(error, file=sys.stderr)
            return 1
        return _show(scores, options) if rank == 0 else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.score", description="Score generated videos.")
    parser.add_argument("reference", type=Path, help="the real video, or a folder of them")
    parser.add_argument("generated", type=Path, help="the video to score, or a folder with equal names")
    parser.add_argument("--out", type=Path, help="CSV file for the table; finished rows are kept beside it until then")
    parser.add_argument("--arcface", type=Path, metavar="FILE", help="ArcFace network (.onnx), for the column csim")
    parser.add_argument("--bin-width", type=float, default=BIN_WIDTH, help="of HS, degrees (%(default)s)")
    choices = ", ".join(NORMALISERS)
    parser.add_argument("--normaliser", default="pooled", help=f"of HS: {choices}, or degrees (%(default)s)")
    return parser


def _score(options: argparse.Namespace, progress: bool) -> Scores:
    reference, generated = options.reference, options.generated
    if reference.is_dir() != generated.is_dir():
        raise InputError(f"{reference} and {generated}: one is a folder and one is not; give two videos or two folders")
    settings = ScoreSettings(options.bin_width, _normaliser(options.normaliser), options.arcface)
    if not 0 < settings.bin_width <= 180:
        raise InputError(f"--bin-width {settings.bin_width:g}: give degrees above 0, at most 180")
    if settings.arcface is not None:
        arcface_encoder(settings.arcface)  # refused now rather than after tracking
    partial = options.out.with_name(f"{options.out.stem}.partial.jsonl") if options.out else None
    if reference.is_dir():
        return score_folders(reference, generated, progress, settings, partial)
    return _score_pairs([(generated.stem, reference, generated)], settings, FinishedRows(partial), progress)


def _normaliser(text: str) -> str | float:
    if text in NORMALISERS:
        return text
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not degrees > 0:
        raise InputError(f"--normaliser {text}: give {', '.join(NORMALISERS)}, or degrees above 0")
    return degrees


def _show(scores: Scores, options: argparse.Namespace) -> int:
    """Print the table, write it where asked, and clear away what was kept for a crash."""
    if options.out:
        try:
            write_csv(scores.table, options.out)
        except InputError as error:
            print(error, file=sys.stderr)
            return 1
        if not scores.refused:
            FinishedRows(options.out.with_name(f"{options.out.stem}.partial.jsonl")).remove()
    print(format_table(scores.table, shutil.get_terminal_size((100, 24)).columns))
    for row in scores.rows:
        if row["notes"]:
            print(f"{row['name']}: {row['notes']}")
    if scores.refused:
        print(f"{len(scores.refused)} of {len(scores.refused) + len(scores.rows)} pairs were refused", file=sys.stderr)
    return 1 if scores.refused else 0


if __name__ == "__main__":
    sys.exit(main())
