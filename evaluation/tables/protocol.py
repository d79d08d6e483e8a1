"""The protocol of a table (`configs/protocols/NAME.yaml`): what its runs must have in common, and what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.columns import COLUMNS
from evaluation.run_files import load_yaml
from media.errors import InputError

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
TABLES = ("table1", "table2", "hs", "ablation", "video_length")

_KEYS = {
    "title",
    "columns",
    "measured",
    "settings",
    "free",
    "rows",
    "sanity",
    "bounds",
    "notes",
    "exact_training",
    "main",
}
_ROW_KEYS = {"settings", "scores"}


@dataclass(frozen=True)
class RowRule:
    """Which runs make a row, and which of their scores.

    Attributes:
        settings: Flat settings that tell the row's runs from those of other rows.
        scores: Row of `scores.csv`; if that holds rows `scores/CLIP`, all of these.
    """

    settings: dict[str, Any]
    scores: str


@dataclass(frozen=True)
class Protocol:
    """What the runs of a table have in common, and what it shows.

    Attributes:
        name: Of the table.
        path: The file.
        title: Of the table.
        columns: Of `evaluation.columns`.
        measured: How scores were measured (`scored.json` of a run): fps, crop, landmarks, bins.
        settings: Flat settings that every run must have.
        free: Patterns of settings that may differ between runs of a row: seeds, people.
        rows: Name -> rule.
        main: The row whose runs the sanity rows and the bounds come from.
        sanity: Name -> row of `scores.csv`.
        bounds: Whether the ceiling and the floor of HS are shown.
        exact_training: Whether the training part must have the length that was asked for.
        notes: What a reader has to know.
    """

    name: str
    path: Path
    title: str
    columns: tuple[str, ...]
    measured: dict[str, Any]
    settings: dict[str, Any]
    free: tuple[str, ...]
    rows: dict[str, RowRule]
    main: str
    sanity: dict[str, str]
    bounds: bool
    exact_training: bool
    notes: tuple[str, ...]


def read_protocol(name: str, path: Path | None = None) -> Protocol:
    """Read a protocol.

    Args:
        name: Of the table.
        path: Another file than the one that comes with the project.

    Raises:
        InputError: If the file is no protocol.
    """
    path = path or FOLDER / f"{name}.yaml"
    facts = load_yaml(path)
    if wrong := facts.keys() - _KEYS:
        raise InputError(f"{path}: unknown key {min(wrong)}; a protocol has {', '.join(sorted(_KEYS))}")
    columns = tuple(facts.get("columns", ()))
    if unknown := [column for column in columns if column not in COLUMNS and facts.get("rows")]:
        raise InputError(f"{path}: unknown column {unknown[0]}; python -m evaluation.columns lists them")
    return Protocol(
        name,
        path,
        str(facts.get("title", name)),
        columns,
        dict(facts.get("measured", {})),
        dict(facts.get("settings", {})),
        tuple(facts.get("free", ())),
        {str(row): _rule(path, str(row), rule or {}) for row, rule in facts.get("rows", {}).items()},
        str(facts.get("main") or next(iter(facts.get("rows", {})), "")),
        dict(facts.get("sanity", {})),
        bool(facts.get("bounds", False)),
        bool(facts.get("exact_training", False)),
        tuple(facts.get("notes", ())),
    )


def _rule(path: Path, name: str, rule: Mapping[str, Any]) -> RowRule:
    if wrong := rule.keys() - _ROW_KEYS:
        raise InputError(f"{path}: row {name} has the unknown key {min(wrong)}; it may have {', '.join(_ROW_KEYS)}")
    return RowRule(dict(rule.get("settings") or {}), rule.get("scores", "audio"))
