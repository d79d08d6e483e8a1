"""The score table of a run: `scores.csv` read back, explained, and printed."""

import csv
import shutil
from pathlib import Path

from evaluation.columns import COLUMNS
from evaluation.score_rows import aligned

REPORT = "report.html"

ROWS = {
    "audio": "from the sound",
    "static": "one expression, still mouth",
    "shuffled": "from the sound, moved in time",
    "true_coefficients": "from the true movement",
    "truth": "truth against truth",
    # of test clips
    "true_pose": "from the sound, true head pose",
    "predicted_pose": "from the sound, head pose too",
    "other_sound": "from the sound of another clip",
}
COMPETING = ("audio", "static", "shuffled")  # rows that know nothing of the true mouth; the best of them is marked


def summary(folder: Path) -> str:
    """The score table as text, then the paths of the videos with sound and of the report."""
    header, rows = read_scores(folder)
    lines = []
    if rows:
        cells = [header, *([short(cell) for cell in row] for row in rows)]
        lines.append(aligned(cells, shutil.get_terminal_size((120, 24)).columns))
        lines.append("")
    lines += [f"video   {path}" for path in talking_videos(folder)]
    return "\n".join([*lines, f"report  {folder / REPORT}"])


def read_scores(folder: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of `scores.csv`; both empty if there is none."""
    path = folder / "scores.csv"
    if not path.is_file():
        return [], []
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def mean_scores(folder: Path) -> dict[str, float]:
    """Numbers of the row `audio` of a run's score table, the one that claims are made about."""
    header, rows = read_scores(folder)
    for row in rows:
        if row[0] == "audio":
            return {name: float(cell) for name, cell in zip(header[1:], row[1:], strict=True) if cell}
    return {}


def is_best(column: int, row: list[str], header: list[str], rows: list[list[str]]) -> bool:
    """Whether a cell is the best among the competing rows, where that can be said."""
    better = COLUMNS[header[column]].better if header[column] in COLUMNS else None
    if better is None:  # or text, such as notes
        return False
    rivals = [float(other[column]) for other in rows if other[0] in COMPETING and other[column]]
    if row[0] not in COMPETING or not row[column] or len(set(rivals)) < 2:
        return False
    return float(row[column]) == (max if better == "up" else min)(rivals)


def talking_videos(folder: Path) -> list[Path]:
    """The videos made for watching: the held-out sound, and any speech asked for."""
    videos = folder / "videos"
    # names with a dot in front are of files that a process is writing, or was when it was killed
    spoken = sorted(path for path in videos.glob("speech/*.mp4") if not path.name.startswith("."))
    return [path for path in (videos / "heldout.mp4", *spoken) if path.is_file()]


def short(cell: str) -> str:
    """A number with as many digits as can be believed; other text as it is."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return f"{number:.2f}" if abs(number) >= 10 else f"{number:.3f}"
