"""A run as a table reads it: the files of its folder, nothing else."""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.run_files import DONE, PROVENANCE, SETTINGS, flatten, load_yaml
from media.errors import InputError

SCORED = "scored.json"  # how it was scored
PARENTS = "parents"  # in it, of general models: stage -> hash of their settings without the seed
CLIPS = "clips.csv"  # scores of every clip, of runs on many; rows ROW/CLIP
REFERENCE_ANGLES = "reference_angles.npy"  # (T, 3) degrees, tracked in its reference


@dataclass(frozen=True)
class RunFolder:
    """A finished run.

    Attributes:
        path: The folder.
        settings: Flat.
        measured: How it was scored.
        scores: Row of `scores.csv` -> column -> number, without those that are missing.
        preparation: What is known of its data.
        commit: Of the code that made it.
    """

    path: Path
    settings: dict[str, Any]
    measured: dict[str, Any]
    scores: dict[str, dict[str, float]]
    preparation: dict[str, Any]
    commit: str

    @classmethod
    def read(cls, path: Path) -> "RunFolder":
        """Read a run folder.

        Raises:
            InputError: If it is none, or its run has not finished.
        """
        if not (path / SETTINGS).is_file():
            raise InputError(f"{path}: is not a run folder (it has no {SETTINGS})")
        if not (path / DONE).is_file():
            raise InputError(f"run {path.name}: has not finished; repeat its command, or leave it out")
        if not (path / "scores.csv").is_file():
            raise InputError(f"run {path.name}: has no scores.csv; only runs that are scored make tables")
        return cls(
            path,
            flatten(load_yaml(path / SETTINGS)),
            _read_json(path / SCORED),
            _read_scores(path / "scores.csv") | _read_scores(path / CLIPS),
            _read_json(path / "preparation.json"),
            _commit(_read_json(path / PROVENANCE)),
        )

    @property
    def name(self) -> str:
        """The run id."""
        return self.path.resolve().name

    @property
    def person(self) -> str:
        """Who is shown: the hash of the video."""
        return str(self.preparation.get("source_sha256") or self.settings.get("data.video") or "")

    @property
    def judged(self) -> tuple[int, str] | None:
        """What was judged, such as (180, "frames") or (40, "clips"); None if the run does not say."""
        found = [(int(self.measured[unit]), unit) for unit in ("frames", "clips") if unit in self.measured]
        return found[0] if found else None

    @cached_property
    def reference_angles(self) -> np.ndarray | None:
        """(T, 3) degrees of the true head where it was seen; None if the run did not keep them."""
        path = self.path / REFERENCE_ANGLES
        return np.load(path) if path.is_file() else None

    def observations(self, row: str, column: str) -> dict[str, float]:
        """Numbers of a row of the score table: of each of its clips, or its only one under the name ``""``."""
        prefix = f"{row}/"
        clips = {name[len(prefix) :]: values for name, values in self.scores.items() if name.startswith(prefix)}
        found = clips or ({"": self.scores[row]} if row in self.scores else {})
        return {clip: values[column] for clip, values in found.items() if column in values}


def _commit(provenance: dict[str, Any]) -> str:
    """Of the last start, `+` where the code was changed since."""
    start = (provenance.get("starts") or [{}])[-1]
    return f"{start.get('commit') or ''}"[:12] + ("+" if start.get("uncommitted_changes") else "")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return content if isinstance(content, dict) else {}


def _read_scores(path: Path) -> dict[str, dict[str, float]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["name"]: {key: float(text) for key, text in row.items() if _is_number(text)} for row in rows}


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and float(text) == float(text)
    except ValueError:
        return False
