"""SSIM in both definitions against scikit-image, masks, compiled loops against tensors, and the metric class."""

import doctest

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from evaluation import ssim as module
from evaluation.ssim import SSIM, WINDOWS, ssim, ssim_map
from tests.changed_photos import changed_photos, to_batch


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return changed_photos()


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("window", "options"),
    [
        ("gaussian", {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}),
        ("uniform", {"win_size": 7}),
    ],
)
def test_ssim_equals_skimage(pair: tuple[np.ndarray, np.ndarray], window: str, options: dict) -> None:
    generated, reference = pair
    expected = [
        structural_similarity(r, g, data_range=255, channel_axis=2, **options)
        for g, r in zip(generated, reference, strict=True)
    ]
    np.testing.assert_allclose(ssim(to_batch(generated), to_batch(reference), window=window), expected, atol=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
def test_bytes_and_floats_give_the_same_map(pair: tuple[np.ndarray, np.ndarray], window: str) -> None:
    """Bytes take compiled loops, floats tensors: two ways of one definition."""
    generated, reference = (to_batch(frames) for frames in pair)
    as_float = [images.double() / 127.5 - 1 for images in (generated, reference)]
    torch.testing.assert_close(
        ssim_map(*as_float, window=window), ssim_map(generated, reference, window=window), atol=1e-10, rtol=0
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_equal_frames_are_exactly_1(pair: tuple[np.ndarray, np.ndarray], window: str) -> None:
    frames = to_batch(pair[0])
    assert ssim(frames, frames, window=window).tolist() == [1.0] * 4


def test_masked_values_equal_skimage_maps(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    mask = np.zeros((4, 64, 80), dtype=bool)
    mask[:, 20:50, 15:70] = True
    mask[1, 20:50, 40:] = False
    got = ssim(to_batch(generated), to_batch(reference), torch.from_numpy(mask[:, None]))
    for frame, inside in enumerate(mask):
        _, similarity = structural_similarity(
            reference[frame], generated[frame], data_range=255, channel_axis=2, full=True
        )
        assert got[frame].item() == pytest.approx(similarity[inside].mean(), abs=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
def test_metric_is_the_mean_over_frames_whatever_the_batches(pair, window) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    metric = SSIM(window=window)
    metric.update(generated[:3], reference[:3])
    metric.update(generated[3:], reference[3:])
    assert metric.compute().item() == pytest.approx(ssim(generated, reference, window=window).mean().item(), abs=1e-5)


def test_grey_pictures_and_one_channel_of_many_agree(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = (to_batch(frames)[:, :1] for frames in pair)
    repeated = [images.expand(-1, 3, -1, -1) for images in (generated, reference)]
    torch.testing.assert_close(ssim(*repeated), ssim(generated, reference))


def test_shapes_that_do_not_agree_are_refused() -> None:
    images = torch.zeros(2, 3, 16, 16)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\) mask"):
        ssim(images, images, torch.ones(2, 16, 16))
    with pytest.raises(ValueError, match="smaller than the SSIM window"):
        ssim(images[..., :6], images[..., :6])
    with pytest.raises(ValueError, match="unknown SSIM window 'box'"):
        ssim(images, images, window="box")
