"""PSNR and SSIM against scikit-image, the cap, masks, and the metric classes."""

import doctest

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evaluation import image_quality
from evaluation.image_quality import PSNR, SSIM, psnr, ssim


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
    assert doctest.testmod(image_quality).failed == 0


def test_psnr_equals_skimage(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    expected = [peak_signal_noise_ratio(r, g, data_range=255) for g, r in zip(generated, reference, strict=True)]
    np.testing.assert_allclose(psnr(to_batch(generated), to_batch(reference)).numpy(), expected, atol=1e-5)


def test_psnr_of_identical_frames_is_capped() -> None:
    images = torch.rand(3, 3, 9, 9) * 2 - 1
    assert psnr(images, images).tolist() == [100.0] * 3
    assert psnr(images, images + 1e-9).tolist() == [100.0] * 3  # nor does a vanishing error exceed the cap


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


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_float_images_in_minus_one_to_one_score_as_their_bytes(pair: tuple[np.ndarray, np.ndarray], measure) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    as_float = [images.float() / 127.5 - 1 for images in (generated, reference)]
    torch.testing.assert_close(measure(*as_float), measure(generated, reference), atol=1e-5, rtol=0)


def test_masked_values_equal_skimage_maps(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    mask = np.zeros((4, 64, 80), dtype=bool)
    mask[:, 20:50, 15:70] = True
    mask[1, 20:50, 40:] = False
    got_psnr = psnr(to_batch(generated), to_batch(reference), torch.from_numpy(mask[:, None]))
    got_ssim = ssim(to_batch(generated), to_batch(reference), torch.from_numpy(mask[:, None]))
    for frame in range(4):
        inside = mask[frame]
        expected = peak_signal_noise_ratio(reference[frame][inside], generated[frame][inside], data_range=255)
        assert got_psnr[frame].item() == pytest.approx(expected, abs=1e-5)
        _, similarity = structural_similarity(
            reference[frame],
            generated[frame],
            data_range=255,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        assert got_ssim[frame].item() == pytest.approx(similarity[inside].mean(), abs=1e-5)


@pytest.mark.parametrize(("metric", "measure"), [(PSNR, psnr), (SSIM, ssim)])
def test_metric_is_the_mean_over_frames_whatever_the_batches(pair, metric, measure) -> None:
    generated, reference = (to_batch(frames) for frames in pair)
    instance = metric()
    instance.update(generated[:3], reference[:3])
    instance.update(generated[3:], reference[3:])
    assert instance.compute().item() == pytest.approx(measure(generated, reference).mean().item(), abs=1e-5)


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
        ssim(images, images, torch.ones(2, 16, 16))
    with pytest.raises(ValueError, match="smaller than the SSIM window"):
        ssim(images[..., :8], images[..., :8])
    with pytest.raises(ValueError, match="unknown SSIM window 'box'"):
        ssim(images, images, window="box")
