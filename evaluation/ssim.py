"""SSIM of video frames in its two common definitions, equal to scikit-image, over the whole image or inside a mask.

`uniform` (7x7) is scikit-image's default, with which the numbers of the paper's Table 2 were made; `gaussian` (11x11)
is the original definition. All arithmetic is in double precision or whole numbers, because SSIM subtracts numbers that
are nearly equal wherever an image is flat.
"""

from typing import Any

import torch
from torch import Tensor

from evaluation.frame_values import FrameMean, check_batches, mean_inside, unit_range

K1, K2 = 0.01, 0.03  # Wang et al. 2004, section III-C
GAUSSIAN_SIZE, GAUSSIAN_SIGMA = 11, 1.5  # Wang et al. 2004, section III-C
UNIFORM_SIZE = 7  # scikit-image's default, with which the numbers of the paper's Table 2 were made
WINDOWS = ("uniform", "gaussian")


def ssim(generated: Tensor, reference: Tensor, mask: Tensor | None = None, window: str = "uniform") -> Tensor:
    r"""Structural similarity of every frame (Wang et al. 2004).

    .. math:: \mathrm{SSIM}(x, y) = \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}
              {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}

    with moments inside a sliding window, per channel, averaged over channels and over the window positions that lie
    wholly inside the image (scikit-image crops the same border).

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.
        mask: (B, 1, H, W) weights in [0, 1] or booleans of the window centres that count.
        window: "uniform" (7x7, sample moments: scikit-image's default, Table 2 of the paper) or "gaussian" (11x11,
            sigma 1.5, population moments: the original definition).

    Returns:
        (B,) double, 1 for identical frames; nan for a frame whose mask is empty.

    Raises:
        ValueError: the shapes do not agree, an image is smaller than the window, or the window is unknown.

    >>> images = torch.arange(192, dtype=torch.uint8).reshape(1, 1, 12, 16)
    >>> ssim(images, images)
    tensor([1.], dtype=torch.float64)
    """
    check_batches(generated, reference, mask)
    return mean_inside(ssim_map(generated, reference, window), mask)


def ssim_map(generated: Tensor, reference: Tensor, window: str = "uniform") -> Tensor:
    """SSIM of every window position, averaged over channels; its means are :func:`ssim`, inside any mask.

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.
        window: "uniform" or "gaussian", see :func:`ssim`.

    Returns:
        (B, 1, H - 6, W - 6) double for "uniform", (B, 1, H - 10, W - 10) for "gaussian".

    Raises:
        ValueError: as :func:`ssim`.
    """
    check_batches(generated, reference)
    if window not in WINDOWS:
        raise ValueError(f"unknown SSIM window '{window}': expected one of {', '.join(WINDOWS)}")
    size = UNIFORM_SIZE if window == "uniform" else GAUSSIAN_SIZE
    if min(generated.shape[-2:]) < size:
        height, width = generated.shape[-2:]
        raise ValueError(f"images of {width}x{height} px are smaller than the SSIM window ({size} px)")
    if generated.dtype == reference.dtype == torch.uint8 and generated.device.type == "cpu":
        return _compiled_map(generated, reference, window)
    x, y = unit_range(generated), unit_range(reference)
    taps, correction = _window(window, x)
    mean_x, mean_y, mean_squares, mean_xy = _windowed(torch.stack([x, y, x * x + y * y, x * y]), taps)
    squared_means = mean_x.square() + mean_y.square()
    variances = correction * (mean_squares - squared_means)
    covariance = correction * (mean_xy - mean_x * mean_y)
    c1, c2 = K1**2, K2**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((squared_means + c1) * (variances + c2))
    return similarity.mean(dim=1, keepdim=True)


class SSIM(FrameMean):
    """Mean over frames of :func:`ssim`.

    State: sum of the frames' values and their number, added up over processes.

    Args:
        window: "uniform" or "gaussian", see :func:`ssim`.
        kwargs: torchmetrics' own options.

    >>> metric = SSIM(window="gaussian")
    >>> images = torch.rand(2, 3, 16, 16) * 2 - 1
    >>> metric.update(images, images)
    >>> metric.compute()
    tensor(1.)
    """

    higher_is_better = True

    def __init__(self, window: str = "uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def update(self, generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
        """Adds frames; arguments as in :func:`ssim`."""
        self.add(ssim(generated, reference, mask, self.window))


def _window(window: str, like: Tensor) -> tuple[Tensor, float]:
    """Separable weights of a window, and what its variances are multiplied by."""
    if window == "uniform":
        samples = UNIFORM_SIZE**2
        return like.new_full((UNIFORM_SIZE,), 1 / UNIFORM_SIZE), samples / (samples - 1)
    offsets = torch.arange(GAUSSIAN_SIZE, dtype=like.dtype, device=like.device) - GAUSSIAN_SIZE // 2
    taps = torch.exp(-0.5 * (offsets / GAUSSIAN_SIGMA).square())
    return taps / taps.sum(), 1.0


def _windowed(stack: Tensor, taps: Tensor) -> Tensor:
    """Weighted means of (..., H, W) in every window that lies inside the image."""
    # Sums of shifted images: on a CPU a third of the time of a convolution, which torch runs slowly in double.
    for axis in (-2, -1):
        length = stack.shape[axis] - len(taps) + 1
        total = torch.zeros_like(stack.narrow(axis, 0, length))
        for offset, tap in enumerate(taps.tolist()):
            total.add_(stack.narrow(axis, offset, length), alpha=tap)
        stack = total
    return stack


def _compiled_map(generated: Tensor, reference: Tensor, window: str) -> Tensor:
    """The same by compiled loops, a tenth of the time."""
    from evaluation.ssim_loops import gaussian_similarity, uniform_similarity  # numba takes a second to load

    batch, channels, height, width = generated.shape
    x, y = (images.permute(0, 2, 3, 1).reshape(batch, height, -1).numpy() for images in (generated, reference))
    taps, _ = _window(window, torch.empty(0, dtype=torch.float64))
    border = len(taps) - 1
    similarity = torch.empty(batch, 1, height - border, width - border, dtype=torch.float64)
    for ours, real, values in zip(x, y, similarity[:, 0].numpy(), strict=True):
        if window == "uniform":
            uniform_similarity(ours, real, channels, (K1 * 255) ** 2, (K2 * 255) ** 2, values)
        else:
            gaussian_similarity(ours, real, channels, taps.numpy(), (K1 * 255) ** 2, (K2 * 255) ** 2, values)
    return similarity
