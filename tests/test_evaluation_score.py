"""Scores of films of a photo: perfect for equal files, equal to an independent computation otherwise; the program."""

import csv
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import wasserstein_distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evaluation import columns, compare
from evaluation.measure import measure
from evaluation.score import CEILING, FLOOR, TRUTH, main, score_folders, score_pair
from face.crop import Crop
from face.tracking import track
from media.digest import sha256
from media.errors import InputError
from media.video import read_frames
from tests.moving_photo import film

OTHERS = ("csim", "lost_frames_generated")  # the first needs a network, the second a run of ours
COLUMNS = [column for column in columns.COLUMNS if column not in OTHERS]
PERFECT = {"psnr": 100, "psnr_face": 100, "psnr_atvg": 100, "ssim": 1, "ssim_face": 1, "ssim_gaussian": 1}
PERFECT |= {"lmd_iod": 0, "lmd_px128": 0, "lmd_face_iod": 0, "lmd_face_px128": 0, "hs": 1, "hs_centred": 1}
PERFECT |= {"w1_pitch": 0, "w1_yaw": 0, "w1_roll": 0, "head_motion_ratio": 1, "mouth_correlation": 1, "lost_frames": 0}
PERFECT |= {"velocity_distance": 0, "acceleration_distance": 0}
TEXT = {"name", "notes", "run", "data", "commit"}
FULL_DISK = Path("/dev/full")  # Linux: every write to it fails
DATA = Path(__file__).parents[2] / "shared/data"


def noisy(picture: np.ndarray, frame: int) -> np.ndarray:
    noise = np.random.default_rng(frame).normal(0, 10, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def hs(ours: np.ndarray, real: np.ndarray) -> float:
    """Eq. 6 with bins of one degree and the common range, by scipy."""
    shares = []
    for axis in range(3):
        sides = [np.floor(side[:, axis].astype(np.float64) + 0.5) for side in (ours, real)]
        shares.append(wasserstein_distance(*sides) / max(np.ptp(np.concatenate(sides)), 1))
    return 1 - float(np.mean(shares))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real/ with a, b and c, made/ with b (noisy, 8 frames), a (equal) and one without partner."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "real/a.mp4", frames=12)
    film(folder / "real/b.mp4", frames=10)
    film(folder / "real/c.mp4", frames=4)
    film(folder / "made/b.mkv", frames=8, change=noisy)
    shutil.copy(folder / "real/a.mp4", folder / "made/a.mp4")
    film(folder / "made/stranger.mp4", frames=4)
    (folder / "made/notes.txt").write_text("no video")
    return folder


def test_a_video_against_itself_is_perfect(films: Path) -> None:
    row = score_pair(films / "real/a.mp4", films / "made/a.mp4")
    assert list(row) == COLUMNS
    assert (row["name"], row["frames"]) == ("a", 12)
    assert {key: row[key] for key in PERFECT} == pytest.approx(PERFECT, abs=1e-6)
    assert 0 < row["hs_ceiling"] < 1
    assert (row["notes"], row["run"]) == ("no sound", "")
    digest = sha256(films / "real/a.mp4")[:12]
    assert row["data"] == f"{digest}:{digest}"


def test_numbers_equal_an_independent_computation(films: Path, caplog: pytest.LogCaptureFixture) -> None:
    real, made = films / "real/b.mp4", films / "made/b.mkv"
    with caplog.at_level(logging.WARNING):
        row = score_pair(real, made)
    assert "8 frames (0.32 s)" in caplog.text  # the difference in length is said
    assert row["frames"] == 8
    truth, ours = read_frames(real, stop=8), read_frames(made)
    masks = [measure(real).face_mask(frame) for frame in range(8)]
    picture = ["psnr", "psnr_face", "ssim", "ssim_face", "ssim_gaussian"]
    expected: dict[str, list[float]] = {column: [] for column in picture}
    for a, b, mask in zip(truth, ours, masks, strict=True):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        gaussian = structural_similarity(a, b, channel_axis=2, data_range=255, **options)
        value, image = structural_similarity(a, b, channel_axis=2, data_range=255, full=True)
        expected["psnr"].append(peak_signal_noise_ratio(a, b, data_range=255))
        expected["psnr_face"].append(peak_signal_noise_ratio(a[mask], b[mask], data_range=255))
        expected["ssim"].append(value)
        expected["ssim_face"].append(image[mask].mean())
        expected["ssim_gaussian"].append(gaussian)
    assert {key: row[key] for key in expected} == pytest.approx({k: np.mean(v) for k, v in expected.items()}, abs=1e-4)
    points = [measure(path).key_points[:8, 48:68].astype(np.float64) for path in (made, real)]
    ours_points, truth_points = (p - p.mean(axis=1, keepdims=True) for p in points)
    pixels = np.linalg.norm(ours_points - truth_points, axis=2).mean()
    assert row["lmd_px128"] == pytest.approx(pixels / 2, rel=1e-4)
    assert row["notes"] == "first 8 of 10 reference frames; no sound"
    assert 0 < row["lmd_iod"] < 0.03
    assert row["hs"] > 0.8
    assert row["head_motion_ratio"] == pytest.approx(1.0, abs=0.1)


def test_a_fixed_head_has_less_motion_and_hs(films: Path, tmp_path: Path) -> None:
    first = read_frames(films / "real/a.mp4", stop=1)[0]
    row = score_pair(films / "real/a.mp4", film(tmp_path / "still.mp4", frames=12, change=lambda _, __: first))
    assert row["head_motion_ratio"] < 0.05
    assert row["hs"] < 0.95
    assert row["w1_roll"] > 3
    assert row["psnr"] < 30


def test_another_size_is_compared_in_the_same_crop(tmp_path: Path) -> None:
    real = film(tmp_path / "real.mp4", frames=5, width=480, height=320, zoom=1.2)
    larger = [Image.fromarray(frame).resize((720, 480), Image.Resampling.BICUBIC) for frame in read_frames(real)]
    enlarged = film(tmp_path / "enlarged.mp4", 5, 720, 480, change=lambda _, frame: np.asarray(larger[frame]))
    row = score_pair(real, enlarged)
    assert row["psnr"] > 35
    assert row["lmd_iod"] < 0.01
    assert "reference 480x320 px: square of" in row["notes"]
    assert "generated 720x480 px: square of" in row["notes"]
    # a generated 256 px crop against a full-size reference
    reference = measure(real)
    frames = list(reference.frames())
    crop = film(tmp_path / "crop.mp4", frames=5, change=lambda _, frame: frames[frame])
    row = score_pair(real, crop)
    assert (row["psnr"], row["ssim"]) == (100, pytest.approx(1))
    assert row["lmd_iod"] < 0.02  # tracked in other pixels
    assert "generated 256x256 px taken as the face crop" in row["notes"]


def test_a_small_full_view_is_not_taken_as_the_face_crop(tmp_path: Path) -> None:
    real = film(tmp_path / "real.mp4", frames=5, width=440, height=440, zoom=1.2)
    small = [np.asarray(Image.fromarray(frame).resize((256, 256))) for frame in read_frames(real)]
    whole = film(tmp_path / "whole.mp4", frames=5, change=lambda _, frame: small[frame])
    with pytest.raises(InputError, match=r"taken as the face crop.*440x440 px, or the 256x256 px crop") as refusal:
        score_pair(real, whole)
    assert "\n" not in str(refusal.value)
    ours, true = (int(number) for number in re.findall(r"(\d+) px (?:apart|in its crop)", str(refusal.value)))
    assert ours / true == pytest.approx(measure(real).crop.side / 440, rel=0.05)
    # the same view in its own size, and in a size that is no crop's, is compared
    assert "taken as" not in score_pair(real, film(tmp_path / "full.mp4", 5, 440, 440, zoom=1.2))["notes"]


def test_a_face_that_comes_a_little_nearer_is_compared_and_a_larger_crop_is_not(tmp_path: Path) -> None:
    real = film(tmp_path / "real.mp4", frames=5, width=480, height=320, zoom=1.2)
    crop = measure(real).crop

    def enlarged(times: float) -> Path:
        square = Crop(crop.x + crop.side * (1 - 1 / times) / 2, crop.y + crop.side * (1 - 1 / times) / 2,
                      crop.side / times, 256)  # fmt: skip
        frames = [square.apply(frame) for frame in read_frames(real)]
        return film(tmp_path / f"{times}.mp4", frames=5, change=lambda _, frame: frames[frame])

    assert score_pair(real, enlarged(1.12))["lost_frames"] == 0
    with pytest.raises(InputError, match="taken as the face crop"):
        score_pair(real, enlarged(1.3))


def test_a_lost_face_is_counted_and_left_out_of_the_landmarks(films: Path, tmp_path: Path) -> None:
    def vanish(picture: np.ndarray, frame: int) -> np.ndarray:
        return np.full_like(picture, 100) if frame in (5, 6) else picture

    row = score_pair(films / "real/a.mp4", film(tmp_path / "gap.mp4", frames=12, change=vanish))
    assert (row["frames"], row["lost_frames"]) == (12, 2)
    assert row["lmd_iod"] < 0.01
    assert row["psnr"] < 90


def test_folders_are_matched_by_name_and_sorted(films: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        scores = score_folders(films / "real", films / "made")
    assert [row["name"] for row in scores.table] == ["a", "b", "mean", TRUTH, CEILING, FLOOR]
    a, b, mean, truth, ceiling, floor = scores.table
    assert all(list(row) == COLUMNS for row in scores.table)
    for column in set(COLUMNS) - TEXT:
        assert mean[column] == pytest.approx((a[column] + b[column]) / 2, nan_ok=True)
    assert (mean["notes"], mean["commit"]) == ("", a["commit"])
    assert {key: truth[key] for key in PERFECT} == pytest.approx(PERFECT, abs=1e-6)
    real = [measure(films / f"real/{name}.mp4").angles for name in "ab"]
    halves = [hs(angles[: len(angles) // 2], angles[len(angles) // 2 :]) for angles in real]
    assert ceiling["hs"] == pytest.approx(np.mean(halves), abs=1e-6)
    assert floor["hs"] == pytest.approx((hs(*real) + hs(*real[::-1])) / 2, abs=1e-6)
    centred = [angles - angles.mean(axis=0, dtype=np.float64) for angles in real]
    assert floor["hs_centred"] == pytest.approx((hs(*centred) + hs(*centred[::-1])) / 2, abs=1e-6)
    assert np.isnan(floor["psnr"])
    assert "stranger.mp4: no video of this name" in caplog.text
    assert "c.mp4: no video of this name" in caplog.text
    assert scores.refused == []


def test_rows_in_deeper_folders_have_a_mean_each(films: Path, tmp_path: Path) -> None:
    for row in ("audio", "static"):
        for name in ("b", "c"):
            (tmp_path / row).mkdir(exist_ok=True)
            shutil.copy(films / f"real/{name}.mp4", tmp_path / row)
    scores = score_folders(films / "real", tmp_path)
    assert [row["name"] for row in scores.table] == [
        *("audio/b", "audio/c", "static/b", "static/c", "mean of audio", "mean of static", "mean", TRUTH),
        *(CEILING, FLOOR),
    ]


def test_a_reference_is_tracked_once(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracked: list[str] = []

    def counted(frames: object, source: str, **options: object) -> object:
        tracked.append(source)
        return track(frames, source, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compare, "_references", {})
    monkeypatch.setattr("evaluation.measure.track", counted)
    for _ in range(2):
        score_pair(films / "real/a.mp4", films / "made/b.mkv")
    assert tracked.count(str(films / "real/a.mp4")) == 1


def test_one_thread_and_several_give_the_same_row(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for threads in (1, 3):
        monkeypatch.setattr(compare, "_references", {})
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        rows.append(score_pair(films / "real/a.mp4", films / "made/b.mkv"))
    assert repr(rows[0]) == repr(rows[1])


def test_the_program_prints_a_table_and_writes_csv(films: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new/scores.csv"
    assert main([str(films / "real/a.mp4"), str(films / "made/b.mkv"), "--out", str(out)]) == 0
    table, notes = capsys.readouterr().out.strip().rsplit("\n", 1)
    for block in table.split("\n\n"):
        lines = block.splitlines()
        assert [line.split("  ")[0].strip() for line in lines] == ["name", "b", "mean", TRUTH, CEILING]
        assert len({len(line) for line in lines}) == 1  # aligned
    assert notes == "b: first 8 of 12 reference frames; no sound"
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["name"] for row in rows] == ["b", "mean", TRUTH, CEILING]
    assert rows[0]["frames"] == "8"
    assert float(rows[2]["psnr"]) == 100
    assert all(len(row["ssim"].lstrip("0.")) <= 6 for row in rows)
    assert (rows[3]["psnr"], rows[0]["av_offset"]) == ("", "")  # not measured
    assert list(out.parent.iterdir()) == [out]


def refusal(arguments: list[Path | str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_what_cannot_be_scored_is_refused_in_one_line(films: Path, tmp_path: Path, capsys) -> None:
    real, made = films / "real/a.mp4", films / "made"
    assert "one is a folder" in refusal([real, made], capsys)
    assert "nothing.mp4: cannot be read" in refusal([real, tmp_path / "nothing.mp4"], capsys)
    (tmp_path / "others").mkdir()
    shutil.copy(real, tmp_path / "others/z.mp4")
    assert "no video in" in refusal([films / "real", tmp_path / "others"], capsys)
    shutil.copy(real, tmp_path / "others/z.mkv")
    assert "several videos named z" in refusal([films / "real", tmp_path / "others"], capsys)
    grey = film(tmp_path / "grey.mp4", frames=30, change=lambda picture, _: np.full_like(picture, 90))
    assert "frame 0 (0.00 s)" in refusal([real, grey], capsys)
    assert "--normaliser range" in refusal([real, real, "--normaliser", "range"], capsys)
    assert "--bin-width 0" in refusal([real, real, "--bin-width", "0"], capsys)
    assert "net.onnx: no such file" in refusal([real, made / "b.mkv", "--arcface", tmp_path / "net.onnx"], capsys)


def test_one_bad_clip_costs_its_own_row_and_the_exit_status(films: Path, tmp_path: Path, capsys) -> None:
    shutil.copy(films / "made/a.mp4", tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"no video at all")
    assert main([str(films / "real"), str(tmp_path)]) == 1
    output = capsys.readouterr()
    first = output.out.split("\n\n")[0]
    assert [line.split()[0] for line in first.splitlines()] == ["name", "a", "mean", "truth", "half"]
    assert "1 of 2 pairs were refused" in output.err
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(InputError, match="none of the 1 pairs"):
        score_folders(films / "real", tmp_path)


@pytest.mark.skipif(not FULL_DISK.exists(), reason="no /dev/full here")
def test_a_full_disk_ends_the_scoring_and_blames_no_pair(films: Path, tmp_path: Path, capsys, caplog) -> None:
    kept = tmp_path / "scores.partial.jsonl"
    kept.symlink_to(FULL_DISK)
    error = refusal([films / "real", films / "made", "--out", tmp_path / "scores.csv"], capsys)
    assert error == f"{kept}: cannot be written (No space left on device); free space, or change --out."
    assert "not scored:" not in caplog.text
    assert not (tmp_path / "scores.csv").exists()
    kept.unlink()  # space again: the same command goes on
    assert main([str(films / "real"), str(films / "made"), "--out", str(tmp_path / "scores.csv")]) == 0


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
def test_a_real_recording_against_itself_and_another(tmp_path: Path) -> None:
    clips = DATA / "clips"
    row = score_pair(clips / "grid_bbaf2n.mpg", clips / "grid_bbaf2n.mpg")
    assert {key: row[key] for key in PERFECT} == pytest.approx(PERFECT, abs=1e-6)
    other = score_pair(clips / "grid_bbaf2n.mpg", clips / "grid_lbax4n.mpg")
    assert other["psnr"] < 20
    assert other["mouth_correlation"] < 0.8
    assert other["lmd_iod"] > 0.02
