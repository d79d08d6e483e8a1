"""Compositing: what must not change does not, what must appear appears in its place, and nothing shows where."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from face.crop import Crop
from synthesis.compositing import Compositor

HEIGHT, WIDTH = 360, 480
CROPS = [
    Crop(60.0, 20.0, 256.0),  # pixel on pixel
    Crop(101.3, 14.6, 311.7),  # shrunk to the crop, at a fraction of a pixel
    Crop(140.8, 90.2, 150.5),  # enlarged to the crop
    Crop(-41.6, 130.7, 300.4),  # beyond the left and the lower edge
    Crop(260.5, -60.25, 330.0),  # beyond the right and the upper edge
]


def textured(seed=0, height=HEIGHT, width=WIDTH, fineness=1.0):
    """A frame of mid tones with structure of all sizes."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) * s for s in (fineness, 4, 16)]
    return np.clip(128 + 40 * sum(layers) / np.std(sum(layers)), 40, 215).astype(np.uint8)


def smooth(seed=0):
    rng = np.random.default_rng(seed)
    waves = gaussian_filter(rng.normal(size=(HEIGHT, WIDTH, 3)), (6, 6, 0))
    return np.clip(128 + 35 * waves / waves.std(), 20, 235).astype(np.uint8)


def oval(height=70.0, width=55.0, x=128.0, y=128.0):
    rows, columns = np.mgrid[:256, :256] + 0.5
    return (((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 < 1).astype(np.float32)


def in_frame(image, crop):
    """A crop-sized plane at every pixel of the frame, 0 outside: plain linear interpolation."""
    rows, columns = (
        np.mgrid[:HEIGHT, :WIDTH] + 0.5 - np.array([crop.y, crop.x])[:, None, None]
    ) * 256 / crop.side - 0.5
    return map_coordinates(image.astype(float), [rows, columns], order=1, mode="grid-constant")


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("crop", CROPS)
def test_unchanged_crop_leaves_the_frame_as_it_is(crop):
    frame = textured()
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, crop.apply(frame), oval())
    np.testing.assert_array_equal(result, frame)


@pytest.mark.parametrize("crop", CROPS)
def test_nothing_changes_away_from_the_face(crop):
    frame = textured()
    other = textured(seed=1, height=256, width=256)
    mask = oval(50, 40, 120, 140)
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, other, mask)
    far = in_frame(distance_transform_edt(mask == 0), crop) > 12 * np.sqrt(2) + 6  # of the fade, in a square sense
    far |= in_frame(np.ones((256, 256)), crop) == 0
    assert far.mean() > 0.5
    np.testing.assert_array_equal(result[far], frame[far])
    near = in_frame(mask, crop) > 0.99
    assert difference(result, frame)[near].mean() > 10


@pytest.mark.parametrize("crop", CROPS)
def test_new_content_lands_in_its_place(crop):
    # The same camera films another face on the same background: pasting its crop must give its very pixels.
    mask = oval(100, 100)
    face = in_frame(distance_transform_edt(mask), crop) > 8
    blend = gaussian_filter(face.astype(float), 3)[..., None]
    frame, other = smooth(0), smooth(1)
    wanted = (blend * other + (1 - blend) * frame).astype(np.uint8)
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, crop.apply(wanted), mask).astype(float)
    error = np.sqrt(((result - wanted)[face] ** 2).mean())
    half_a_pixel = np.sqrt(((np.roll(wanted, 1, axis=1).astype(float) - wanted)[face] ** 2).mean()) / 2
    assert error < min(half_a_pixel, 1.5)


@pytest.mark.parametrize("offset", [(18, -12, 7), (-15, -15, -15)])
def test_constant_offset_disappears(offset):
    crop = CROPS[1]
    frame = textured()
    refined = (crop.apply(frame).astype(int) + offset).astype(np.uint8)
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, refined, oval())
    assert difference(result, frame).max() <= 1  # of rounding


def test_slow_colour_drift_leaves_no_step_at_the_rim():
    crop = CROPS[1]
    frame = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    drift = np.linspace(-20, 20, 256)[:, None, None] * np.ones((256, 256, 3))
    mask = oval()
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, (120 + drift).round().astype(np.uint8), mask).astype(int)
    steps = max(np.abs(np.diff(result, axis=0)).max(), np.abs(np.diff(result, axis=1)).max())
    assert steps <= 2
    naive = in_frame(mask, crop)[..., None] * in_frame(drift[..., 0], crop)[..., None]
    assert np.abs(np.diff(naive, axis=0)).max() > 8  # what a hard paste would show


def test_fine_detail_of_the_frame_stays_where_the_crop_says_the_same():
    crop = Crop(10.0, 5.0, 350.0)
    frame = textured(fineness=0.5)
    rng = np.random.default_rng(0)
    refined = np.clip(crop.apply(frame) + rng.normal(0, 2, (256, 256, 3)), 0, 255).astype(np.uint8)
    mask = oval()
    face = in_frame(mask, crop) == 1
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, refined, mask)
    blurred = np.stack([in_frame(refined[..., c], crop) for c in range(3)], -1)
    error = np.sqrt(((result.astype(float) - frame)[face] ** 2).mean())
    assert error < 0.5 * np.sqrt(((blurred - frame)[face] ** 2).mean())


def test_old_detail_goes_where_the_crop_shows_something_else():
    crop = Crop(10.0, 5.0, 350.0)
    frame = textured(fineness=0.5)
    refined = np.full((256, 256, 3), 60, np.uint8)
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, refined, oval())
    inner = in_frame(oval(50, 40), crop) == 1
    assert result[inner].std(axis=0).max() < 8
    assert frame[inner].std(axis=0).min() > 20


def test_face_at_the_border_of_the_crop_fades_into_the_frame():
    crop = CROPS[0]
    frame = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    refined = np.full((256, 256, 3), 100, np.uint8)
    refined[100:] = 180
    result = Compositor(crop, HEIGHT, WIDTH).paste(frame, refined, oval(y=240)).astype(int)
    assert np.abs(np.diff(result[250:, 60:316], axis=0)).max() <= 20  # no step of 80 where the crop ends
    np.testing.assert_array_equal(result[276:], 100)


def test_no_face_no_change_and_the_frame_is_not_written_to():
    crop = CROPS[1]
    frame = textured()
    frame.flags.writeable = False
    compositor = Compositor(crop, HEIGHT, WIDTH)
    result = compositor.paste(frame, textured(1, 256, 256), np.zeros((256, 256), np.float32))
    np.testing.assert_array_equal(result, frame)
    assert result is not frame
    outside = Compositor(Crop(1000.0, 1000.0, 100.0), HEIGHT, WIDTH)
    np.testing.assert_array_equal(outside.paste(frame, textured(1, 256, 256), oval()), frame)
    full = compositor.paste(frame, textured(1, 256, 256), np.ones((256, 256), np.float32))
    assert full.shape == frame.shape


def test_wrong_shapes_are_named():
    compositor = Compositor(CROPS[0], HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=r"refined \(256, 256, 3\)"):
        compositor.paste(textured(), np.zeros((128, 128, 3), np.uint8), oval())


@pytest.mark.data
def test_real_frame_under_the_errors_of_a_network():
    path = Path(__file__).parents[2] / "shared/data/personal/yi31.mp4"
    if not path.exists():
        pytest.skip("the recording is not there")
    from media.video import read_frames

    frame = read_frames(path, 40, 41)[0]
    crop = Crop(323.65, 122.99, 465.75)
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(size=(256, 256, 3)), (1, 1, 0))
    refined = np.clip(crop.apply(frame) + 4 * noise / noise.std() + (5, 3, -4), 0, 255).astype(np.uint8)
    mask = oval(95, 75)
    result = Compositor(crop, *frame.shape[:2]).paste(frame, refined, mask)
    # The drift is gone; what stays is the network's own error, of 4 levels.
    changed = (result.astype(float) - frame)[result != frame]
    assert abs(changed.mean()) < 1
    assert changed.std() < 6
