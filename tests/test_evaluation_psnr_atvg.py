"""The wrapping PSNR against OpenCV and numpy bytes, as the released script combines them; its known values."""

import doctest
import math

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from evaluation import psnr_atvg as module
from evaluation.psnr_atvg import PSNRATVG, area_resize, grey, psnr_atvg

cv2 = pytest.importorskip("cv2", reason="OpenCV is only needed to judge")


def released(generated: np.ndarray, reference: np.ndarray) -> float:
    """Grey bytes of 256 x 256 px, subtracted, squared and averaged as numpy does it with bytes."""
    ours, real = (
        cv2.cvtColor(cv2.resize(picture[..., ::-1], (256, 256), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        for picture in (generated, reference)
    )
    error = np.mean((ours - real) ** 2)
    return 100.0 if error == 0 else 20 * math.log10(255 / math.sqrt(error))


def to_batch(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("size", [256, 128, 64, 512, 768, 300, 163, 200])
def test_equals_the_released_arithmetic_at_every_size(size: int) -> None:
    photo = cv2.resize(astronaut(), (size, size), interpolation=cv2.INTER_CUBIC)
    worse = np.clip(photo + np.random.default_rng(0).normal(0, 8, photo.shape), 0, 255).astype(np.uint8)
    pairs = [(worse, photo), (photo[:, ::-1].copy(), photo), (photo, photo), (noise(1, size, size), photo)]
    got = psnr_atvg(to_batch(*(ours for ours, _ in pairs)), to_batch(*(real for _, real in pairs)))
    assert got.tolist() == pytest.approx([released(*pair) for pair in pairs], abs=1e-12)


@pytest.mark.parametrize(("height", "width"), [(300, 200), (256, 512), (512, 1024), (100, 700)])
def test_resize_is_that_of_opencv_bit_by_bit(height: int, width: int) -> None:
    picture = noise(2, height, width)
    expected = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(area_resize(to_batch(picture), 256)[0].permute(1, 2, 0), expected)


def test_resize_by_a_fraction_differs_from_opencv_where_means_are_a_half_only() -> None:
    picture = noise(2, 1024, 300)
    expected = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA).astype(int)
    difference = np.abs(area_resize(to_batch(picture), 256)[0].permute(1, 2, 0).numpy() - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_grey_is_that_of_opencv_bit_by_bit() -> None:
    picture = noise(3, 256, 256)
    np.testing.assert_array_equal(grey(to_batch(picture))[0], cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def test_random_pictures_score_what_good_ones_do() -> None:
    value = psnr_atvg(to_batch(noise(4, 256, 256)), to_batch(noise(5, 256, 256))).item()
    assert value == pytest.approx(27.9, abs=0.05)


def test_floats_are_rounded_to_bytes() -> None:
    generated, reference = to_batch(noise(6, 128, 128)), to_batch(noise(7, 128, 128))
    as_float = [images.float() / 127.5 - 1 for images in (generated, reference)]
    torch.testing.assert_close(psnr_atvg(*as_float), psnr_atvg(generated, reference))


def test_metric_is_the_mean_over_frames() -> None:
    generated, reference = to_batch(*(noise(s, 64, 64) for s in range(3))), to_batch(*(noise(9, 64, 64),) * 3)
    metric = PSNRATVG()
    metric.update(generated[:2], reference[:2])
    metric.update(generated[2:], reference[2:])
    assert metric.compute().item() == pytest.approx(psnr_atvg(generated, reference).mean().item(), abs=1e-5)


def test_what_is_no_rgb_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="RGB"):
        psnr_atvg(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
