"""Score tables: means of rows, a printed table, a CSV file."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from media.whole_file import whole_file

Row = dict[str, Any]  # "name" -> str, "frames" and "lost_frames" -> int, every other column -> float


def mean_row(rows: Sequence[Row], name: str) -> Row:
    """The mean of every number of some rows, each clip counting once whatever its length.

    Args:
        rows: At least one row; all have the same columns.
        name: Of the new row.

    Returns:
        A row with the same columns.
    """
    numbers = [column for column in rows[0] if column != "name"]
    return {"name": name, **{column: sum(row[column] for row in rows) / len(rows) for column in numbers}}


def format_table(rows: Sequence[Row]) -> str:
    """An aligned table for a terminal: names to the left, numbers to the right, 4 significant digits."""
    if not rows:
        return ""
    header = list(rows[0])
    lines = [header, *([_short(row[column]) for column in header] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """Write rows with a header line; numbers with 6 significant digits.

    Raises:
        InputError: If the file cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({column: _precise(value) for column, value in row.items()} for row in rows)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _precise(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
