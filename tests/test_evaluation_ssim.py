"""SSIM in both definitions against scikit-image, masks, compiled loops against tensors, and the metric class."""

import doctest

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from evaluation import ssim as module
from evaluation.ssim import SSIM, WINDOWS, ssim, ssim_map


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """(4, 64, 80, 3) uint8: a photo, and the same with noise, a shift, a flat square and other contrast."""
    rng = np.random.default_rng(0)
    reference = np.stack([astronaut()[y : y + 64, 180:260] for y in (40, 100, 300, 400)])
    generated = reference.astype(np.float64)
    generated[0] += rng.normal(0, 12, generated[0].shape)
    generated[1] = np.roll(generated[1], 2, axis=1)
    generated[2, 10:40, 10:40] = 128
    generated[3] = 0.5 * generated[3] + 60
    return np.clip(np.round(generated), 0, 255).astype(np.uint8), reference


def to_batch(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2)


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
