"""Named grids (`grid=NAME`, `configs/grid/NAME.yaml`): the runs that a table of `evaluation.tables` needs.

A file has the `experiment`, `settings` of every run, `rows` (lists of settings, one after the other) and what to `vary`
(lists of values, all combinations); `embedded` settings hold where the user gives no data, `before` has runs that the
others start from. The command line wins.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.run_files import flatten, load_yaml
from evaluation.tables.grid_record import record_path
from experiments.launch import GridRun, run_folder, run_grid
from experiments.settings import (
    CONFIGS,
    EMBEDDED,
    compose,
    existing_file,
    split_argument,
    split_commas,
)
from media.endings import VIDEO_ENDINGS
from media.errors import InputError
from media.whole_file import whole_file

FOLDER = "data.folder"  # of the command line: every video in it is a value of data.video
_DATA = ("data.video", "data.root", FOLDER)
_TEST_ONLY = ("data.split", "data.clips", "data.frame", "init_from_audio2pose", "init_from_memory_gan")
_JUDGED_SECONDS = 4  # that the rule of short videos leaves (SPEC, split)
_KEYS = {"experiment", "settings", "embedded", "embedded_vary", "rows", "vary", "before"}


@dataclass(frozen=True)
class Grid:
    """The runs of a command line.

    Attributes:
        name: Of the named grid; None for a plain command.
        cells: Arguments of each run.
        before: Arguments of runs that have to be finished first.
    """

    name: str | None
    cells: list[list[str]]
    before: list[list[str]] = field(default_factory=list)


def named_grid(arguments: Sequence[str], configs: Path = CONFIGS) -> Grid | None:
    """Spell out `grid=NAME` with whatever stands beside it.

    Args:
        arguments: Of the command line; lists with commas vary.
        configs: Folder of the configurations.

    Returns:
        The runs, what the user varies outermost, then rows, then what the grid varies; None without `grid=`.

    Raises:
        InputError: If there is no such grid, or an argument sets what its rows vary.
    """
    given = dict(split_argument(argument) for argument in arguments)
    name = given.pop("grid", None)
    if name is None:
        return None
    spec = _read_spec(name, configs)
    rows = spec.get("rows", [{}])
    if fixed := [key for key in given if any(key in row for row in rows)]:
        raise InputError(f"{fixed[0]}={given[fixed[0]]}: grid={name} varies {fixed[0]} itself; leave it out")
    vary = dict(spec.get("vary", {}))
    if not any(key in given for key in _DATA):
        given = {key: _text(value) for key, value in spec.get("embedded", {}).items()} | given
        vary = spec.get("embedded_vary", {}) | vary
    varied = _row_choices(rows, {key: values for key, values in vary.items() if key not in given})
    own = {"experiment": spec["experiment"], **spec.get("settings", {})}
    common = [f"{key}={_text(value)}" for key, value in own.items() if key not in given]
    cells: list[list[str]] = []
    before: dict[tuple[str, ...], None] = {}
    for choice in itertools.product(*_users_choices(given)):
        chosen = list(itertools.chain.from_iterable(choice))
        wanted = {stage: own for stage, own in spec.get("before", {}).items() if f"init_from_{stage}" not in given}
        parents = {stage: _parent(stage, own, chosen) for stage, own in wanted.items()}
        before |= {tuple(parent): None for parent in parents.values()}
        places = {stage: run_folder(compose(parent, configs)) for stage, parent in parents.items()}
        if "before" in spec:
            chosen = [argument for argument in chosen if not argument.startswith("fit.")]  # of the parents
        cells += [[*(_placed(argument, places) for argument in common), *chosen, *row] for row in varied]
    return Grid(name, cells, [list(parent) for parent in before])


def too_short(settings: dict[str, Any]) -> str:
    """Why a video cannot give the training length of a run; empty if it can.

    Args:
        settings: Of a run on a person.
    """
    from media.video import FPS, probe  # compiles loops: not before the settings are known to be right

    data = settings["data"]
    if data["kind"] != "personal":
        return ""
    if data["video"] == EMBEDDED:
        frames, name = round(data["embedded_seconds"] * FPS), EMBEDDED
    else:
        path = existing_file("data.video", data["video"])
        frames, name = probe(path).frames, path.stem
    judged = data["heldout_seconds"] if data["heldout_from"] == "end" else 0
    needed = round(FPS * (data["train_seconds"] + max(judged, _JUDGED_SECONDS)))
    return f"too short ({name}: {frames} frames, {needed} are needed)" if frames < needed else ""


def record_grid(name: str, runs: Path, rows: Sequence[tuple[str, str, dict[str, Any]]]) -> Path:
    """Write down for the table what a grid asked for and how it went.

    Args:
        name: Of the grid.
        runs: Folder of the runs.
        rows: Run id, state and settings of each.

    Returns:
        The file.
    """
    path = record_path(runs, name)
    cells = [{"run": run, "state": state, "settings": flatten(settings)} for run, state, settings in rows]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"grid": name, "runs": cells}, indent=1), encoding="utf-8")
    return path


def run_named_grid(grid: Grid, settings: Sequence[dict[str, Any]]) -> int:
    """Make the runs of a table, those that the videos are long enough for, and print the table."""
    name = grid.name or ""
    runs = Path(settings[0]["runs"]).expanduser()

    def record(cells: Sequence[GridRun], states: Sequence[str]) -> None:
        record_grid(name, runs, [(c.name, state, c.settings) for c, state in zip(cells, states, strict=True)])

    if grid.before and run_grid(grid.before, [compose(cell) for cell in grid.before]):
        return 1
    status = run_grid(grid.cells, settings, [too_short(chosen) for chosen in settings], record)
    from evaluation.tables.formats import markdown  # imports what only tables need
    from evaluation.tables.make import Material, make_table

    out = Path("tables") / name
    print("\n" + markdown(make_table(name, Material([runs]), out)))
    print(f"written {out / name}.md, .csv, .tex and .png; again: python -m evaluation.tables {name} --runs {runs}")
    return status


def _read_spec(name: str, configs: Path) -> dict[str, Any]:
    options = sorted(path.stem for path in (configs / "grid").glob("*.yaml"))
    if name not in options:
        raise InputError(f"unknown option grid={name}; there are: {', '.join(options)}")
    path = configs / "grid" / f"{name}.yaml"
    spec = load_yaml(path)
    if wrong := spec.keys() - _KEYS:
        raise InputError(f"{path}: unknown key {min(wrong)}; a grid has {', '.join(_KEYS)}")
    return spec


def _users_choices(given: Mapping[str, str]) -> list[list[list[str]]]:
    """What the user says, each argument a list of choices."""
    choices = []
    for key, text in given.items():
        if key == FOLDER:
            choices.append([[f"data.video={path}"] for path in _videos(Path(text).expanduser())])
        else:
            choices.append([[f"{key}={part}"] for part in split_commas(text)])
    if FOLDER in given and "data.video" in given:
        raise InputError(f"{FOLDER} and data.video say both whom to learn; give one of them")
    return choices


def _parent(stage: str, own: Mapping[str, Any], chosen: Sequence[str]) -> list[str]:
    """Arguments of a run that comes first: its own, and the user's that a training of that stage understands."""
    mine = [argument for argument in chosen if argument.partition("=")[0] not in _TEST_ONLY]
    mine = [argument for argument in mine if not argument.startswith("fit.") or argument.startswith(f"fit.{stage}.")]
    return [*(f"{key}={_text(value)}" for key, value in own.items()), *mine]


def _placed(argument: str, places: Mapping[str, Path]) -> str:
    """An argument with `{stage}` replaced by the folder of that stage's run."""
    for stage, place in places.items():
        argument = argument.replace(f"{{{stage}}}", str(place))
    return argument


def _row_choices(rows: Sequence[Mapping[str, Any]], vary: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    combinations = list(itertools.product(*([f"{key}={_text(value)}" for value in vary[key]] for key in vary)))
    settings = [[f"{key}={_text(value)}" for key, value in row.items()] for row in rows]
    return [[*row, *varied] for row in settings for varied in combinations]


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{FOLDER}={folder}: is no folder; give one that holds a video of each person")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS and path.is_file())
    if not found:
        raise InputError(f"{FOLDER}={folder}: holds no video; put one of each person there")
    return found


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | list) else str(value)
