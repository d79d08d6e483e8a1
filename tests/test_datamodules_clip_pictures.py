from dataclasses import replace

import numpy as np
import pytest

from datamodules import clip_pictures
from datamodules.clip_pictures import pictures_of, track_and_write
from datamodules.preparation import Preparation
from face.crop import crop_around
from face.landmarks import COUNT
from face.tracking import Face
from media.errors import InputError
from media.video import VideoWriter, probe, read_frames
from tests.moving_photo import film
from tests.test_datamodules_clip import make_clip

FRAMES, TRAINING = 110, 66  # too short for 12 s and 4 s: the first 60 %
POINTS = np.random.default_rng(0).uniform([60, 40, -20], [180, 190, 20], (COUNT, 3))


class Drifting:
    """In place of the tracker: a face that moves a pixel per frame to the right, seen in all frames but a few."""

    def __init__(self, unseen: tuple[int, ...] = (), fail_at: int = -1) -> None:
        self._next, self._unseen, self._fail_at = 0, unseen, fail_at

    def follow(self, frame: np.ndarray, previous: Face | None) -> Face | None:
        index, self._next = self._next, self._next + 1
        if index == self._fail_at:
            raise InputError(f"frame {index}")
        if index in self._unseen:
            return None
        return Face(POINTS + np.array([index, 0, 0]), 0.9)

    def second(self, frame: np.ndarray, face: Face) -> Face | None:
        return None


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return film(tmp_path_factory.mktemp("video") / "film.mp4", FRAMES)


@pytest.fixture(params=[0, 10**9], ids=["decoded again", "held"])
def seen(tmp_path, video, monkeypatch, request):
    """What is left where five crops have room in memory and as many may wait, and whole frames have room or not."""
    monkeypatch.setattr(clip_pictures, "_KEPT", 5)
    monkeypatch.setattr(clip_pictures, "_WAITING", 5)
    monkeypatch.setattr(clip_pictures, "_HELD", request.param)
    return track_and_write(tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(), progress=False)


def test_crops_are_those_of_the_frames_and_only_training_frames_decide_them(seen, tmp_path, video):
    moved = POINTS + np.arange(TRAINING)[:, None, None] * [1.0, 0, 0]
    assert seen.training_frames == TRAINING
    assert "60 %" in seen.note
    assert seen.crop == crop_around(moved.astype(np.float32))
    expected = np.stack([seen.crop.apply(frame) for frame in read_frames(video)])
    np.testing.assert_array_equal(read_frames(tmp_path / "crop.mp4"), expected)
    np.testing.assert_array_equal(seen.kept, expected[:5])


def test_the_gallery_holds_the_training_frames(seen, tmp_path, video):
    gallery, frames = read_frames(tmp_path / "gallery.mp4"), read_frames(video)
    assert len(gallery) == TRAINING
    # what 4:2:0 and the encoder lose is less than what a frame of movement changes
    own = [np.abs(gallery[k].astype(int) - frames[k]).mean() for k in range(TRAINING)]
    other = [np.abs(gallery[k].astype(int) - frames[k + 1]).mean() for k in range(TRAINING)]
    assert max(own) < min(other)


@pytest.mark.parametrize("part", [slice(0, 5), slice(1, 4), slice(3, 9), slice(5, 8), slice(0, FRAMES), slice(9, 12)])
def test_any_range_is_what_the_file_holds(seen, tmp_path, part):
    clip = replace(make_clip(tmp_path / "clip", FRAMES, TRAINING), folder=tmp_path)
    np.testing.assert_array_equal(pictures_of(clip, seen.kept)(part), clip.frames(part))


@pytest.mark.parametrize("declared", [100, FRAMES - 1, FRAMES + 1, 300])
def test_a_file_that_declares_another_length_gives_the_same(seen, tmp_path, video, declared):
    (tmp_path / "again").mkdir()
    info = replace(probe(video), duration=declared / 25)
    again = track_and_write(tmp_path / "again", info, Preparation(train_seconds=12.0), Drifting(), progress=False)
    assert (again.crop, again.training_frames, again.note) == (seen.crop, seen.training_frames, seen.note)
    np.testing.assert_array_equal(again.kept, seen.kept)
    for name in ("landmarks", "confidence", "bridged"):
        np.testing.assert_array_equal(getattr(again.track, name), getattr(seen.track, name))
    for name in ("crop.mp4", "gallery.mp4"):
        np.testing.assert_array_equal(read_frames(tmp_path / "again" / name), read_frames(tmp_path / name))


def test_the_note_is_of_the_frames_that_are_there(tmp_path, video):
    """60 % of 110 frames are as many as 2.64 s of 300 frames."""
    info = replace(probe(video), duration=300 / 25)
    seen = track_and_write(tmp_path, info, Preparation(train_seconds=TRAINING / 25), Drifting(), progress=False)
    assert seen.training_frames == TRAINING
    assert "the video has 4.4 s" in seen.note


def test_frames_without_a_face_are_cropped_too(tmp_path, video):
    unseen = (TRAINING - 1, TRAINING, TRAINING + 1)
    seen = track_and_write(tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(unseen), progress=False)
    assert np.flatnonzero(seen.track.bridged).tolist() == list(unseen)
    assert len(read_frames(tmp_path / "crop.mp4")) == FRAMES
    # the last training frame takes the place of the one before it, the first held-out ones that of the one after them:
    # no part knows of the other
    places = seen.track.landmarks[TRAINING - 2 : TRAINING + 3, 0, 0] - POINTS[0, 0]
    np.testing.assert_allclose(places, np.array([-2, -2, 2, 2, 2]) + TRAINING, atol=1e-3)
    assert seen.crop == crop_around((POINTS + np.arange(TRAINING - 1)[:, None, None] * [1.0, 0, 0]).astype("f4"))


@pytest.mark.parametrize("frame", [3, TRAINING + 3])
def test_an_error_of_tracking_leaves_no_pictures(tmp_path, video, frame):
    with pytest.raises(InputError, match=f"frame {frame}"):
        track_and_write(
            tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(fail_at=frame), progress=False
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "size"), [("crop.mp4", (256, 256)), ("gallery.mp4", (300, 256))])
def test_an_error_of_writing_ends_it(tmp_path, monkeypatch, name, size):
    video, write = film(tmp_path / "in" / "film.mp4", FRAMES, width=300), VideoWriter.write
    (tmp_path / "out").mkdir()

    def full(self: VideoWriter, frame: np.ndarray) -> None:
        if frame.shape[1::-1] == size:
            raise OSError(28, "no space left")
        write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", full)
    with pytest.raises(InputError, match=f"{name}.*no space"):
        track_and_write(tmp_path / "out", probe(video), Preparation(train_seconds=12.0), Drifting(), progress=False)
    assert not list((tmp_path / "out").iterdir())


def test_a_clip_of_a_corpus_has_no_gallery(tmp_path, video):
    seen = track_and_write(tmp_path, probe(video), Preparation(train_seconds=None), Drifting(), progress=False)
    assert seen.training_frames == FRAMES
    assert not len(seen.kept)
    assert [path.name for path in tmp_path.iterdir()] == ["crop.mp4"]
    crops = read_frames(tmp_path / "crop.mp4").astype(float)
    expected = np.stack([seen.crop.apply(frame) for frame in read_frames(video)])
    psnr = 10 * np.log10(255**2 / np.square(crops - expected).mean())
    assert psnr > 41  # SPEC wants 42, of recordings, which are softer than this photo [41.5]
