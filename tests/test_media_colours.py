"""Loops between 4:2:0 and RGB: what FFmpeg's scaler does at full accuracy."""

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from media.colours import luma_weights, planes_of, rgb_from_420, rgb_to_420
from media.pictures import RgbConverter
from tests.test_media_video_writer import decibels, natural


def converted(rgb: np.ndarray, bt709: bool = False) -> av.VideoFrame:
    picture = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv420p")
    rgb_to_420(rgb.reshape(len(rgb), -1), luma_weights(bt709), *planes_of(picture))
    picture.colorspace = 1 if bt709 else 6
    return picture


def scaled_by_ffmpeg(picture: av.VideoFrame, form: str) -> np.ndarray:
    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    made = VideoReformatter().reformat(
        picture, format=form, dst_colorspace=Colorspace.ITU601, interpolation=exact, threads=1
    )
    return made.to_ndarray()


@pytest.mark.parametrize("width", [34, 126, 128])
@pytest.mark.parametrize("bt709", [False, True])
def test_up_as_ffmpeg(width, bt709):
    rgb = natural(1, 96, width)[0]
    picture = converted(rgb, bt709)
    found = np.empty_like(rgb)
    rgb_from_420(*planes_of(picture), luma_weights(bt709), found.reshape(len(rgb), -1))
    np.testing.assert_array_equal(RgbConverter()(picture), found)
    difference = found.astype(int) - scaled_by_ffmpeg(picture, "gbrp")
    assert np.abs(difference).max() <= 3
    assert (np.abs(difference[2:-2, 4:-4]) <= 1).mean() > 0.98
    assert np.abs(difference.mean()) < 0.1
    assert decibels(found, rgb) > 36


def test_down_as_ffmpeg():
    rgb = natural(1)[0]
    height, width = rgb.shape[:2]
    wanted = scaled_by_ffmpeg(av.VideoFrame.from_ndarray(rgb, format="rgb24"), "yuv420p").reshape(-1)
    luma, blue, red = planes_of(converted(rgb))
    found = np.concatenate(
        [luma[:, :width].ravel(), blue[:, : width // 2].ravel(), red[:, : width // 2].ravel()]
    ).astype(int)
    assert np.abs(found - wanted)[: height * width].max() <= 1
    assert np.abs(found - wanted).mean() < 0.5


def test_extremes_do_not_wrap():
    rng = np.random.default_rng(0)
    rgb = 255 * rng.integers(0, 2, (64, 64, 3), dtype=np.uint8)
    picture = converted(rgb)
    found = RgbConverter()(picture).astype(int)
    assert (
        np.abs(found - scaled_by_ffmpeg(picture, "gbrp"))[2:-2, 4:-4].max() <= 8
    )  # FFmpeg clips chroma before it is brought back
    solid = np.zeros((4, 4, 3), np.uint8)
    for colour in ([0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]):
        solid[:] = colour
        assert np.abs(RgbConverter()(converted(solid)).astype(int) - solid).max() <= 3
