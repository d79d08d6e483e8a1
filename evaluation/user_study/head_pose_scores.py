"""HS of the videos of a study, from tables of evaluation.score."""

import csv
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from evaluation.user_study.study import FOREIGN
from media.errors import InputError

HeadPoseScores = dict[tuple[str, str], float]  # (method, person) -> HS


def read_head_pose_scores(tables: Sequence[str], pairs: Collection[tuple[str, str]]) -> HeadPoseScores:
    """HS of the pairs that people judged.

    Args:
        tables: `NAME=CSV`, whose rows are named after people (the last part of a path counts), or `CSV` alone, whose
            rows are named NAME/.../PERSON, or whose rows are of the only method there is.
        pairs: Method and person of every pair.

    Returns:
        HS of the pairs found.

    Raises:
        InputError: A table cannot be read, has no HS, two rows for a pair or none for any.
    """
    methods = sorted({method for method, _ in pairs})
    found: HeadPoseScores = {}
    for table in tables:
        name, equals, path = table.partition("=")
        given = name if equals and name in methods else None
        matched = _read(Path(path if given else table), given, methods, pairs)
        if twice := found.keys() & matched.keys():
            raise InputError(f"--scores {table}: has a second HS of {'/'.join(min(twice))}; give every method once.")
        found |= matched
    return found


def _read(path: Path, given: str | None, methods: Sequence[str], pairs: Collection[tuple[str, str]]) -> HeadPoseScores:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--scores {path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if not rows or not {"name", "hs"} <= rows[0].keys():
        raise InputError(f"--scores {path}: has no columns name and hs; give a table of evaluation.score.")
    found: HeadPoseScores = {}
    for row in rows:
        parts = (row["name"] or "").split("/")
        method = given or (parts[0] if parts[0] in methods else methods[0] if len(methods) == 1 else "")
        value = _number(row["hs"])
        if (method, parts[-1]) not in pairs or FOREIGN in parts or math.isnan(value):
            continue
        if (method, parts[-1]) in found:
            raise InputError(f"--scores {path}: has two rows for {method}, {parts[-1]}; keep one.")
        found[method, parts[-1]] = value
    if not found:
        example = "/".join(min(pairs, default=("NAME", "PERSON")))
        raise InputError(f"--scores {path}: no row is of a pair that people judged; name rows as in {example}.")
    return found


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
