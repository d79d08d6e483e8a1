"""The tables of a study for people: Markdown in the paper's layout."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.user_study.questions import COMPARISON, HEADINGS, PARTS, SIMILARITY

Row = dict[str, Any]
_NONE = "-"


def markdown_report(tables: Mapping[str, Sequence[Row]], participation: Sequence[str]) -> str:
    """All tables of a study.

    Args:
        tables: Rows of `table1`, `head_pose` and `video_length` as `results` makes them; empty ones are left out.
        participation: Lines for the top.

    Returns:
        Markdown without a line break at its end.
    """
    sections = ["# User study", " ".join(participation)]
    if tables["table1"]:
        sections += [
            "## Which video is best (Table 1)",
            "Share of the answers that name a method, with Wilson's 95 % interval.",
            _table1(tables["table1"]),
        ]
    if tables["head_pose"]:
        scale = ", ".join(f"{step} {text}" for step, text in SIMILARITY.items())
        sections += [
            "## Similarity of head poses (section 4.4)",
            f"Answers: {scale}. Mean with a bootstrap 95 % interval over participants; r is Pearson's, over pairs, of "
            "HS and the mean answer, with Fisher's 95 % interval.",
            _head_pose(tables["head_pose"]),
        ]
    if tables["video_length"]:
        sections += [
            "## Length of the training video (appendix A)",
            "Share of the answers that name a length among the best, with Wilson's 95 % interval; several may be.",
            _video_length(tables["video_length"]),
        ]
    return "\n\n".join(sections)


def _table1(rows: Sequence[Row]) -> str:
    questions = [question.key for question in PARTS[COMPARISON].questions]
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        key = (row["source"], row["group"], row["method"])
        lines.setdefault(key, {})[row["question"]] = f"{_share(row)}, n = {row['n']}"
    header = ["Method", "Group", *(HEADINGS[key] for key in questions), "Source"]
    body = [[method, group, *(cells[q] for q in questions), source] for (source, group, method), cells in lines.items()]
    return _table(header, body)


def _head_pose(rows: Sequence[Row]) -> str:
    header = ["Method", "n", *SIMILARITY, "Mean", "4 or 5", "1 or 2", "HS", "r", "Pairs", "Source"]
    body = [
        [
            *(row["method"], str(row["n"]), *(str(row[f"score_{step}"]) for step in SIMILARITY)),
            _with_interval(row["mean"], row["low"], row["high"], "{:.2f}"),
            *(_number(row["similar"], "{:.1%}"), _number(row["dissimilar"], "{:.1%}"), _number(row["hs"], "{:.3f}")),
            _with_interval(row["r"], row["r_low"], row["r_high"], "{:.2f}"),
            *(str(row["pairs"]), row["source"]),
        ]
        for row in rows
    ]
    return _table(header, body)


def _video_length(rows: Sequence[Row]) -> str:
    body = [[str(row["frames"]), _share(row), str(row["n"]), row["source"]] for row in rows]
    return _table(["Frames", "Among the best", "n", "Source"], body)


def _share(row: Row) -> str:
    return _with_interval(row["share"], row["low"], row["high"], "{:.2%}")


def _with_interval(value: float | None, low: float | None, high: float | None, form: str) -> str:
    shown = _number(value, form)
    if low is None or high is None or math.isnan(low):
        return shown
    return f"{shown} [{_number(low, form)}, {_number(high, form)}]"


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None or math.isnan(value) else form.format(value)


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in line] for line in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
