import numpy as np
import pytest

from datamodules import clip_pictures
from datamodules.clip_pictures import pictures_of, write_pictures
from datamodules.preparation import Preparation
from media.video import probe, read_frames
from tests.moving_photo import film
from tests.test_datamodules_clip import make_clip

FRAMES, TRAINING = 12, 7


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A clip whose pictures were just written with room for five of the seven training crops, and those five."""
    monkeypatch.setattr(clip_pictures, "_KEPT", 5)
    clip = make_clip(tmp_path, FRAMES, TRAINING)
    return clip, write_pictures(
        clip, probe(film(tmp_path / "film.mp4", FRAMES)), Preparation(train_seconds=12.0), progress=False
    )


def test_crops_in_memory_are_those_of_the_file(written):
    clip, kept = written
    assert len(kept) == 5
    np.testing.assert_array_equal(kept, read_frames(clip.folder / "crop.mp4", 0, 5))
    assert len(read_frames(clip.folder / "crop.mp4")) == FRAMES
    assert len(read_frames(clip.folder / "gallery.mp4")) == TRAINING


@pytest.mark.parametrize("part", [slice(0, 5), slice(1, 4), slice(3, 9), slice(5, 8), slice(0, FRAMES), slice(9, 12)])
def test_any_range_is_what_the_file_holds(written, part):
    clip, kept = written
    np.testing.assert_array_equal(pictures_of(clip, kept)(part), clip.frames(part))
