"""Named grids: the exact list of runs, what the user may add, and what a video is too short for."""

import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evaluation.run_files import flatten
from evaluation.tables.agreement import rows_of
from evaluation.tables.grid_record import find_runs
from evaluation.tables.protocol import TABLES, read_protocol
from evaluation.tables.run_folder import RunFolder
from experiments import corpus
from experiments.grid import named_grid, record_grid, too_short
from experiments.launch import run_folder
from experiments.run import main
from experiments.settings import CONFIGS, compose, run_id
from media.errors import InputError
from media.video import VideoWriter

GRIDS = sorted(path.stem for path in (CONFIGS / "grid").glob("*.yaml"))


def runs(*arguments: str) -> list[dict]:
    grid = named_grid(arguments)
    assert grid is not None
    return [flatten(compose(cell)) for cell in grid.cells]


def film(path: Path, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 32, 32) as writer:
        for _ in range(frames):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    return path


def test_ablation_is_three_rows_of_three_seeds() -> None:
    found = [
        (run["background.head_pose"], run["memory_gan.identity_source"], run["seed"]) for run in runs("grid=ablation")
    ]
    rows = [("predicted", "memory"), ("fixed", "memory"), ("predicted", "none")]
    assert found == [(*row, seed) for row, seed in itertools.product(rows, range(3))]
    assert {run["data.video"] for run in runs("grid=ablation")} == {"embedded"}


def test_video_length_is_the_lengths_of_the_paper() -> None:
    cells = runs("grid=video_length")
    assert [round(25 * run["data.train_seconds"]) for run in cells] == [50, 100, 200, 300, 500, 800]
    rest = [{key: value for key, value in run.items() if key != "data.train_seconds"} for run in cells]
    assert all(other == rest[0] for other in rest)


def test_hs_is_five_people_with_films_of_their_own() -> None:
    cells = runs("grid=hs")
    assert [run["data.embedded_person"] for run in cells] == [0, 1, 2, 3, 4]


def test_a_folder_gives_a_run_for_each_video_and_no_embedded_settings(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mov", "notes.txt"):
        (tmp_path / name).write_bytes(b"x" + name.encode())
    cells = runs("grid=ablation", f"data.folder={tmp_path}", "seed=7,8")
    people, rows = ("a.mov", "b.mp4"), 3
    assert len(cells) == len(people) * 2 * rows
    assert [Path(run["data.video"]).name for run in cells] == [name for name in people for _ in range(2 * rows)]
    assert {run["seed"] for run in cells} == {7, 8}
    assert {run["memory_gan.channels"] for run in cells} == {compose(["data.video=embedded"])["memory_gan"]["channels"]}


def test_the_command_line_wins() -> None:
    cells = runs("grid=video_length", "fit.memory_gan.epochs=1", "data.heldout_seconds=4")
    assert {(run["fit.memory_gan.epochs"], run["data.heldout_seconds"]) for run in cells} == {(1, 4.0)}
    assert {run["memory_gan.channels"] for run in cells} == {16}


def test_table2_trains_both_stages_first_and_starts_from_them(tmp_path: Path) -> None:
    grid = named_grid(["grid=table2", f"data.root={tmp_path}", "data.clips=7", "fit.memory_gan.epochs=3"])
    assert grid is not None
    parents = [compose(cell) for cell in grid.before]
    (test,) = (compose(cell) for cell in grid.cells)
    assert [list(parent["fit"]) for parent in parents] == [["audio2pose"], ["memory_gan"]]
    assert parents[1]["fit"]["memory_gan"]["epochs"] == 3
    assert test["data"]["clips"] == 7
    assert test["init_from_audio2pose"] == str(run_folder(parents[0]))
    assert test["init_from_memory_gan"] == str(run_folder(parents[1]))
    given = named_grid(["grid=table2", "data.root=x", "init_from_audio2pose=A", "init_from_memory_gan=B"])
    assert given is not None
    assert given.before == []
    assert compose(given.cells[0])["init_from_memory_gan"] == "B"


def test_table2_out_of_the_box_learns_from_the_embedded_corpus() -> None:
    grid = named_grid(["grid=table2"])
    assert grid is not None
    settings = [compose(cell) for cell in (*grid.before, *grid.cells)]
    assert {one["data"]["root"] for one in settings} == {"embedded"}
    assert settings[0]["fit"]["audio2pose"]["epochs"] == 6
    assert len({corpus.prepared_folder(one) for one in settings}) == 1


@pytest.mark.parametrize("name", GRIDS)
def test_every_run_of_a_grid_belongs_to_a_row_of_its_table(name: str) -> None:
    protocol = read_protocol(name)
    assert name in TABLES
    rows = []
    for settings in runs(f"grid={name}"):
        run = RunFolder(Path("run"), settings, protocol.measured, {}, {}, "")
        rows += rows_of(protocol, run)
        assert {key: settings[key] for key in protocol.settings} == protocol.settings
    assert set(rows) == set(protocol.rows)


def test_runs_are_told_apart() -> None:
    for name in GRIDS:
        grid = named_grid([f"grid={name}"])
        assert grid is not None
        names = [run_id(compose(cell)) for cell in [*grid.before, *grid.cells]]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grid=ablations"], "there are: ablation, hs"),
        (["grid=ablation", "memory_gan.identity_source=none"], "varies memory_gan.identity_source itself"),
        (["grid=hs", "data.folder=nowhere"], "is no folder"),
        (["grid=hs", "data.folder=.", "data.video=x"], "holds no video|give one of them"),
    ],
)
def test_mistakes_are_said_in_a_line(arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        named_grid(arguments)


def test_a_plain_command_is_no_grid() -> None:
    assert named_grid(["seed=0,1"]) is None


def test_too_short_follows_what_a_run_holds_out(tmp_path: Path) -> None:
    video = film(tmp_path / "short.mp4", 200)

    def reason(*arguments: str) -> str:
        return too_short(compose(["experiment=personal", f"data.video={video}", *arguments]))

    assert reason("data.train_seconds=4") == ""  # 100 to learn from, 100 to judge
    assert reason("data.train_seconds=4.04") == "too short (short: 200 frames, 201 are needed)"
    end = ("data.heldout_from=end", "data.heldout_seconds=6")
    assert reason("data.train_seconds=2", *end) == ""
    assert reason("data.train_seconds=4", *end) == "too short (short: 200 frames, 250 are needed)"
    embedded = compose(["data.video=embedded", "data.embedded_seconds=20", "data.train_seconds=32"])
    assert too_short(embedded) == "too short (embedded: 500 frames, 900 are needed)"


def test_a_record_is_what_tables_read(tmp_path: Path) -> None:
    settings = compose(["data.video=embedded"])
    record_grid("hs", tmp_path, [("abc", "too short (x)", settings)])
    (cell,) = find_runs("hs", [tmp_path])
    assert (cell.folder, cell.state, cell.finished) == (tmp_path / "abc", "too short (x)", False)
    assert cell.settings == json.loads(json.dumps(flatten(settings)))


@pytest.fixture
def _own_signals() -> Iterator[None]:
    """The command listens to SIGTERM; what runs after the test should not."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("_own_signals")
def test_a_grid_that_can_run_nothing_prints_its_table(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "people/a.mp4", 50)
    assert main(["grid=hs", "data.folder=people"]) == 0
    output = capsys.readouterr().out
    assert "grid of 1 runs, 0 of them finished before, 1 left out" in output
    assert "too short (a: 50 frames, 400 are needed)" in output
    assert "0.859" in output
    assert (tmp_path / "tables/hs/hs.png").is_file()


def test_dry_run_of_a_grid_says_every_run(capsys) -> None:
    assert main(["grid=table2", "data.root=CORPUS", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("run id:") == 3
