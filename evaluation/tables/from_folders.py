"""Lines of a table from folders of videos: any other method, scored by the same code."""

from pathlib import Path

from evaluation.intervals import mean
from evaluation.tables.contents import OTHER, Line
from evaluation.tables.counts import folder_notes
from evaluation.tables.protocol import Protocol
from media.errors import InputError


def line_from_folder(
    protocol: Protocol, name: str, folder: Path, reference: Path, finished: Path, progress: bool = False
) -> tuple[Line, list[str]]:
    """Score a method's videos against the real ones.

    Args:
        protocol: Of the table; its bins and normaliser of HS are used.
        name: Of the method.
        folder: Its videos.
        reference: The real videos, of equal names.
        finished: File that keeps finished rows, so that the next table scores nothing again.
        progress: Show a progress bar.

    Returns:
        The line, and notes: what was done to the videos, was counted, or could not be scored.

    Raises:
        InputError: If a folder is missing, no name matches, or no pair could be scored.
    """
    from evaluation.score import ScoreSettings, score_folders  # takes seconds: only where a method is given

    for option, place in ((f"--method {name}", folder), ("--reference", reference)):
        if not place.is_dir():
            raise InputError(f"{option}: {place} is no folder")
    bins = protocol.measured
    settings = ScoreSettings(bins.get("hs_bin_width", 1.0), bins.get("hs_normaliser", "pooled"))
    scores = score_folders(reference, folder, progress, settings, finished)
    cells = {column: mean([row[column] for row in scores.rows]) for column in protocol.columns}
    changes = sorted({note for row in scores.rows for note in str(row["notes"]).split("; ") if note})
    notes = [f"{name}: {'; '.join(changes[:6])}{' ...' if len(changes) > 6 else ''}."] if changes else []
    notes += folder_notes(name, scores.rows)
    if scores.refused:
        notes.append(f"{name}: {len(scores.refused)} pairs not scored, the first: {scores.refused[0]}")
    return Line(name, OTHER, "videos", cells), notes
