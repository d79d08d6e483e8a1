"""Lines of a table from runs: ours, the sanity rows, and the ceiling and the floor of HS."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from evaluation.head_pose import head_pose_ceiling, head_pose_floor, head_pose_similarity, raw_and_centred
from evaluation.intervals import mean
from evaluation.tables.agreement import require_agreement, rows_of
from evaluation.tables.contents import OURS, SANITY, Line
from evaluation.tables.counts import judged_notes, lost_notes
from evaluation.tables.grid_record import GridCell
from evaluation.tables.protocol import Protocol
from evaluation.tables.run_folder import RunFolder

CEILING, STILL, FLOOR = "Ceiling: half of the truth against half", "Still head at the true mean", "Floor: other people"
TOO_SHORT = "too short"

Observations = dict[str, float]  # what was counted once -> number


def lines_from_runs(protocol: Protocol, cells: Sequence[GridCell]) -> tuple[list[Line], list[str]]:
    """The lines that runs give.

    Args:
        protocol: Of the table.
        cells: The runs, finished or not.

    Returns:
        Lines from top to bottom, and notes on what was counted and what is missing.

    Raises:
        InputError: If runs do not follow the protocol.
    """
    runs = _without_repetitions([RunFolder.read(cell.folder) for cell in cells if cell.finished])
    require_agreement(protocol, runs)
    lines = [_row(protocol, name, runs, cells) for name in protocol.rows]
    of_rows = {name: _of_row(protocol, name, runs) for name in protocol.rows}
    made = [name for name in (protocol.main, *protocol.rows) if of_rows.get(name)]
    main = of_rows[made[0]] if made else []
    lines += [_line(name, SANITY, protocol.columns, main, row) for name, row in protocol.sanity.items() if main]
    if protocol.bounds:
        lines += _bounds(protocol, main)
    notes = [f"Sanity rows are of {made[0]}."] if made and len(protocol.rows) > 1 else []
    notes += judged_notes(of_rows)
    for name, rule in protocol.rows.items():
        notes += lost_notes(name, of_rows[name], rule.scores)
    for name, row in protocol.sanity.items():
        notes += lost_notes(name, main, row)
    return lines, [*notes, *_missing(cells), *_provenance(runs)]


def _row(protocol: Protocol, name: str, runs: Sequence[RunFolder], cells: Sequence[GridCell]) -> Line:
    chosen, rule = _of_row(protocol, name, runs), protocol.rows[name]
    if chosen:
        return _line(name, OURS, protocol.columns, chosen, rule.scores)
    states = [
        cell.state
        for cell in cells
        if cell.state.startswith(TOO_SHORT) and rule.settings.items() <= cell.settings.items()
    ]
    return Line(name, OURS, remark=states[0] if states else "no finished run")


def _line(name: str, source: str, columns: Iterable[str], runs: Sequence[RunFolder], row: str) -> Line:
    unit, observe = _counting(runs)
    columns = tuple(columns)
    if any(clip for run in runs for column in columns for clip in run.observations(row, column)):
        unit, observe = "clips", lambda run, clip: clip
    cells = {}
    for column in columns:
        values: dict[str, list[float]] = {}
        for run in runs:
            for clip, value in run.observations(row, column).items():
                values.setdefault(observe(run, clip), []).append(value)
        cells[column] = mean([float(np.mean(group)) for group in values.values()])
    return Line(name, source, unit, cells)


def _counting(runs: Sequence[RunFolder]) -> tuple[str, Callable[[RunFolder, str], str]]:
    """What is an observation: a person where there are several (their seeds are averaged), else a run."""
    if len({run.person for run in runs}) > 1:
        return "people", lambda run, clip: run.person
    return ("seeds" if len(runs) > 1 else "run"), lambda run, clip: run.name


def _still_head(truth: torch.Tensor, **options: Any) -> dict[str, torch.Tensor]:
    """The true head held still at its own mean: the best that a fixed head could score."""
    return head_pose_similarity(truth.mean(0).expand_as(truth), truth, **options)


def _bounds(protocol: Protocol, runs: Sequence[RunFolder]) -> list[Line]:
    """HS of each true head movement's halves, of the same head held still, and of other people."""
    people = {run.person: run.reference_angles for run in runs}
    angles = {person: torch.from_numpy(truth) for person, truth in people.items() if truth is not None}
    options = {key: protocol.measured.get(f"hs_{key}") for key in ("bin_width", "normaliser")}
    options = {key: value for key, value in options.items() if value is not None}
    unit = "people" if len(angles) > 1 else "person"
    ceilings = [raw_and_centred(head_pose_ceiling, truth, **options) for truth in angles.values() if len(truth) > 1]
    others = {person: [angles[other] for other in angles if other != person] for person in angles}
    floors = [raw_and_centred(head_pose_floor, angles[p], others[p], **options) for p in angles if others[p]]
    still = [raw_and_centred(_still_head, truth, **options) for truth in angles.values()]
    none = "the runs kept no head movement of the truth"
    return [
        _bound(CEILING, protocol, ceilings, unit, none),
        _bound(STILL, protocol, still, unit, none),
        _bound(FLOOR, protocol, floors, unit, "needs two people"),
    ]


def _bound(name: str, protocol: Protocol, scores: Sequence[dict[str, float]], unit: str, why_not: str) -> Line:
    if not scores:
        return Line(name, SANITY, remark=why_not)
    cells = {key: mean([score[key] for score in scores]) for key in protocol.columns if key in scores[0]}
    return Line(name, SANITY, unit, cells)


def _of_row(protocol: Protocol, name: str, runs: Sequence[RunFolder]) -> list[RunFolder]:
    return [run for run in runs if name in rows_of(protocol, run)]


def _without_repetitions(runs: Sequence[RunFolder]) -> list[RunFolder]:
    return list({run.path.resolve(): run for run in runs}.values())


def _missing(cells: Sequence[GridCell]) -> list[str]:
    """What was asked for and is not in the numbers."""
    waiting = [cell for cell in cells if not cell.finished]
    short = [cell for cell in waiting if cell.state.startswith(TOO_SHORT)]
    others = [cell for cell in waiting if cell not in short]
    notes = []
    if short:
        names = ", ".join(f"{cell.folder.name}: {cell.state}" for cell in short)
        notes.append(f"Left out, {len(short)} of {len(cells)} runs: {names}.")
    if others:
        names = ", ".join(f"{cell.folder.name} ({cell.state})" for cell in others)
        notes.append(f"Missing, {len(others)} of {len(cells)} runs: {names}.")
    return notes


def _provenance(runs: Sequence[RunFolder]) -> list[str]:
    if not runs:
        return []
    commits = sorted({run.commit or "unknown" for run in runs})
    several = " (of several versions of the code)" if len(commits) > 1 else ""
    return [f"Runs: {', '.join(run.name for run in runs)}; code {', '.join(commits)}{several}."]
