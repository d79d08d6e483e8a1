"""A photo speaks, from the command to the video, by the commands a user gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from face.models.registry import load_face_model
from face.tracking import FaceTracker
from media.audio import read_audio, write_wav
from media.errors import InputError
from media.video import probe, read_frames
from synthesis.photo.portrait import fit_portrait

ROOT = Path(__file__).parents[1]
SMALL = ("data.performed_seconds=12", "fit.audio2pose.epochs=1", "wandb.mode=disabled")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A public-domain portrait (E. Collins, NASA)."""
    return np.asarray(data.astronaut()[:320, 60:380])


def command(folder: Path, module: str, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_photo_speaks_and_speaks_again(tmp_path: Path, photo: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    beat = np.sin(np.arange(19200) / 16000 * 2 * np.pi * 3) > 0
    write_wav(tmp_path / "speech.wav", np.float32(0.2 * beat * np.random.default_rng(0).normal(size=19200)))
    arguments = ("experiment=photo", "data.image=photo.png", "generate.audio=speech.wav", *SMALL)
    said = command(tmp_path, "experiments.run", *arguments)
    (run,) = (tmp_path / "runs").iterdir()
    (video,) = (run / "videos").rglob("*.mp4")
    assert video.name in said
    assert (run / "report.html").stat().st_size > 10000
    info = probe(video)
    assert (info.width, info.height, info.has_audio) == (320, 320, True)
    frames = read_frames(video)
    assert len(frames) == 30
    heard, given = read_audio(video)[:19200], read_audio(tmp_path / "speech.wav")
    assert np.corrcoef(np.abs(heard), np.abs(given))[0, 1] > 0.7
    tracker = FaceTracker()
    assert all(tracker.find(frames[k]) for k in (0, 15, 29))
    assert np.abs(frames[0, -4:].astype(int) - frames[15, -4:]).mean() < 2  # the border of the photo stays
    changed = video.stat().st_mtime_ns
    command(tmp_path, "experiments.run", *arguments)
    assert video.stat().st_mtime_ns == changed  # a finished run is told again, not made again
    command(tmp_path, "experiments.generate", f"run={run}", "audio=speech.wav", "output=again.mp4")
    np.testing.assert_array_equal(read_frames(tmp_path / "again.mp4"), frames)


def test_photos_that_cannot_speak_are_refused(photo: np.ndarray) -> None:
    model = load_face_model()
    with pytest.raises(InputError, match=r"pair\.png: two faces"):
        fit_portrait(np.concatenate([photo, photo], 1), "pair.png", model)
    small = np.full((320, 320, 3), 128, np.uint8)
    small[120:200, 120:200] = np.asarray(Image.fromarray(photo).resize((80, 80)))
    with pytest.raises(InputError, match=r"small\.png: its face is \d\d px large, at least 64 px|small\.png: no face"):
        fit_portrait(small, "small.png", model)
