"""PSNR against scikit-image, the cap, masks, and the metric class."""

import doctest

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from evaluation import frame_values
from evaluation import psnr as module
from evaluation.psnr import PSNR, psnr
from tests.changed_photos import changed_photos, to_batch


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return changed_photos()


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(frame_values).failed == 0


def test_equals_skimage(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    expected = [peak_signal_noise_ratio(r, g, data_range=255) for g, r in zip(generated, reference, strict=True)]
    np.testing.assert_allclose(psnr(to_batch(generated), to_batch(reference)).numpy(), expected, atol=1e-5)


def test_identical_frames_are_capped() -> None:
    images = torch.rand(3, 3, 9, 9) * 2 - 1
    assert psnr(images, images).tolist() == [100.0] * 3
    assert psnr(images, images + 1e-9).tolist() == [100.0] * 3  # nor does a vanishing error exceed the cap


def test_float_images_in_minus_one_to_one_score_as_their_bytes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    as_float = [images.float() / 127.5 - 1 for images in (generated, reference)]
    torch.testing.assert_close(psnr(*as_float), psnr(generated, reference), atol=1e-5, rtol=0)


def test_masked_values_equal_skimage_on_the_pixels_inside(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    mask = np.zeros((4, 64, 80), dtype=bool)
    mask[:, 20:50, 15:70] = True
    mask[1, 20:50, 40:] = False
    got = psnr(to_batch(generated), to_batch(reference), torch.from_numpy(mask[:, None]))
    for frame, inside in enumerate(mask):
        expected = peak_signal_noise_ratio(reference[frame][inside], generated[frame][inside], data_range=255)
        assert got[frame].item() == pytest.approx(expected, abs=1e-5)


def test_metric_is_the_mean_over_frames_whatever_the_batches(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    metric = PSNR()
    metric.update(generated[:3], reference[:3])
    metric.update(generated[3:], reference[3:])
    assert metric.compute().item() == pytest.approx(psnr(generated, reference).mean().item(), abs=1e-5)


def test_the_mean_over_frames_is_not_that_of_the_pooled_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    pooled = peak_signal_noise_ratio(reference, generated, data_range=255)
    assert psnr(to_batch(generated), to_batch(reference)).mean().item() > pooled + 0.3


def test_a_frame_with_an_empty_mask_does_not_count(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    mask = torch.ones(4, 1, 64, 80)
    mask[2] = 0
    metric = PSNR()
    metric.update(generated, reference, mask)
    expected = psnr(generated, reference)[[0, 1, 3]].mean().item()
    assert metric.compute().item() == pytest.approx(expected, abs=1e-5)


def test_shapes_that_do_not_agree_are_refused() -> None:
    images = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ValueError, match="one shape"):
        psnr(images, images[:1])  # would broadcast
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\) mask"):
        psnr(images, images, torch.ones(2, 16, 16))
