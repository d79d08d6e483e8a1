"""Tables from run folders: what is averaged, what is refused, what is said about what is missing."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.head_pose import head_pose_similarity
from evaluation.published import SOURCE
from evaluation.tables.__main__ import main
from evaluation.tables.agreement import require_agreement
from evaluation.tables.from_runs import CEILING, FLOOR, STILL, lines_from_runs
from evaluation.tables.grid_record import find_runs
from evaluation.tables.make import Material, make_table
from evaluation.tables.protocol import TABLES, read_protocol
from evaluation.tables.run_folder import RunFolder
from media.errors import InputError
from tests.run_folders import write_record, write_run, write_scores

HS, ABLATION, LENGTH = (read_protocol(name) for name in ("hs", "ablation", "video_length"))


def lines(protocol, folders):
    found, notes = lines_from_runs(protocol, find_runs(protocol.name, folders))
    return {line.name: line for line in found}, notes


def test_a_person_counts_once_and_seeds_are_averaged(tmp_path: Path) -> None:
    scores = {("a", 0): 0.8, ("a", 1): 0.6, ("b", 0): 0.9}
    folders = [
        write_run(tmp_path, f"{person}{seed}", HS, {"hs": value}, person=person, changes={"seed": seed})
        for (person, seed), value in scores.items()
    ]
    found, _ = lines(HS, folders)
    cell = found["Ours-P"].cells["hs"]
    assert cell.value == pytest.approx((0.7 + 0.9) / 2)
    assert (cell.n, found["Ours-P"].unit) == (2, "people")
    assert (cell.low, cell.high) == pytest.approx((0.7, 0.9))


def test_seeds_of_one_person_are_observations(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, str(k), HS, {"hs": k / 10}, changes={"seed": k}) for k in range(3)]
    found, _ = lines(HS, folders)
    assert (found["Ours-P"].cells["hs"].value, found["Ours-P"].count) == (pytest.approx(0.1), "3 seeds")
    assert found[FLOOR].remark == "needs two people"


def test_rows_take_their_own_runs(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, f"run{k}", ABLATION, {"hs": k}, row=row) for k, row in enumerate(ABLATION.rows)]
    found, _ = lines(ABLATION, folders)
    assert [found[row].cells["hs"].value for row in ABLATION.rows] == [0, 1, 2]


def test_ceiling_still_head_and_floor_are_those_of_the_metric(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    angles = {name: rng.normal(k, 2 + k, (40, 3)).astype(np.float32) for k, name in enumerate("abc")}
    folders = [write_run(tmp_path, name, HS, person=name, angles=truth) for name, truth in angles.items()]
    found, _ = lines(HS, folders)
    sides = {name: torch.from_numpy(truth) for name, truth in angles.items()}

    def hs(ours, truth, **options):
        return head_pose_similarity(ours, truth, **options)["hs"].item()

    halves = np.mean([hs(side[:20], side[20:]) for side in sides.values()])
    others = np.mean([np.mean([hs(sides[o], sides[p]) for o in sides if o != p]) for p in sides])
    still = np.mean([hs(side.mean(0, keepdim=True).repeat(40, 1), side) for side in sides.values()])
    assert found[CEILING].cells["hs"].value == pytest.approx(halves, abs=1e-6)
    assert found[FLOOR].cells["hs"].value == pytest.approx(others, abs=1e-6)
    assert found[STILL].cells["hs"].value == pytest.approx(still, abs=1e-6)
    assert found[FLOOR].cells["hs_centred"].value > 0


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"changes": {"data.train_seconds": 6.0}}, r"run odd: data.train_seconds is 6.0, .*hs.yaml has 12.0"),
        ({"measured": {"fps": 30}}, r"run odd: scored with fps is 30, .*hs.yaml has 25"),
        ({"measured": {"hs_bin_width": 2.0}}, r"run odd: scored with hs_bin_width is 2.0, .*hs.yaml has 1.0"),
        ({"changes": {"memory_gan.channels": 32}}, r"run odd: memory_gan.channels is 32, run even has 16"),
        ({"changes": {"background.new": 1}}, r"run odd: background.new is 1, run even has not there"),
        ({"training_frames": 150}, r"run odd: training_frames is 150, data.train_seconds=12.0 asks for 300"),
    ],
)
def test_runs_of_another_protocol_are_refused(tmp_path: Path, keywords: dict, message: str) -> None:
    runs = [write_run(tmp_path, "even", HS, person="a"), write_run(tmp_path, "odd", HS, person="b", **keywords)]
    with pytest.raises(InputError, match=message) as refusal:
        require_agreement(HS, [RunFolder.read(run) for run in runs])
    assert "\n" not in str(refusal.value)


def test_a_run_of_no_row_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, "odd", ABLATION, changes={"memory_gan.identity_source": "true"})
    with pytest.raises(InputError, match=r"run odd: .*memory_gan.identity_source=true is no row of .*No pose: "):
        require_agreement(ABLATION, [RunFolder.read(run)])


def test_what_cannot_change_a_result_may_differ(tmp_path: Path) -> None:
    changes = {"runs": "elsewhere", "trainer.devices": 2, "wandb.mode": "x", "fit.audio2pose.workers": 3}
    runs = [write_run(tmp_path, "a", HS), write_run(tmp_path, "b", HS, changes=changes | {"seed": 3})]
    require_agreement(HS, [RunFolder.read(run) for run in runs])


def test_too_short_is_a_row(tmp_path: Path) -> None:
    write_run(tmp_path, "r50", LENGTH, {"psnr_face": 30.0}, row="50 frames")
    long = {"data.train_seconds": 32.0, "seed": 0}
    reason = "too short (embedded: 500 frames, 900 are needed)"
    write_record(tmp_path, "video_length", [("r50", "finished", {"data.train_seconds": 2.0}), ("r800", reason, long)])
    table = make_table("video_length", Material([tmp_path]), tmp_path / "out")
    rows = {line.name: line for line in table.lines if line.source == "ours"}
    assert rows["800 frames"].remark == reason
    assert rows["50 frames"].cells["psnr_face"].value == 30.0
    assert rows["300 frames"].remark == "no finished run"
    assert any("1 of 2 runs" in note and "r800" in note for note in table.notes)
    assert reason in (tmp_path / "out/video_length.md").read_text()


def test_a_run_that_failed_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, "a", HS)
    write_record(tmp_path, "hs", [("a", "finished", {}), ("b", "failed (exit status 1)", {})])
    _, notes = lines(HS, [tmp_path])
    assert any("b (failed (exit status 1))" in note for note in notes)


def test_clips_are_observations_where_a_run_has_many(tmp_path: Path) -> None:
    protocol = read_protocol("table2")
    run = write_run(tmp_path, "run", protocol)
    rows = ("true_pose", "predicted_pose", "static", "other_sound")
    clips = {f"{row}/W/test/{k}": {"psnr": 30.0 + k - i} for i, row in enumerate(rows) for k in range(5)}
    write_scores(run / "clips.csv", clips)
    write_scores(run / "scores.csv", {row: {"psnr": 99.0} for row in rows})
    found, _ = lines(protocol, [run])
    cell = found["Ours-G"].cells["psnr"]
    assert (cell.value, cell.n, found["Ours-G"].unit) == (32.0, 5, "clips")
    assert found["Ours-G, predicted pose"].cells["psnr"].value == 31.0
    assert found["Still mouth"].cells["psnr"].value == 30.0
    assert cell.low < 32 < cell.high


def test_the_command_writes_all_formats_with_the_papers_numbers(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs", "a", HS, {"hs": 0.7})
    write_record(tmp_path / "runs", "hs", [("a", "finished", {})])
    assert main(["hs"]) == 0
    assert "Ours-P" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "tables/hs").iterdir()} == {"hs.md", "hs.csv", "hs.tex", "hs.png"}
    with (tmp_path / "tables/hs/hs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["hs"]) for row in rows if row["source"] == SOURCE] == [("Ours-P", "0.859")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hs", "--runs", "nowhere"], "make the runs with python -m experiments.run grid=hs"),
        (["table1"], "--study STUDY_DIR"),
        (["table1", "--study", "study", "--method", "A=videos"], "--method A: table table1 is made of people's votes"),
        (["table1", "--study", "study", "--reference", "real"], "user_study build STUDY_DIR --method NAME=FOLDER"),
        (["hs", "--runs", "run", "--method", "A=videos"], "--reference"),
        (["hs", "--runs", "run", "--method", "A"], "expected NAME=FOLDER"),
        (["hs", "--runs", "run", "--study", "study"], "no part for people"),
        (["hs", "--runs", "run", "--protocol", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(tmp_path: Path, monkeypatch, capsys, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path, "run", HS)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_an_unfinished_run_that_is_named_is_missing(tmp_path: Path) -> None:
    found, notes = lines(HS, [write_run(tmp_path, "unfinished", HS, finished=False)])
    assert found["Ours-P"].remark == "no finished run"
    assert "Missing, 1 of 1 runs: unfinished (not finished)." in notes


def test_a_run_that_was_reopened_after_its_grid_is_not_finished(tmp_path: Path) -> None:
    write_run(tmp_path, "again", HS, finished=False)
    write_run(tmp_path, "done", HS)
    write_record(tmp_path, "hs", [("again", "finished", {}), ("done", "finished", {})])
    _, notes = lines(HS, [tmp_path])
    assert "Missing, 1 of 2 runs: again (not finished)." in notes


@pytest.mark.parametrize("name", TABLES)
def test_protocols_are_whole(name: str) -> None:
    protocol = read_protocol(name)
    assert protocol.title
    if protocol.rows:
        assert {"fps", "crop_px", "landmarks"} <= protocol.measured.keys()
        assert protocol.main in protocol.rows


def test_a_protocol_with_a_mistake_is_refused(tmp_path: Path) -> None:
    for text, message in (("colums: [hs]", "unknown key colums"), ("- a", "does not hold a map"),
                          ("columns: [hz]\nrows: {A: {}}", "unknown column hz"),
                          ("rows: {A: {setings: {}}}", "unknown key setings")):  # fmt: skip
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(InputError, match=message):
            read_protocol("hs", tmp_path / "p.yaml")


def test_numbers_of_one_run_have_no_interval(tmp_path: Path) -> None:
    found, _ = lines(HS, [write_run(tmp_path, "a", HS)])
    assert math.isnan(found["Ours-P"].cells["hs"].low)
    assert found["Ours-P"].count == "1 run"
