"""Lines of Table 1, and of the appendix' study of video length, from a user study."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.intervals import Estimate
from evaluation.tables.contents import OURS, Head, Line
from evaluation.user_study.questions import COMPARISON, HEADINGS, PARTS
from evaluation.user_study.results import ALL, table1, video_length_table
from evaluation.user_study.results import OURS as STUDY
from evaluation.user_study.study import VOTES, Study
from evaluation.user_study.votes import read_votes
from media.errors import InputError

BEST = Head("best", "Chosen as best", "% of answers", "up", 1)


def comparison_heads() -> tuple[Head, ...]:
    """The columns of Table 1: percent of the answers that name a method."""
    keys = [question.key for question in PARTS[COMPARISON].questions]
    return tuple(Head(key, HEADINGS[key], "% of answers", "up", 2) for key in keys)


def comparison_lines(folder: Path) -> list[Line]:
    """Our lines of Table 1.

    Args:
        folder: A study (`evaluation.user_study`).

    Raises:
        InputError: If there is no study, no vote, or no comparison in it.
    """
    rows = [row for row in table1(*_read(folder)) if row["source"] == STUDY]
    if not rows:
        raise InputError(f"--study {folder}: its votes are not of the part {COMPARISON}; build a study that has it")
    lines: dict[tuple[str, str], dict[str, Estimate]] = {}
    for row in rows:
        lines.setdefault((row["method"], row["group"]), {})[row["question"]] = _percent(row)
    return [
        Line(method if group == ALL else f"{method} ({group.replace('_', ' ')})", OURS, "answers", cells)
        for (method, group), cells in lines.items()
    ]


def video_length_cells(folder: Path) -> dict[str, Estimate]:
    """Row of the table (`300 frames`) -> percent of the answers that name it among the best.

    Raises:
        InputError: As `comparison_lines`.
    """
    rows: Sequence[dict[str, Any]] = video_length_table(*_read(folder))
    return {f"{row['frames']} frames": _percent(row) for row in rows if row["source"] == STUDY}


def _read(folder: Path) -> tuple[Study, Any]:
    return Study.read(folder), read_votes(folder / VOTES)


def _percent(row: dict[str, Any]) -> Estimate:
    value, low, high = (math.nan if row[key] is None else 100 * row[key] for key in ("share", "low", "high"))
    return Estimate(value, low, high, row["n"])
