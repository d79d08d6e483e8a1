from dataclasses import replace

import numpy as np
import pytest

from datamodules import clip_pictures
from datamodules.clip_pictures import film, pictures_of
from datamodules.preparation import Preparation
from face.crop import crop_around
from face.landmarks import COUNT
from face.tracking import Face
from media.errors import InputError
from media.video import VideoWriter, probe, read_frames
from tests.moving_photo import film as film_photo
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
    return film_photo(tmp_path_factory.mktemp("video") / "film.mp4", FRAMES)


@pytest.fixture
def filmed(tmp_path, video, monkeypatch):
    """What filming leaves where five crops have room in memory and as many may wait to be written."""
    monkeypatch.setattr(clip_pictures, "_KEPT", 5)
    return film(tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(), progress=False)


def test_crops_are_those_of_the_frames_and_only_training_frames_decide_them(filmed, tmp_path, video):
    moved = POINTS + np.arange(TRAINING)[:, None, None] * [1.0, 0, 0]
    assert filmed.training_frames == TRAINING
    assert "60 %" in filmed.note
    assert filmed.crop == crop_around(moved.astype(np.float32))
    expected = np.stack([filmed.crop.apply(frame) for frame in read_frames(video)])
    np.testing.assert_array_equal(read_frames(tmp_path / "crop.mp4"), expected)
    np.testing.assert_array_equal(filmed.kept, expected[:5])


def test_the_gallery_holds_the_training_frames(filmed, tmp_path, video):
    gallery, frames = read_frames(tmp_path / "gallery.mp4"), read_frames(video)
    assert len(gallery) == TRAINING
    # what 4:2:0 and the encoder lose is less than what a frame of movement changes
    own = [np.abs(gallery[k].astype(int) - frames[k]).mean() for k in range(TRAINING)]
    other = [np.abs(gallery[k].astype(int) - frames[k + 1]).mean() for k in range(TRAINING)]
    assert max(own) < min(other)


@pytest.mark.parametrize("part", [slice(0, 5), slice(1, 4), slice(3, 9), slice(5, 8), slice(0, FRAMES), slice(9, 12)])
def test_any_range_is_what_the_file_holds(filmed, tmp_path, part):
    clip = replace(make_clip(tmp_path / "clip", FRAMES, TRAINING), folder=tmp_path)
    np.testing.assert_array_equal(pictures_of(clip, filmed.kept)(part), clip.frames(part))


@pytest.mark.parametrize("declared", [100, FRAMES - 1, FRAMES + 1, 300])
def test_a_file_that_declares_another_length_gives_the_same(filmed, tmp_path, video, declared):
    (tmp_path / "again").mkdir()
    info = replace(probe(video), duration=declared / 25)
    again = film(tmp_path / "again", info, Preparation(train_seconds=12.0), Restarting(), progress=False)
    assert (again.crop, again.training_frames) == (filmed.crop, filmed.training_frames)
    np.testing.assert_array_equal(again.track.landmarks, filmed.track.landmarks)
    for name in ("crop.mp4", "gallery.mp4"):
        np.testing.assert_array_equal(read_frames(tmp_path / "again" / name), read_frames(tmp_path / name))


class Restarting(Drifting):
    """Begins anew whenever it is not told of a face before, as the tracker does."""

    def follow(self, frame: np.ndarray, previous: Face | None) -> Face | None:
        self._next = self._next if previous else 0
        return super().follow(frame, previous)


def test_frames_without_a_face_are_cropped_too(tmp_path, video):
    unseen = (TRAINING - 1, TRAINING, TRAINING + 1)
    filmed = film(tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(unseen), progress=False)
    assert np.flatnonzero(filmed.track.bridged).tolist() == list(unseen)
    assert len(read_frames(tmp_path / "crop.mp4")) == FRAMES
    # the last training frame takes the place of the one before it: no held-out frame moves the crop
    assert filmed.crop == crop_around((POINTS + np.arange(TRAINING - 1)[:, None, None] * [1.0, 0, 0]).astype("f4"))


@pytest.mark.parametrize("frame", [3, TRAINING + 3])
def test_an_error_of_tracking_leaves_no_pictures(tmp_path, video, frame):
    with pytest.raises(InputError, match=f"frame {frame}"):
        film(tmp_path, probe(video), Preparation(train_seconds=12.0), Drifting(fail_at=frame), progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "size"), [("crop.mp4", (256, 256)), ("gallery.mp4", (300, 256))])
def test_an_error_of_writing_ends_it(tmp_path, monkeypatch, name, size):
    video, write = film_photo(tmp_path / "in" / "film.mp4", FRAMES, width=300), VideoWriter.write
    (tmp_path / "out").mkdir()

    def full(self: VideoWriter, frame: np.ndarray) -> None:
        if frame.shape[1::-1] == size:
            raise OSError(28, "no space left")
        write(self, frame)

    monkeypatch.setattr(VideoWriter, "write", full)
    with pytest.raises(InputError, match=f"{name}.*no space"):
        film(tmp_path / "out", probe(video), Preparation(train_seconds=12.0), Drifting(), progress=False)
    assert not list((tmp_path / "out").iterdir())


def test_a_clip_of_a_corpus_has_no_gallery(tmp_path, video):
    filmed = film(tmp_path, probe(video), Preparation(train_seconds=None), Drifting(), progress=False)
    assert filmed.training_frames == FRAMES
    assert not len(filmed.kept)
    assert [path.name for path in tmp_path.iterdir()] == ["crop.mp4"]
    crops = read_frames(tmp_path / "crop.mp4").astype(float)
    expected = np.stack([filmed.crop.apply(frame) for frame in read_frames(video)])
    assert 10 * np.log10(255**2 / np.square(crops - expected).mean()) > 36
