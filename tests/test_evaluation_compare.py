"""What a row says beside the pictures: sound, lip sync, identity, other rates of frames, where the video comes from."""

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import compare
from evaluation.av_offset import offset
from evaluation.beat_alignment import beat_alignment
from evaluation.compare import ScoreSettings, score_each, score_pair
from evaluation.measure import Measurement, Sound, measure
from evaluation.origin import code_commit, run_of
from evaluation.sound import speech_beats
from face.identity import ArcFaceEncoder
from face.landmarks import five_points
from face.mouth_from_sound import predicted_opening
from media.audio import read_audio
from media.errors import InputError
from media.video import VideoWriter, read_frames
from tests.moving_photo import film, pictures
from tests.recordings import record
from tests.test_face_identity import linear_network

FRAMES = 12


def clicks(frames: int, every: float = 0.12) -> np.ndarray:
    """Short bursts of noise, `every` so many seconds from there on."""
    samples = np.zeros(640 * frames, np.float32)
    for start in np.arange(every, frames / 25 - 0.05, every):
        burst = np.random.default_rng(0).normal(0, 0.3, 400) * np.linspace(1, 0, 400)
        samples[round(16000 * start) :][:400] = burst.astype(np.float32)[: len(samples) - round(16000 * start)]
    return np.clip(samples, -1, 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real.mp4 without sound; made.mp4 with clicks and a little darker, in a run folder."""
    folder = tmp_path_factory.mktemp("compare")
    film(folder / "real.mp4", frames=FRAMES)
    (folder / "run/videos").mkdir(parents=True)
    (folder / "run/provenance.json").write_text('{"run_id": "0123abcd"}')
    with VideoWriter(folder / "run/videos/made.mp4", 256, 256, audio=clicks(FRAMES)) as writer:
        for picture in pictures(FRAMES):
            writer.write((0.9 * picture).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def measured(films: Path) -> Measurement:
    return measure(films / "real.mp4")


def test_several_videos_have_the_rows_that_each_alone_has(films: Path) -> None:
    real, made = films / "real.mp4", films / "run/videos/made.mp4"
    rows = list(score_each(real, [made, real, made]))
    np.testing.assert_equal(rows, [score_pair(real, path) for path in (made, real, made)])  # nan equals nan here
    with pytest.raises(InputError, match="no such file"):
        list(score_each(real, [made, films / "missing.mp4"]))


def test_beats_of_a_sound_are_its_bursts() -> None:
    beats = speech_beats(clicks(100, every=0.4))
    np.testing.assert_allclose(beats, np.arange(1, 10) * 0.4, atol=0.03)
    assert len(speech_beats(np.zeros(16000, np.float32))) == 0


def test_a_video_with_sound_in_a_run_folder(films: Path) -> None:
    row = score_pair(films / "real.mp4", films / "run/videos/made.mp4")
    assert row["notes"] == ""
    assert row["run"] == "0123abcd"
    assert row["commit"] == code_commit()
    made = measure(films / "run/videos/made.mp4")
    assert made.sound is not None
    expected = beat_alignment(torch.from_numpy(made.angles), torch.from_numpy(made.sound.beats))
    assert row["beat_align"] == pytest.approx(expected["beat_align"].item())
    assert row["beat_align_chance"] == pytest.approx(expected["beat_align_chance"].item())
    back = score_pair(films / "run/videos/made.mp4", films / "real.mp4")
    assert back["notes"] == "sound of the reference"
    assert back["run"] == ""


def test_a_mouth_behind_its_sound_is_measured_in_ms(measured: Measurement) -> None:
    opening = np.random.default_rng(1).random(120).astype(np.float32)
    longer = replace(
        measured,
        landmarks=np.repeat(measured.landmarks, 10, axis=0),
        angles=np.repeat(measured.angles, 10, axis=0),
        mouth_opening=opening,
        sound=Sound(np.array([0.5]), np.roll(opening, -3)),
    )
    scores = compare._sound_scores(longer, longer, 120)
    assert scores["av_offset"] == pytest.approx(120, abs=20)
    assert scores["av_confidence"] > 0.5
    mute = replace(longer, sound=None)
    assert np.isnan(compare._sound_scores(mute, mute, 120)["av_offset"])


def test_the_mouth_of_the_sound_is_that_of_the_sound_model(films: Path) -> None:
    made = measure(films / "run/videos/made.mp4")
    assert made.sound is not None
    expected = predicted_opening(read_audio(films / "run/videos/made.mp4"))
    np.testing.assert_array_equal(made.sound.mouth_opening, expected)
    row = score_pair(films / "real.mp4", films / "run/videos/made.mp4")
    late, confidence = offset(torch.from_numpy(made.mouth_opening), torch.from_numpy(expected))
    assert row["av_offset"] == pytest.approx(late.item(), nan_ok=True)
    assert row["av_confidence"] == pytest.approx(confidence.item(), nan_ok=True)


def test_identity_is_the_mean_cosine_of_the_networks_features(films: Path, tmp_path: Path) -> None:
    linear_network(tmp_path / "face.onnx")
    pair = films / "real.mp4", films / "run/videos/made.mp4"
    row = score_pair(*pair, settings=ScoreSettings(arcface=tmp_path / "face.onnx"))
    assert list(row).index("csim") == list(row).index("lost_frames") - 1
    encoder = ArcFaceEncoder(tmp_path / "face.onnx")
    real, made = (
        encoder(read_frames(path), five_points(measure(path).landmarks[..., :2])).astype(np.float64) for path in pair
    )
    assert row["csim"] == pytest.approx((real * made).sum(axis=1).mean(), abs=1e-5)
    assert "csim" not in score_pair(*pair)


def test_another_rate_is_brought_to_25_and_said(films: Path, tmp_path: Path) -> None:
    frames = read_frames(films / "real.mp4")
    fast = record(
        tmp_path / "fast.mp4",
        times=[Fraction(k, 50) for k in range(2 * FRAMES)],
        pictures=lambda k: frames[k // 2],
        frame_rate=50,
        options={"crf": "5"},
    )
    row = score_pair(films / "real.mp4", fast)
    assert (row["frames"], row["notes"]) == (FRAMES, "generated 50 -> 25 frames/s; no sound")
    assert row["psnr"] > 35
    assert row["hs"] > 0.9  # of a head that hardly moves: bins of a degree are a large part of its range


def test_hs_follows_its_settings(films: Path) -> None:
    pair = films / "real.mp4", films / "run/videos/made.mp4"
    plain = score_pair(*pair)
    full = score_pair(*pair, settings=ScoreSettings(normaliser="full"))
    degrees = np.mean([plain[f"w1_{axis}"] for axis in ("pitch", "yaw", "roll")])
    assert full["hs"] == pytest.approx(1 - degrees / 360, abs=1e-6)


def test_the_run_is_that_of_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "42ab/videos").mkdir(parents=True)
    (tmp_path / "42ab/provenance.json").write_text("half a fi")
    assert run_of(tmp_path / "42ab/videos/x.mp4") == "42ab"
    assert run_of(tmp_path / "x.mp4") == ""


def test_the_commit_marks_code_that_was_changed_since(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert code_commit(tmp_path) == ""
    git("init")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-m", "first")
    code_commit.cache_clear()
    clean = code_commit(tmp_path)
    (tmp_path / "a.py").write_text("a = 2\n")
    code_commit.cache_clear()
    changed = code_commit(tmp_path)
    assert len(clean) == 12
    assert changed.startswith(f"{clean}+")
    assert len(changed) == 21
    marks = set()
    for content in ("b = 1\n", "b = 2\n"):  # a file that git does not know yet
        (tmp_path / "new.py").write_text(content)
        code_commit.cache_clear()
        marks.add(code_commit(tmp_path))
    assert len(marks | {changed}) == 3
