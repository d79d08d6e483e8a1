import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.synthetic.corpus import make_corpus
from datamodules.synthetic.film import make_person_film
from datamodules.synthetic.visemes import BILABIALS
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, TRANSLATION
from face.landmarks import mouth_opening
from face.models.registry import load_face_model
from face.tracking import Track, track
from media.audio import read_audio
from media.errors import InputError
from media.video import probe, read_frames, stream_frames

SECONDS, FRAMES = 4, 100


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "person.mp4"
    make_person_film(path, SECONDS, seed=0)
    return path


@pytest.fixture(scope="module")
def truth(film: Path) -> dict[str, np.ndarray]:
    with np.load(film.with_suffix(".npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def tracked(film: Path) -> Track:
    return track(stream_frames(film), str(film))


def test_the_film_has_its_length_and_sound(film: Path, truth: dict[str, np.ndarray]) -> None:
    info = probe(film)
    assert (info.width, info.height, info.fps, info.has_audio) == (512, 512, 25, True)
    assert info.duration == pytest.approx(SECONDS, abs=0.01)
    assert len(read_frames(film)) == FRAMES == len(truth["chi"])
    sound = read_audio(film)
    assert len(sound) == pytest.approx(16_000 * SECONDS, abs=1024)
    for name, start, end in zip(truth["phonemes"], truth["starts"], truth["ends"], strict=True):
        if name == "_" and end - start > 0.2:
            assert np.abs(sound[int(16_000 * (start + 0.05)) : int(16_000 * (end - 0.05))]).max() < 0.05
    assert np.abs(sound).max() > 0.3


def test_landmarks_are_those_of_the_coefficients(truth: dict[str, np.ndarray]) -> None:
    chi, model = torch.from_numpy(truth["chi"]), load_face_model()
    shape = model.shape(chi[:, IDENTITY], chi[:, EXPRESSION])[:, model.landmark_vertices]
    places = Camera(512).project(pose_vertices(shape, chi[:, ANGLES], chi[:, TRANSLATION])).numpy()
    np.testing.assert_allclose(truth["landmarks"][..., :2], places[..., :2], atol=0.02)
    assert truth["landmarks"][..., :2].min() > 20
    assert truth["landmarks"][..., :2].max() < 492


def test_the_tracker_sees_what_is_true(tracked: Track, truth: dict[str, np.ndarray]) -> None:
    assert tracked.confidence.min() > 0.95
    assert not tracked.bridged.any()
    true = truth["landmarks"]
    eyes = np.linalg.norm(true[:, 33, :2] - true[:, 263, :2], axis=-1)
    error = np.linalg.norm(tracked.landmarks[..., :2] - true[..., :2], axis=-1).mean(1) / eyes
    assert error.mean() < 0.03
    assert error.max() < 0.06
    openings = mouth_opening(tracked.landmarks), mouth_opening(true)
    assert np.corrcoef(*openings)[0, 1] > 0.9
    assert 0.5 < openings[0].std() / openings[1].std() < 1.5


def test_eyes_blink(tracked: Track, truth: dict[str, np.ndarray]) -> None:
    assert truth["lids"].max() > 0.95
    assert np.median(truth["lids"]) == 0

    def lids(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[:, 159] - points[:, 145], axis=-1) / np.linalg.norm(
            points[:, 33] - points[:, 263], axis=-1
        )

    true, seen = lids(truth["landmarks"]), lids(tracked.landmarks)
    assert true.min() < 0.35 * np.median(true)  # in space; seen from the front the lids touch
    assert seen[true.argmin()] < 0.8 * np.median(seen)


def test_true_lips_meet_at_bilabials(truth: dict[str, np.ndarray]) -> None:
    opening = mouth_opening(truth["landmarks"])
    count = 0
    for name, start, end in zip(truth["phonemes"], truth["starts"], truth["ends"], strict=True):
        if name in BILABIALS:
            assert opening[int((start - 0.03) * 25) : int((end + 0.03) * 25) + 1].min() < 0.02
            count += 1
    assert count >= 3
    assert opening.max() > 0.12


def test_the_head_moves_naturally(truth: dict[str, np.ndarray]) -> None:
    angles = np.degrees(truth["chi"][:, ANGLES])
    assert (angles.std(axis=0) > 0.3).all()
    assert np.abs(angles).max() < 20
    assert np.abs(np.diff(angles, axis=0)).max() < 3  # 75 degrees a second


def test_the_same_seed_makes_the_same_file_and_a_corpus_continues(tmp_path: Path) -> None:
    one, two = make_corpus(tmp_path / "corpus", people=2, seconds=1.0, seed=7)
    make_person_film(tmp_path / "again.mp4", 1.0, seed=7)
    assert (tmp_path / "again.mp4").read_bytes() == one.read_bytes()
    assert (tmp_path / "again.npz").read_bytes() == one.with_suffix(".npz").read_bytes()
    assert two.read_bytes() != one.read_bytes()
    stamps = [path.stat().st_mtime_ns for path in (one, two)]
    assert make_corpus(tmp_path / "corpus", people=2, seconds=1.0, seed=7) == [one, two]
    assert [path.stat().st_mtime_ns for path in (one, two)] == stamps


@pytest.mark.parametrize("seconds", [0.2, -1.0, float("nan")])
def test_a_film_without_length_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(InputError, match="at least 1 s"):
        make_person_film(tmp_path / "x.mp4", seconds)
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "datamodules.synthetic", "person", str(tmp_path / "x.mp4"), "--seconds", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: seconds is 0.0")
    assert "Traceback" not in result.stderr
