"""Score tables: means of rows, a printed table, a CSV file."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from media.whole_file import whole_file

Row = dict[str, Any]  # "name" and other text -> str, numbers of frames -> int, every other column -> float


def mean_row(rows: Sequence[Row], name: str) -> Row:
    """The mean of every number of some rows, each clip counting once whatever its length.

    Args:
        rows: At least one row; all have the same columns.
        name: Of the new row.

    Returns:
        A row with the same columns: the mean of the numbers that are there (nan if none is), and text where it is the
        same in all rows.
    """
    return {column: name if column == "name" else _mean([row[column] for row in rows]) for column in rows[0]}


def format_table(rows: Sequence[Row], width: int | None = None) -> str:
    """An aligned table for a terminal: names to the left, numbers to the right, 4 significant digits.

    Args:
        rows: The rows; all have the same columns.
        width: Characters of a line. Columns that do not fit follow in blocks of their own, each with the names again,
            and text other than names is left out. None: one block of everything.
    """
    if not rows:
        return ""
    header = list(rows[0])
    if width is not None:
        header = [header[0], *(c for c in header[1:] if not any(isinstance(row[c], str) for row in rows))]
    return aligned([header, *([_short(row[column]) for column in header] for row in rows)], width)


def aligned(lines: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Cells in columns, the first to the left and the others to the right.

    Args:
        lines: Header and rows, all of one length.
        width: Characters of a line; columns that do not fit follow below, with the first column again. None: no limit.
    """
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    blocks: list[list[int]] = [[]]
    for column in range(1, len(widths)):
        used = widths[0] + sum(2 + widths[k] for k in blocks[-1])
        if blocks[-1] and width is not None and used + 2 + widths[column] > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(
        "\n".join("  ".join([line[0].ljust(widths[0]), *(line[k].rjust(widths[k]) for k in block)]) for line in lines)
        for block in blocks
    )


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """Write rows with a header line; numbers with 6 significant digits, nothing for what could not be measured.

    Raises:
        InputError: If the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({column: _precise(value) for column, value in row.items()} for row in rows)


def _mean(values: list[Any]) -> Any:
    if any(isinstance(value, str) for value in values):
        return values[0] if len(set(values)) == 1 else ""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def _short(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _precise(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)
