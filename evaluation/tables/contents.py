"""What a table says, before it is written in any format."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from evaluation.columns import COLUMNS
from evaluation.intervals import Estimate

OURS, SANITY, OTHER = "ours", "sanity", "scored from its videos"


@dataclass(frozen=True)
class Head:
    """The head of a column.

    Attributes:
        name: Of the column.
        title: For people.
        subtitle: Unit and detail.
        better: Whether more ("up") or less ("down") is better.
        decimals: Digits after the point.
    """

    name: str
    title: str
    subtitle: str = ""
    better: str | None = None
    decimals: int = 3

    @classmethod
    def of_score(cls, name: str) -> "Head":
        """The head of a column of `evaluation.columns`."""
        column = COLUMNS[name]
        decimals = 2 if column.unit in ("dB", "degrees", "px at 128") else 0 if column.unit == "ms" else 3
        return cls(name, column.title, column.subtitle, column.better, decimals)


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        name: Of the method or setting.
        source: `ours`, `sanity`, `scored from its videos`, or that it was published and not run again.
        unit: What was counted: people, seeds, clips or answers; empty where it is not known.
        cells: Column -> number; those that are missing are empty.
        remark: Instead of numbers, such as why there are none.
    """

    name: str
    source: str
    unit: str = ""
    cells: Mapping[str, Estimate] = field(default_factory=dict)
    remark: str = ""

    @property
    def n(self) -> int | None:
        """Observations behind the numbers; None where that is not known."""
        counts = [cell.n for cell in self.cells.values()]
        return max(counts) if counts and max(counts) > 0 else None

    @property
    def count(self) -> str:
        """`n` with its unit, or nothing."""
        return f"{self.n} {self.unit}".strip() if self.n is not None else ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Of its protocol.
        title: For people.
        section: Where the paper has it.
        heads: Of its columns.
        lines: From top to bottom.
        notes: What a reader has to know, one sentence each.
    """

    name: str
    title: str
    section: str
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


def shown(cell: Estimate | None, head: Head) -> str:
    """A number as every format shows it; empty if there is none."""
    return "" if cell is None or math.isnan(cell.value) else f"{cell.value:.{head.decimals}f}"


def shown_interval(cell: Estimate | None, head: Head) -> str:
    """`[low, high]`; empty if there is no interval."""
    if cell is None or math.isnan(cell.low):
        return ""
    return f"[{cell.low:.{head.decimals}f}, {cell.high:.{head.decimals}f}]"
