"""What the numbers of a table were counted on, as notes below it: judged frames or clips, frames without a face."""

from collections.abc import Mapping, Sequence

from evaluation.score_rows import Row
from evaluation.tables.run_folder import RunFolder

LOST = {"lost_frames": "", "lost_frames_generated": ", generated videos"}  # column -> which videos of a row


def judged_notes(rows: Mapping[str, Sequence[RunFolder]]) -> list[str]:
    """One sentence on the frames or clips that were judged in the runs of each row; none where no run says it."""
    names: dict[str, list[str]] = {}
    for name, runs in rows.items():
        known = [run.judged for run in runs if run.judged is not None]
        if known:
            names.setdefault(_span([count for count, _ in known], known[0][1]), []).append(name)
    parts = [f"{text} in each run of {', '.join(rows)}" for text, rows in names.items()]
    return [f"Judged: {'; '.join(parts)}."] if parts else []


def lost_notes(name: str, runs: Sequence[RunFolder], row: str) -> list[str]:
    """How many frames of a row of a table show no face, over all of its runs; nothing if all show one.

    Args:
        name: Of the row.
        runs: That make it.
        row: Of their `scores.csv`; of several shufflings that holds the mean, so numbers may have decimals.
    """
    counts = {column: sum(sum(run.observations(row, column).values()) for run in runs) for column in LOST}
    return [f"{count:.4g} frames without a face in {name}{LOST[column]}." for column, count in counts.items() if count]


def folder_notes(name: str, rows: Sequence[Row]) -> list[str]:
    """The same two of a method that was scored from its videos.

    Args:
        name: Of the method.
        rows: As `evaluation.score` gives them.
    """
    notes = [f"{name}: judged on {_span([row['frames'] for row in rows], 'frames')} in each of {len(rows)} videos."]
    lost = sum(row["lost_frames"] for row in rows)
    return [*notes, f"{lost} frames without a face in {name}."] if lost else notes


def _span(counts: Sequence[int], unit: str) -> str:
    least, most = min(counts), max(counts)
    return f"{most} {unit}" if least == most else f"{least} to {most} {unit}"
