"""Below a table: judged frames and clips, and lost faces; and runs that cannot be set side by side for these."""

from pathlib import Path

import pytest

from evaluation.tables.agreement import require_agreement
from evaluation.tables.from_runs import lines_from_runs
from evaluation.tables.grid_record import find_runs
from evaluation.tables.protocol import read_protocol
from evaluation.tables.run_folder import RunFolder
from media.errors import InputError
from tests.run_folders import write_run, write_scores

HS, ABLATION, LENGTH, TABLE2 = (read_protocol(name) for name in ("hs", "ablation", "video_length", "table2"))
ROWS2 = ("true_pose", "predicted_pose", "static", "other_sound", "truth against truth")


def notes_of(protocol, folders: list[Path]) -> list[str]:
    return lines_from_runs(protocol, find_runs(protocol.name, folders))[1]


def test_frames_of_every_row_are_told(tmp_path: Path) -> None:
    full, still, other = ABLATION.rows
    runs = [write_run(tmp_path, row, ABLATION, row=row, measured={"frames": 150}) for row in (full, still)]
    assert f"Judged: 150 frames in each run of {full}, {still}." in notes_of(ABLATION, runs)
    runs.append(write_run(tmp_path, "other", ABLATION, row=other, person="b", measured={"frames": 99}))
    note = f"Judged: 150 frames in each run of {full}, {still}; 99 frames in each run of {other}."
    assert note in notes_of(ABLATION, runs)


def test_people_may_have_unequal_numbers_of_frames(tmp_path: Path) -> None:
    lengths = {"a": 180, "b": 307, "c": 166}
    runs = [write_run(tmp_path, name, HS, person=name, measured={"frames": n}) for name, n in lengths.items()]
    assert "Judged: 166 to 307 frames in each run of Ours-P." in notes_of(HS, runs)


def test_clips_of_table2_are_told(tmp_path: Path) -> None:
    run = write_run(tmp_path, "run", TABLE2, measured={"clips": 20})
    write_scores(run / "scores.csv", {row: {"psnr": 1.0} for row in ROWS2})
    assert "Judged: 20 clips in each run of Ours-G, Ours-G, predicted pose." in notes_of(TABLE2, [run])


def test_runs_that_say_nothing_give_no_note(tmp_path: Path) -> None:
    assert not any(
        "Judged" in note or "without a face" in note for note in notes_of(HS, [write_run(tmp_path, "a", HS)])
    )


@pytest.mark.parametrize("second", [{"frames": 100}, {}])
def test_other_frames_of_the_same_person_are_refused(tmp_path: Path, second: dict) -> None:
    runs = [write_run(tmp_path, "even", LENGTH, row="50 frames", measured={"frames": 150})]
    runs.append(write_run(tmp_path, "odd", LENGTH, row="100 frames", measured=second))
    found = "100 frames" if second else "an unknown number"
    message = f"run odd: judged is on {found}, run even of the same data on 150 frames"
    with pytest.raises(InputError, match=message) as refusal:
        require_agreement(LENGTH, [RunFolder.read(run) for run in runs])
    assert "\n" not in str(refusal.value)


def test_lost_faces_are_told_for_the_row_and_the_videos_they_are_in(tmp_path: Path) -> None:
    first, second = (write_run(tmp_path, str(seed), HS, changes={"seed": seed}) for seed in (0, 1))
    names = ("lost_frames", "lost_frames_generated")
    for run, lost in ((first, (2, 1)), (second, (3, 0))):
        rows = {"audio": lost, "static": (0, 0), "shuffled": (1 / 3, 0), "truth": (0, 0)}
        write_scores(run / "scores.csv", {row: dict(zip(names, counts, strict=True)) for row, counts in rows.items()})
    told = [note for note in notes_of(HS, [first, second]) if "without a face" in note]
    assert told == [
        "5 frames without a face in Ours-P.",
        "1 frames without a face in Ours-P, generated videos.",
        "0.6667 frames without a face in Shuffled sound.",
    ]


def general_run(folder: Path, name: str, parents: dict | None, seed: int = 0) -> Path:
    changes = {"seed": seed, "init_from_audio2pose": f"runs/a{seed}", "init_from_memory_gan": f"runs/m{seed}"}
    measured = {"clips": 5} | ({"parents": parents} if parents else {})
    return write_run(folder, name, TABLE2, changes=changes, measured=measured)


def test_seeds_of_the_same_general_models_make_one_row(tmp_path: Path) -> None:
    parents = {"audio2pose": "0011223344", "memory_gan": "5566778899"}
    runs = [general_run(tmp_path, f"run{seed}", parents, seed) for seed in (0, 1)]
    require_agreement(TABLE2, [RunFolder.read(run) for run in runs])


@pytest.mark.parametrize("kept", [True, False])
def test_other_general_models_are_refused(tmp_path: Path, kept: bool) -> None:
    """By their settings; of runs that did not keep these, by the models themselves."""
    hashes = ("5566778899", "ffeeddccbb")
    parents = [{"audio2pose": "0011223344", "memory_gan": found} if kept else None for found in hashes]
    runs = [general_run(tmp_path, f"run{seed}", parents[seed], seed) for seed in (0, 1)]
    first, second = hashes if kept else ("runs/m0", "runs/m1")
    message = f"run run1: init_from is of the general models .*{second}, run run0 of .*{first}"
    with pytest.raises(InputError, match=message) as refusal:
        require_agreement(TABLE2, [RunFolder.read(run) for run in runs])
    assert "\n" not in str(refusal.value)


def test_lengths_are_compared_in_nothing_that_depends_on_the_crop(tmp_path: Path) -> None:
    """docs/metrics.md: these are of all pixels of the crop, or in its pixels."""
    of_the_crop = {"psnr", "psnr_atvg", "ssim", "ssim_gaussian", "lmd_px128", "lmd_face_px128"}
    assert not of_the_crop & set(LENGTH.columns)
    assert {"psnr_face", "ssim_face", "lmd_iod", "mouth_correlation", "hs"} <= set(LENGTH.columns)
