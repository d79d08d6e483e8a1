"""The runs of a grid, as `experiments.run grid=NAME` records them for the table of that name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.run_files import DONE, SETTINGS
from media.errors import InputError

FINISHED = "finished"


@dataclass(frozen=True)
class GridCell:
    """One run that a grid asked for.

    Attributes:
        folder: Of the run, whether it exists or not.
        state: How it ended: finished, not finished, failed, or too short and why.
        settings: Flat.
    """

    folder: Path
    state: str
    settings: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether there is something to read."""
        return (self.folder / DONE).is_file()


def find_runs(name: str, places: Sequence[Path]) -> list[GridCell]:
    """The runs a table is made of.

    Args:
        name: Of the table.
        places: Run folders, or folders of runs in which the grid was recorded.

    Raises:
        InputError: If there is neither.
    """
    cells: list[GridCell] = []
    for place in places:
        record = record_path(place, name)
        if (place / SETTINGS).is_file():
            cells.append(GridCell(place, _state(place), {}))
        elif record.is_file():
            cells += _read(record)
        else:
            raise InputError(
                f"{place}: is no run folder and has no {record.relative_to(place)}; make the runs with "
                f"python -m experiments.run grid={name}, or name their folders with --runs"
            )
    return cells


def record_path(runs: Path, name: str) -> Path:
    """Where a grid is recorded, below the folder of runs."""
    return runs / "grids" / f"{name}.json"


def _read(path: Path) -> list[GridCell]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["runs"]
        runs = [(path.parents[1] / cell["run"], cell["state"], cell["settings"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no record of a grid; run the grid again, which skips finished runs") from None
    # what was finished when the grid was recorded may have been reopened or deleted since
    return [GridCell(run, _state(run) if state == FINISHED else state, settings) for run, state, settings in runs]


def _state(run: Path) -> str:
    return FINISHED if (run / DONE).is_file() else "not finished"
