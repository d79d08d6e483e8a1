import base64
import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from experiments import provenance
from experiments.plots import curve_plot, frame_strip, pose_plot, sample_frames, write_comparison
from experiments.report import write_report
from experiments.score_table import is_best, mean_scores, summary, talking_videos
from experiments.settings import compose, save_settings
from experiments.tracking import read_curves
from media.audio import read_audio
from media.video import read_frames
from media.video_writer import VideoWriter

FRAMES = 25
SIZE = 128
COLUMNS = ("row", "psnr", "psnr_face", "ssim", "lmd_iod", "lmd_px128", "mouth_correlation")
COLUMNS += ("hs", "w1_pitch", "w1_yaw", "w1_roll", "head_motion_ratio")
SCORES = (
    ("audio", 33.1, 27.9, 0.951, 0.041, 1.31, 0.58, 0.83, 1.2, 1.21, 0.5, 0.9),
    ("static", 32.7, 27.2, 0.948, 0.052, 1.52, 0.0, 0.83, 1.2, 1.21, 0.5, 0.9),
    ("shuffled", 32.2, 26.8, 0.944, 0.061, 1.73, 0.11, 0.83, 1.2, 1.21, 0.5, 0.9),
    ("true_coefficients", 34.0, 28.6, 0.958, 0.018, 0.41, 0.97, "", "", "", "", ""),
    ("truth", 100.0, 100.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)


def head(phase, size=SIZE):
    """A drawn head that turns from side to side and opens its mouth."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    shift = 0.12 * np.sin(phase)
    picture = np.full((size, size, 3), (190, 200, 215), np.uint8)
    picture[(((x - shift) / 0.24) ** 2 + (y / 0.33) ** 2) < 1] = (225, 180, 150)
    for side in (-0.09, 0.09):
        picture[((x - 1.3 * shift - side) ** 2 + (y + 0.08) ** 2) < 0.0006] = (40, 40, 40)
    opening = 0.01 + 0.03 * (1 + np.sin(3 * phase))
    picture[(((x - 1.3 * shift) / 0.07) ** 2 + ((y - 0.16) / opening) ** 2) < 1] = (150, 40, 40)
    return picture


def write_video(path, frames, **keywords):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, frames[0].shape[1], frames[0].shape[0], **keywords) as writer:
        for frame in frames:
            writer.write(frame)


def make_run(folder, arguments=()):
    """A run folder with everything a finished run has."""
    settings = compose(list(arguments))
    folder.mkdir(parents=True)
    save_settings(settings, folder)
    provenance.record_start(folder, settings, list(arguments))
    for name in ("prepare", "fit audio2pose", "fit memory_gan", "generate", "score"):
        with provenance.stage(folder, name):
            pass
    preparation = {"frames": 607, "training_frames": 300, "split_note": "", "bridged_frames": 3, "audio_offset": -6}
    (folder / "preparation.json").write_text(json.dumps(preparation | {"landmark_error_percent": 1.02}))
    with (folder / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *SCORES])
    phases = np.linspace(0, 6, FRAMES)
    truth, sound = [head(p) for p in phases], 0.3 * np.sin(np.arange(FRAMES * 640) * 0.2).astype(np.float32)
    write_video(folder / "videos/reference.mp4", truth, lossless=True)
    for row, delay in (("audio", 0.2), ("static", 0.6), ("true_coefficients", 0.05)):
        write_video(folder / f"videos/{row}/reenacted.mp4", [head(p + delay) for p in phases], lossless=True)
    write_video(folder / "videos/audio/generated.mp4", [head(1.5 * p) for p in phases], audio=sound)
    wide = [np.concatenate([frame, frame[:, ::-1]], 1) for frame in truth]
    write_video(folder / "videos/heldout.mp4", wide, audio=sound)
    angles = np.stack([5 * np.sin(phases), 12 * np.sin(phases / 2), 2 * np.cos(phases)], -1)
    fitted = np.roll(angles, 5, 0)
    np.savez(folder / "poses.npz", true_angles=angles, predicted_angles=0.7 * angles[::-1], fitted_angles=fitted)
    write_curves(folder / "logs/audio2pose/metrics.csv", ("loss", "mouth_correlation", "pose"))
    write_curves(folder / "logs/memory_gan/metrics.csv", ("generator", "discriminator", "l1", "attention", "psnr"))
    return folder


def write_curves(path, names):
    path.parent.mkdir(parents=True)
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", *(f"{p}/{n}" for p in ("train", "val") for n in names)])
        writer.writeheader()
        for step in range(0, 400, 10):
            noise = generator.normal(0, 0.03, len(names))
            row = {f"train/{n}": np.exp(-step / 100) + e for n, e in zip(names, noise, strict=True)}
            writer.writerow({"epoch": step // 40, "step": step, **row})
            if step % 40 == 30:
                values = {f"val/{name}": 1.1 * np.exp(-step / 120) for name in names}
                writer.writerow({"epoch": step // 40, "step": step, **values})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "0123456789", ["seed=3", "fit.memory_gan.epochs=7"])


@pytest.fixture(scope="module")
def page(run):
    return write_report(run).read_text()


class Tags(HTMLParser):
    """Collects what a page refers to, and whether every tag is closed."""

    def __init__(self):
        super().__init__()
        self.sources, self.open, self.headings = [], [], []

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_report_is_one_file_with_everything_in_it(page):
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.headings == ["Result", "Scores", "Frames", "Head pose", "Training", "Preparation", "How it was made"]
    assert tags.sources
    assert all(source.startswith("data:") for source in tags.sources)
    assert "http" not in page.replace("http-equiv", "")


def test_videos_play_in_a_browser_and_have_sound(page, tmp_path):
    videos = re.findall(r"data:video/mp4;base64,([A-Za-z0-9+/=]+)", page)
    assert len(videos) == 2  # the comparison and the full picture
    for index, data in enumerate(videos):
        path = tmp_path / f"{index}.mp4"
        path.write_bytes(base64.b64decode(data))
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
            assert container.streams.audio
        assert len(read_frames(path)) == FRAMES


def test_facts_and_notes(page):
    text = re.sub(r"<[^>]*>", " ", re.sub(r'src="[^"]*"', "", page))
    for part in (
        "Trained from scratch",
        "in 3 frames no face was found",
        "fit.memory_gan.epochs",
        "python -m experiments.run seed=3 fit.memory_gan.epochs=7",
        "33.10",
        "0.041",
    ):
        assert part in text, part
    assert page.count('class="best"') == 6  # psnr, psnr_face, ssim, both lmd, correlation; HS is equal in all rows


@pytest.mark.parametrize(
    "missing",
    [
        ("scores.csv", "poses.npz", "videos/audio/generated.mp4", "videos/comparison.mp4"),
        ("preparation.json", "provenance.json", "videos/reference.mp4"),
        ("settings.yaml", "logs/audio2pose/metrics.csv", "videos/heldout.mp4"),
    ],
)
def test_a_part_may_be_missing(run, tmp_path, missing):
    copy = tmp_path / "0123456789"
    shutil.copytree(run, copy)
    for name in missing:
        (copy / name).unlink(missing_ok=True)
    Tags().feed(write_report(copy).read_text())


def test_an_empty_folder_has_an_empty_report(tmp_path):
    assert "<h2>" not in write_report(tmp_path).read_text()


def test_split_note_and_parent_are_told(tmp_path):
    folder = make_run(tmp_path / "a")
    provenance.record(folder, parents={"audio2pose": {"run": "fedcba9876", "checkpoint_sha256": "0" * 64}})
    (folder / "preparation.json").write_text(json.dumps({"split_note": "cut at the first 60 % <6 s>"}))
    page = write_report(folder).read_text()
    assert "cut at the first 60 % &lt;6 s&gt;" in page
    assert page.count("weights of run fedcba9876") == 1
    assert page.count("Trained from scratch") == 1  # the other stage


@pytest.mark.parametrize(
    ("members", "told"),
    [(1, "the head pose from scratch.</p>"), (2, "That is the first of 2 networks; the rest started from scratch.")],
)
def test_weights_of_the_project_are_no_run(tmp_path, members, told):
    folder = make_run(tmp_path / "a", [f"audio2pose.members={members}"])
    provenance.record(folder, parents={"audio2pose": {"run": "general", "weights_sha256": "0" * 64}})
    page = write_report(folder).read_text()
    assert "run general" not in page
    assert page.count("Started from the weights that come with the project") == 1
    assert told in page


@pytest.mark.parametrize("weight", [0.0, 0.6])
def test_a_regression_beside_the_networks_is_told(tmp_path, weight):
    page = write_report(make_run(tmp_path / "a", [f"audio2pose.kernel_weight={weight}"])).read_text()
    assert page.count("kernel regression") == (weight > 0)


@pytest.mark.parametrize("alone", [True, False])
def test_networks_that_did_not_start_from_the_parent_are_told(tmp_path, alone):
    folder = make_run(tmp_path / "a", ["audio2pose.members=2"])
    facts = {"run": "fedcba9876", "checkpoint_sha256": "0" * 64} | ({"first_member_alone": True} if alone else {})
    provenance.record(folder, parents={"audio2pose": facts})
    page = write_report(folder).read_text()
    assert page.count("weights of run fedcba9876") == 1
    assert ("That is the first of 2 networks; the rest started from scratch." in page) == alone


def test_networks_of_the_user_and_missing_sound_are_told(tmp_path):
    folder = make_run(tmp_path / "a")
    provenance.record(folder, files_sha256={"face.identity_onnx": "fedcba9876"})
    (folder / "preparation.json").write_text(json.dumps({"sound_lacking": 3.2}))
    page = write_report(folder).read_text()
    assert "<td>face.identity_onnx, sha256</td><td>fedcba9876</td>" in page
    assert "the sound ends 3.2 s before the picture" in page


def test_unfinished_videos_are_not_shown(run, tmp_path):
    speech = tmp_path / "a" / "videos" / "speech"
    speech.mkdir(parents=True)
    for name in ("hello.mp4", ".hello.123.mp4"):
        shutil.copy(run / "videos" / "heldout.mp4", speech / name)
    assert talking_videos(tmp_path / "a") == [speech / "hello.mp4"]


def test_comparison_shows_truth_reenacted_generated_in_this_order(run, tmp_path):
    output = tmp_path / "comparison.mp4"
    write_comparison(run / "videos", output)
    frames = read_frames(output)
    assert frames.shape == (FRAMES, SIZE + 24, 3 * SIZE, 3)
    for column, name in enumerate(("reference", "audio/reenacted", "audio/generated")):
        part = frames[:, 24:, column * SIZE : (column + 1) * SIZE].astype(float)
        assert np.abs(part - read_frames(run / f"videos/{name}.mp4")).mean() < 4, name
    sound = read_audio(output)
    assert abs(len(sound) - FRAMES * 640) < 2000
    assert np.sqrt(np.mean(sound[2000:-4000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    before = output.stat().st_mtime_ns
    write_comparison(run / "videos", output)
    assert output.stat().st_mtime_ns == before


def test_sampled_frames_are_spread_evenly(run):
    moments, frames = sample_frames(run / "videos/reference.mp4", 5)
    assert moments == [2, 7, 12, 17, 22]
    whole = read_frames(run / "videos/reference.mp4")
    assert all(np.array_equal(frame, whole[moment]) for moment, frame in zip(moments, frames, strict=True))


def test_plots_are_pictures(run):
    assert pose_plot({"true": np.zeros((10, 3)), "predicted": np.ones((12, 3))})[:4] == b"\x89PNG"
    assert curve_plot(read_curves(run / "logs/audio2pose/metrics.csv"))[:4] == b"\x89PNG"
    assert curve_plot([{"step": 1.0, "epoch": 0.0}]) is None
    assert frame_strip({"a": run / "videos/reference.mp4"}, count=2)[:2] == b"\xff\xd8"


def test_best_is_marked_among_competing_rows_in_the_right_direction():
    header = ["row", "psnr", "lmd_iod", "head_motion_ratio"]
    rows = [["audio", "30", "0.05", "1"], ["static", "29", "0.04", "2"], ["truth", "100", "0", "1"]]
    marked = [[is_best(column, row, header, rows) for column in (1, 2, 3)] for row in rows]
    assert marked == [[True, False, False], [False, True, False], [False, False, False]]


def test_summary_is_a_table_and_paths(run):
    lines = summary(run).splitlines()
    assert lines[0].split()[:3] == ["row", "psnr", "psnr_face"]
    assert lines[1].split()[:3] == ["audio", "33.10", "27.90"]
    assert [line.split()[0] for line in lines[-2:]] == ["video", "report"]
    assert Path(lines[-2].split()[1]).is_file()
    assert mean_scores(run)["psnr"] == 33.1
