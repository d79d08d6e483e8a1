"""PSNR of video frames: the mean of the frames' values, over the whole image or inside a mask."""

import torch
from torch import Tensor

from evaluation.frame_values import FrameMean, check_batches, mean_inside, unit_range

PSNR_CAP = 100.0  # dB; what identical frames get, as in the evaluation script of the ATVG baseline


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
    check_batches(generated, reference, mask)
    return decibels(mean_inside(squared_error(generated, reference), mask))


def squared_error(generated: Tensor, reference: Tensor) -> Tensor:
    """Squared error of every pixel on a [0, 1] scale, the mean over channels; its means give :func:`psnr`.

    Args:
        generated: (B, C, H, W) images, `uint8` or floating point in [-1, 1].
        reference: images of the same shape.

    Returns:
        (B, 1, H, W) double.
    """
    if generated.dtype == reference.dtype == torch.uint8:  # whole numbers until the end: exact, and a third of the time
        difference = generated.int() - reference.int()
        squares = (difference * difference).sum(dim=1, keepdim=True, dtype=torch.int32)
        return squares.double() / (generated.shape[1] * 255**2)
    return (unit_range(generated) - unit_range(reference)).square().mean(dim=1, keepdim=True)


def decibels(error: Tensor) -> Tensor:
    """PSNR in dB of mean squared errors on a [0, 1] scale, capped at 100; nan stays nan."""
    return (-10.0 * error.clamp_min(1e-300).log10()).clamp_max(PSNR_CAP)


class PSNR(FrameMean):
    """Mean over frames of :func:`psnr` (not the PSNR of the pooled error: one bad frame must stay one frame).

    State: sum of the frames' values and their number, added up over processes.

    >>> metric = PSNR()
    >>> images = torch.rand(2, 3, 16, 16) * 2 - 1
    >>> metric.update(images, images)
    >>> metric.compute()
    tensor(100.)
    """

    higher_is_better = True

    def update(self, generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
        """Adds frames; arguments as in :func:`psnr`."""
        self.add(psnr(generated, reference, mask))
