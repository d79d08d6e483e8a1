import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datamodules import prepare
from datamodules.clip import Clip
from datamodules.preparation import Preparation
from datamodules.prepare import _with_sound, prepare_video
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, TEXTURE, TRANSLATION
from face.models.registry import load_face_model
from media.audio import mfcc_windows, read_audio
from media.errors import InputError
from media.video import VideoWriter, stream_frames
from tests.moving_photo import pictures
from tests.recordings import record
from tests.test_datamodules_clip import make_clip

FRAMES = 110


def write_film(
    path: Path, frames: int = FRAMES, loudness: float = 0.1, sound: bool = True, silent_frames: int = 0
) -> Path:
    samples = np.random.default_rng(0).normal(0, loudness, frames * 640).astype(np.float32) if sound else None
    if samples is not None:
        samples[: silent_frames * 640] = 0
    with VideoWriter(path, 256, 256, audio=samples, crf=10) as writer:
        for picture in pictures(frames):
            writer.write(picture)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "photo.mp4")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def clip(film, cache) -> Clip:
    return prepare_video(film, cache, train_seconds=2.0)


def test_every_frame_is_there_and_the_split_is_reported(clip):
    assert len(clip) == FRAMES
    assert clip.training_frames == int(0.6 * FRAMES)
    assert "60 %" in clip.split_note
    assert len(clip.frames(slice(0, FRAMES))) == FRAMES
    with clip.gallery() as gallery:
        gallery[clip.training_frames - 1]
        with pytest.raises(IndexError):
            gallery[clip.training_frames]


def test_the_crop_on_disk_of_a_person_is_the_source_as_it_is(clip):
    made = np.stack([clip.crop.apply(picture) for picture in stream_frames(clip.source)])
    np.testing.assert_array_equal(clip.frames(slice(0, FRAMES)), made)


def test_identity_texture_and_light_are_one_per_video(clip):
    for part in (IDENTITY, TEXTURE, ILLUMINATION):
        assert np.ptp(clip.coefficients[:, part], axis=0).max() == 0
    assert np.ptp(clip.coefficients[:, ANGLES], axis=0).max() > 0.1  # the photo is turned by 18 degrees
    assert np.isfinite(clip.coefficients).all()


def test_coefficients_put_the_landmarks_where_they_were_tracked(clip):
    import torch

    model, chi = load_face_model("facemesh"), torch.from_numpy(clip.coefficients)
    vertices = model.shape(chi[:, IDENTITY], chi[:, EXPRESSION])[:, model.landmark_vertices]
    projected = Camera(256).project(pose_vertices(vertices, chi[:, ANGLES], chi[:, TRANSLATION])).numpy()
    tracked = clip.crop.to_crop(clip.landmarks)
    eyes = np.linalg.norm(tracked[:, 33, :2] - tracked[:, 263, :2], axis=-1)
    error = np.linalg.norm(projected[..., :2] - tracked[..., :2], axis=-1).mean(1) / eyes
    assert error.mean() < 0.03
    np.testing.assert_allclose(error, clip.fit_error, atol=0.01)


def test_neither_part_hears_the_other(clip, film):
    samples = read_audio(film)[: FRAMES * 640]
    cut = clip.training_frames
    np.testing.assert_allclose(clip.mfcc[cut:], mfcc_windows(samples[cut * 640 :], FRAMES - cut), atol=0.1)
    # the sound on disk has 16 bits
    np.testing.assert_allclose(clip.mfcc[cut:], mfcc_windows(clip.sound(clip.heldout), FRAMES - cut), atol=0.05)


def test_prepared_once(clip, film, cache, monkeypatch):
    monkeypatch.setattr("datamodules.prepare.track_and_write", lambda *a, **k: pytest.fail("tracked again"))
    assert prepare_video(film, cache, train_seconds=2.0).folder == clip.folder
    assert not list(cache.glob(".preparing-*"))


def test_who_may_read_the_cache_may_read_the_clip(clip, tmp_path):
    usual = tmp_path / "folder"
    usual.mkdir()
    assert clip.folder.stat().st_mode == usual.stat().st_mode


def test_appearance_is_fitted_to_frames_with_a_face_wherever_they_are(monkeypatch):
    confidence, numbers = np.zeros(300, np.float32), np.arange(300)
    confidence[[4, 242, 299]] = 1  # of a hundred frames evenly chosen of 250 none is one of these
    clip = SimpleNamespace(
        confidence=confidence,
        training=slice(0, 250),
        training_frames=250,
        coefficients=None,
        crop=SimpleNamespace(size=256),
    )
    fitted = []
    monkeypatch.setattr(prepare, "fill_appearance", lambda chi, pictures, chosen, *_: fitted.append((pictures, chosen)))
    prepare._fit_appearance(clip, None, lambda part: numbers[part], 100)
    ((pictures, chosen),) = fitted
    assert pictures.tolist() == chosen.tolist() == [4, 242]


def test_a_moved_video_is_read_where_it_lies_now(clip, film, cache, tmp_path):
    moved = Path(shutil.copy(film, tmp_path / "renamed.mp4"))
    again = prepare_video(moved, cache, train_seconds=2.0)
    assert again.folder == clip.folder
    assert again.source == moved.resolve()
    assert clip.source == film.resolve()


@pytest.mark.parametrize(
    ("frames", "loudness", "sound", "silent", "message"),
    [
        (60, 0.1, True, 0, "2.4 s"),
        (FRAMES, 0.1, False, 0, "no sound"),
        (FRAMES, 0.0, True, 0, "silent"),
        (FRAMES, 0.1, True, 70, "silent from 0.00 to 2.64 s"),
    ],
)
def test_unfit_videos_are_refused_at_once(tmp_path, monkeypatch, frames, loudness, sound, silent, message):
    monkeypatch.setattr("datamodules.prepare.track_and_write", lambda *a, **k: pytest.fail("tracked all the same"))
    path = write_film(tmp_path / "unfit.mp4", frames, loudness, sound, silent)
    with pytest.raises(InputError, match=message) as refusal:
        prepare_video(path, tmp_path / "cache", train_seconds=2.0)
    assert "unfit.mp4" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "cache").glob("*/clip.json"))


@pytest.mark.filterwarnings("ignore:.*it was cut off")
def test_a_file_that_breaks_off_is_refused(tmp_path):
    frames = list(pictures(FRAMES))
    whole = record(
        tmp_path / "whole.mp4",
        times=[k / 25 for k in range(FRAMES)],
        sound=np.random.default_rng(0).normal(0, 0.1, (1, FRAMES * 640)).astype(np.float32),
        pictures=lambda k: frames[k],
        file_options={"movflags": "faststart"},  # what the file declares stands at its beginning
    ).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        InputError, match=r"cut\.mp4: breaks off after [12]\.\d\d s of the 4\.40 s it declares"
    ) as refusal:
        prepare_video(path, tmp_path / "cache", train_seconds=2.0)
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "cache").glob("*/clip.json"))


@pytest.mark.parametrize(("seconds", "lacking"), [(0.7, 0.5), (1.15, 0.0), (2.0, 0.0)])
def test_sound_that_ends_early_is_noted(tmp_path, seconds, lacking):
    clip = make_clip(tmp_path, total=30, training=20)
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * 16000)).astype(np.float32)
    with_sound = _with_sound(clip, samples, load_face_model("facemesh"), Preparation(1.0, audio_offset=0))
    assert with_sound.sound_lacking == lacking
    with_sound.save()
    assert Clip.load(tmp_path).sound_lacking == lacking


def test_an_unwritable_cache_is_named(film, tmp_path):
    place = tmp_path / "a file"
    place.write_text("")
    with pytest.raises(InputError, match=r"a file.*data\.cache"):
        prepare_video(film, place / "cache", train_seconds=2.0)
