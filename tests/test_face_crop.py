import time

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.transform import rescale

from face.crop import Crop, crop_around
from face.resampling import resample


def gradient(height: int, width: int) -> np.ndarray:
    """A picture that is linear in x (red), in y (green) and in both (blue)."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / width, y / height, (x / width + y / height) / 2], -1) * 255


@pytest.mark.parametrize(("x", "y", "side"), [(30.3, 20.7, 333.4), (40.25, 35.5, 100.75), (50.0, 40.0, 256.0)])
def test_linear_image_is_resampled_exactly(x, y, side):
    frame = gradient(400, 450)
    crop = Crop(x, y, side)
    centres = (np.arange(256) + 0.5) * side / 256
    u, v = np.broadcast_to((x + centres) / 450, (256, 256)), np.broadcast_to(((y + centres) / 400)[:, None], (256, 256))
    expected = np.stack([u, v, (u + v) / 2], -1) * 255
    found = crop.apply(np.rint(frame).astype(np.uint8)).astype(float)
    assert np.abs(found - expected).max() < 1.6  # three roundings to 8 bit
    assert np.abs((found - expected).mean()) < 0.05  # a shift of a tenth of a pixel would move this by 0.06 and more


def test_sub_pixel_position_of_an_edge():
    frame = np.full((300, 300, 3), 50, np.uint8)  # far enough from 0 and 255 for the kernel's overshoot
    frame[:, 150:] = 200
    for shift in (0.0, 0.25, 0.5, 0.75):
        row = Crop(22 + shift, 22, 256).apply(frame)[128, :, 0].astype(float)
        assert abs((200 - row).sum() / 150 - (128 - shift)) < 0.05


def test_shrinking_is_antialiased():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (768, 768, 3), dtype=np.uint8)
    found = Crop(0, 0, 768, 256).apply(frame).astype(float)
    reference = rescale(frame.astype(float), 1 / 3, order=3, anti_aliasing=True, channel_axis=2)
    # White noise of standard deviation 74 must shrink to about a third of it, as in the reference, not alias.
    assert abs(found.std() - 74 / 3) < 6
    assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > 0.9


def test_stripes_above_the_limit_vanish():
    frame = np.zeros((512, 512, 3), np.uint8)
    frame[:, ::2] = 255
    assert Crop(0.5, 0, 511, 64).apply(frame).std() < 2


@pytest.mark.parametrize(("x", "y", "side"), [(33.6, 12.3, 65.8), (10.2, 5.7, 200.1), (0, 0, 128), (-30.5, 90.2, 150)])
def test_as_pillow_does(x, y, side):
    rng = np.random.default_rng(1)
    frame = gaussian_filter(rng.normal(128, 90, (220, 240, 3)), (1, 1, 0)).clip(0, 255).astype(np.uint8)
    edge = 160  # beyond the picture its edge is repeated
    padded = Image.fromarray(np.pad(frame, ((edge, edge), (edge, edge), (0, 0)), mode="edge"))
    box = (x + edge, y + edge, x + edge + side, y + edge + side)
    wanted = np.asarray(padded.resize((100, 100), Image.Resampling.BICUBIC, box=box)).astype(int)
    difference = np.abs(Crop(x, y, side, 100).apply(frame) - wanted)
    assert difference.max() <= 4  # Pillow rounds and clips between rows and columns
    assert (difference <= 1).mean() > 0.99


def test_a_picture_that_is_the_crop_stays_as_it_is():
    frame = np.random.default_rng(2).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    found = Crop(0, 0, 96, 96).apply(frame)
    assert np.array_equal(found, resample(frame, 0, 0, 96, 96))  # no short way round the kernel
    assert np.array_equal(found, frame)
    assert not np.shares_memory(found, frame)


def test_outside_repeats_the_edge():
    frame = np.full((60, 80, 3), 7, np.uint8)
    frame[:, -1] = 91
    crop = Crop(40, -30, 120, 120).apply(frame)
    np.testing.assert_array_equal(crop[:, 41:], 91)
    np.testing.assert_array_equal(crop[:, :37], 7)


def test_points_go_there_and_back():
    crop = Crop(-3.7, 12.2, 431.9)
    points = np.random.default_rng(0).normal(200, 80, (4, 468, 3)).astype(np.float32)
    there = crop.to_crop(points)
    assert there.dtype == np.float32
    np.testing.assert_allclose(crop.to_source(there), points, atol=1e-3)
    np.testing.assert_allclose(crop.to_crop(np.array([[-3.7, 12.2, 0.0]])), 0, atol=1e-9)
    np.testing.assert_allclose(there[..., 2], points[..., 2] * 256 / 431.9, rtol=1e-5)
    np.testing.assert_allclose(crop.to_crop(points[..., :2]), there[..., :2])


def test_points_and_pixels_agree():
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[180:200, 240:260] = 255  # centre at x = 250, y = 190
    crop = Crop(101.3, 87.9, 231.0)
    weight = crop.apply(frame)[..., 0].astype(float)
    y, x = np.mgrid[:256, :256] + 0.5
    centre = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, crop.to_crop(np.array([250.0, 190.0])), atol=0.05)


def test_crop_around_the_union_of_the_boxes():
    landmarks = np.zeros((2, 468, 3))
    landmarks[0, :2, :2] = [[100, 100], [200, 260]]
    landmarks[0, 2:, :2] = 150
    landmarks[1, :, :2] = 180
    landmarks[1, 0, :2] = [300, 180]
    crop = crop_around(landmarks)
    assert crop == Crop(200 - 125, 180 - 125, 250)


@pytest.mark.parametrize("bad", [np.zeros((0, 468, 3)), np.full((2, 468, 3), np.nan)])
def test_crop_around_refuses(bad):
    with pytest.raises(ValueError, match="finite landmarks"):
        crop_around(bad)


def test_crop_refuses_an_empty_square():
    with pytest.raises(ValueError, match="positive side"):
        Crop(0, 0, 0)


def test_two_hundred_crops_a_second():
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    crop = Crop(300.5, 100.2, 520.3)
    times = []
    for _ in range(30):
        start = time.process_time()
        crop.apply(frame)
        times.append(time.process_time() - start)
    assert np.median(times) < 1 / 200
