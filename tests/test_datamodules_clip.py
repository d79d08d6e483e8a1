from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamodules.clip import Clip, batches, shift_sound, split_frames
from face.crop import Crop


def make_clip(folder: Path, total: int = 30, training: int = 20, seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=(total, *shape)).astype(np.float32)

    return Clip(
        folder=folder,
        source=Path("somebody.mp4"),
        source_sha256="ab" * 32,
        width=640,
        height=480,
        crop=Crop(10.5, -3.25, 301.0),
        training_frames=training,
        split_note="",
        audio_offset=-6,
        coefficients=numbers(257),
        landmarks=numbers(468, 3),
        confidence=np.ones(total, np.float32),
        bridged=np.zeros(total, bool),
        fit_error=np.zeros(total, np.float32),
        mfcc=numbers(28, 12),
        identity_features=numbers(512),
    )


def test_a_clip_survives_the_disk(tmp_path):
    clip = make_clip(tmp_path)
    clip.save()
    again = Clip.load(tmp_path)
    for name, value in vars(clip).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    assert again.heldout == slice(20, 30)
    assert len(again) == 30


@pytest.mark.parametrize("compact", [False, True])
def test_an_albedo_is_kept_in_steps(tmp_path, compact):
    albedo = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
    replace(make_clip(tmp_path), albedo=albedo).save(compact)
    again = Clip.load(tmp_path)
    assert again.albedo.dtype == np.float32
    assert np.abs(again.albedo - albedo).max() < 0.5 / 255 + 1e-6
    assert "albedo" not in (tmp_path / "clip.json").read_text()


@pytest.mark.parametrize(
    ("total", "seconds", "expected"),
    [(607, 12.0, 300), (400, 12.0, 300), (399, 12.0, 239), (250, 12.0, 150), (607, 4.0, 100)],
)
def test_the_cut_follows_the_rule(total, seconds, expected):
    frames, note = split_frames(total, seconds)
    assert frames == expected
    assert bool(note) == (frames != round(25 * seconds))


@pytest.mark.parametrize("offset", [0, 3, -6, 40, -40])
def test_sound_moves_by_whole_frames(offset):
    samples = np.random.default_rng(0).normal(size=20 * 640).astype(np.float32)
    moved = shift_sound(samples, offset)
    for frame in range(20):
        source = frame - offset  # a mouth that is early (negative) is answered by sound from later in the recording
        expected = samples[source * 640 : (source + 1) * 640] if 0 <= source < 20 else np.zeros(640, np.float32)
        np.testing.assert_array_equal(moved[frame * 640 : (frame + 1) * 640], expected)


def test_batches_cover_the_range_once():
    pieces = list(batches(slice(7, 30), 10))
    assert [index for piece in pieces for index in range(piece.start, piece.stop)] == list(range(7, 30))
    assert max(piece.stop - piece.start for piece in pieces) == 10
