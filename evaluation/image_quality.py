"""PSNR and SSIM of video frames: per-frame values, averaged over frames, over the whole image or inside a mask.

Images are (B, C, H, W), either `uint8` (0 ... 255) or floating point in [-1, 1], the two conventions of this project;
nothing else has to be said about their range. All arithmetic is in double precision, because SSIM subtracts numbers
that are nearly equal wherever an image is flat.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

PSNR_CAP = 100.0  # dB; what identical frames get, as in the evaluation script of the ATVG baseline
SSIM_K1, SSIM_K2 = 0.01, 0.03  # Wang et al. 2004, section III-C
GAUSSIAN_SIZE, GAUSSIAN_SIGMA = 11, 1.5  # Wang et al. 2004, section III-C
UNIFORM_SIZE = 7  # scikit-image's default, which the numbers of the paper's Table 2 were made with


def psnr(generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Peak signal-to-noise ratio of every frame, capped at 100 dB.

    .. math:: \mathrm{PSNR} = \min(100,\; -10 \log_{10} \overline{w (x - y)^2} / \overline{w})

    with images on a [0, 1] scale, the mean over pixels and channels, and :math:`w` the mask (1 without one).

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.
        mask: (B, 1, H, W) weights in [0, 1] or booleans; pixels at 0 do not count.

    Returns:
        (B,) double, dB; nan for a frame whose mask is empty.

    Raises:
        ValueError: the shapes do not agree.

    >>> black = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    >>> psnr(black, black + 51)  # a fifth of the range: 20 log10(5)
    tensor([13.9794], dtype=torch.float64)
    """
    _check(generated, reference, mask)
    squared = (_unit(generated) - _unit(reference)).square().mean(dim=1, keepdim=True)
    error = mean_inside(squared, mask)
    return (-10.0 * error.clamp_min(1e-300).log10()).clamp_max(PSNR_CAP)


def ssim(generated: Tensor, reference: Tensor, mask: Tensor | None = None, window: str = "gaussian") -> Tensor:
    r"""Structural similarity of every frame (Wang et al. 2004).

    .. math:: \mathrm{SSIM}(x, y) = \frac{(2 \mu_x \mu_y + C_1)(2 \sigma_{xy} + C_2)}
              {(\mu_x^2 + \mu_y^2 + C_1)(\sigma_x^2 + \sigma_y^2 + C_2)}

    with moments inside a sliding window, per channel, averaged over channels and over the window positions that lie
    wholly inside the image (scikit-image crops the same border).

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.
        mask: (B, 1, H, W) weights in [0, 1] or booleans of the window centres that count.
        window: "gaussian" (11x11, sigma 1.5, population moments: the original definition) or "uniform"
            (7x7, sample moments: scikit-image's default).

    Returns:
        (B,) double, 1 for identical frames; nan for a frame whose mask is empty.

    Raises:
        ValueError: the shapes do not agree, an image is smaller than the window, or the window is unknown.

    >>> images = torch.arange(192, dtype=torch.uint8).reshape(1, 1, 12, 16)
    >>> ssim(images, images)
    tensor([1.], dtype=torch.float64)
    """
    _check(generated, reference, mask)
    return mean_inside(ssim_map(generated, reference, window), mask)


def ssim_map(generated: Tensor, reference: Tensor, window: str = "gaussian") -> Tensor:
    """SSIM of every window position, averaged over channels; its means are :func:`ssim`, inside any mask.

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.
        window: "gaussian" or "uniform", see :func:`ssim`.

    Returns:
        (B, 1, H - 10, W - 10) double for "gaussian", (B, 1, H - 6, W - 6) for "uniform".

    Raises:
        ValueError: as :func:`ssim`.
    """
    _check(generated, reference, None)
    x, y = _unit(generated), _unit(reference)
    taps, correction = _window(window, x)
    if min(x.shape[-2:]) < len(taps):
        raise ValueError(f"images of {x.shape[-1]}x{x.shape[-2]} px are smaller than the SSIM window ({len(taps)} px)")
    mean_x, mean_y, mean_squares, mean_xy = _windowed(torch.stack([x, y, x * x + y * y, x * y]), taps)
    squared_means = mean_x.square() + mean_y.square()
    variances = correction * (mean_squares - squared_means)
    covariance = correction * (mean_xy - mean_x * mean_y)
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((squared_means + c1) * (variances + c2))
    return similarity.mean(dim=1, keepdim=True)


def mean_inside(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of a map under a mask, frame by frame.

    Args:
        values: (B, 1, H', W'), a map of the image without the same border on every side.
        mask: (B, 1, H, W) weights of the image's pixels, or None for all.

    Returns:
        (B,); nan where the mask is empty.
    """
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    top, left = (mask.shape[2] - values.shape[2]) // 2, (mask.shape[3] - values.shape[3]) // 2
    weights = mask[:, :, top : top + values.shape[2], left : left + values.shape[3]].to(values)
    return (values * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))


class _FrameMean(Metric):
    """Sum and count of per-frame values; frames without a value (nan) do not count."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    total: Tensor
    frames: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("frames", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, values: Tensor) -> None:
        valid = ~values.isnan()
        self.total += values[valid].sum()
        self.frames += valid.sum()

    def compute(self) -> Tensor:
        """Mean over all frames seen, () float; nan when there was none."""
        return (self.total / self.frames).float()


class PSNR(_FrameMean):
    """Mean over frames of :func:`psnr` (not the PSNR of the pooled error: one bad frame must stay one frame).

    State: sum of the frames' values and their number, added up over processes.

    >>> metric = PSNR()
    >>> images = torch.rand(2, 3, 16, 16) * 2 - 1
    >>> metric.update(images, images)
    >>> metric.compute()
    tensor(100.)
    """

    def update(self, generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
        """Adds frames; arguments as in :func:`psnr`."""
        self._add(psnr(generated, reference, mask))


class SSIM(_FrameMean):
    """Mean over frames of :func:`ssim`.

    State: sum of the frames' values and their number, added up over processes.

    Args:
        window: "gaussian" or "uniform", see :func:`ssim`.
        kwargs: torchmetrics' own options.

    >>> metric = SSIM(window="uniform")
    >>> images = torch.rand(2, 3, 16, 16) * 2 - 1
    >>> metric.update(images, images)
    >>> metric.compute()
    tensor(1.)
    """

    def __init__(self, window: str = "gaussian", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def update(self, generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
        """Adds frames; arguments as in :func:`ssim`."""
        self._add(ssim(generated, reference, mask, self.window))


def _unit(images: Tensor) -> Tensor:
    """Double images on a [0, 1] scale; SSIM is not invariant to a shift, so [-1, 1] would give other values."""
    return images.double() / 255 if images.dtype == torch.uint8 else (images.double() + 1) / 2


def _window(window: str, like: Tensor) -> tuple[Tensor, float]:
    """Separable weights of a window, and what its variances are multiplied by."""
    if window == "gaussian":
        offsets = torch.arange(GAUSSIAN_SIZE, dtype=like.dtype, device=like.device) - GAUSSIAN_SIZE // 2
        taps = torch.exp(-0.5 * (offsets / GAUSSIAN_SIGMA).square())
        return taps / taps.sum(), 1.0
    if window == "uniform":
        samples = UNIFORM_SIZE**2
        return like.new_full((UNIFORM_SIZE,), 1 / UNIFORM_SIZE), samples / (samples - 1)
    raise ValueError(f"unknown SSIM window '{window}': expected 'gaussian' or 'uniform'")


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


def _check(generated: Tensor, reference: Tensor, mask: Tensor | None) -> None:
    # a silent broadcast here once moved another toolkit's published PSNR by 18 dB
    if generated.ndim != 4 or generated.shape != reference.shape:
        raise ValueError(
            f"expected two (B, C, H, W) batches of one shape, got {tuple(generated.shape)} and {tuple(reference.shape)}"
        )
    if mask is not None and mask.shape != (generated.shape[0], 1, *generated.shape[2:]):
        raise ValueError(f"expected a (B, 1, H, W) mask for {tuple(generated.shape)}, got {tuple(mask.shape)}")
