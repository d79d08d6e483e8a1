"""The PSNR of the paper's Table 2, as the evaluation script of the ATVG baseline computes it: in bytes that wrap.

The baselines' numbers in that table come from this arithmetic. It is here so that the table can be compared at all, and
for nothing else: differences and squares are kept modulo 256, so any two unlike pictures score about 28 dB [two of
random bytes: 27.9], and a badly wrong frame can beat a slightly wrong one.
"""

import torch
from torch import Tensor

from evaluation.frame_values import FrameMean, check_batches

ATVG_SIZE = 256  # px, released evaluation script of ATVG
ATVG_CAP = 100.0  # dB for identical frames, likewise
# OpenCV's grey of bytes: weights of red, green and blue in 1/32768, rounded
_GREY_WEIGHTS, _GREY_SHIFT = (9798, 19235, 3735), 15
_ONE = 2048  # OpenCV's fixed-point 1 of interpolation weights


def psnr_atvg(generated: Tensor, reference: Tensor) -> Tensor:
    r"""PSNR of every frame in wrapping bytes: the arithmetic of Table 2, not a measure of quality.

    .. math:: 10 \log_{10} \frac{255^2}{\overline{((x - y) \bmod 256)^2 \bmod 256}}

    of grey pictures of 256 x 256 px, 100 where the mean is 0; OpenCV's area resize and its grey are reproduced.

    Args:
        generated: (B, 3, H, W) images, RGB, `uint8` or floating point in [-1, 1] (rounded to bytes).
        reference: images of the same shape.

    Returns:
        (B,) double, dB.

    Raises:
        ValueError: the shapes do not agree, or the images are not RGB.

    >>> black = torch.zeros(1, 3, 256, 256, dtype=torch.uint8)
    >>> psnr_atvg(black, black + 16)  # 16 squared is 256, which wraps to 0: "identical"
    tensor([100.], dtype=torch.float64)
    """
    check_batches(generated, reference)
    if generated.shape[1] != 3:
        raise ValueError(f"psnr_atvg needs RGB images (B, 3, H, W), got {tuple(generated.shape)}")
    ours, real = (grey(area_resize(_bytes(images), ATVG_SIZE)) for images in (generated, reference))
    difference = ours - real  # uint8 arithmetic wraps around here ...
    squares = difference * difference  # ... and here
    error = squares.double().mean(dim=(1, 2))
    return torch.where(error > 0, 10 * (255.0**2 / error).log10(), ATVG_CAP)


class PSNRATVG(FrameMean):
    """Mean over frames of :func:`psnr_atvg`.

    State: sum of the frames' values and their number, added up over processes.

    >>> metric = PSNRATVG()
    >>> images = torch.rand(2, 3, 64, 64) * 2 - 1
    >>> metric.update(images, images)
    >>> metric.compute()
    tensor(100.)
    """

    higher_is_better = True

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames; arguments as in :func:`psnr_atvg`."""
        self.add(psnr_atvg(generated, reference))


def grey(images: Tensor) -> Tensor:
    """OpenCV's grey of RGB bytes.

    Args:
        images: (B, 3, H, W) uint8.

    Returns:
        (B, H, W) uint8.

    >>> grey(torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1))
    tensor([[[76]]], dtype=torch.uint8)
    """
    red, green, blue = images.int().unbind(dim=1)
    r, g, b = _GREY_WEIGHTS
    return ((r * red + g * green + b * blue + (1 << _GREY_SHIFT - 1)) >> _GREY_SHIFT).to(torch.uint8)


def area_resize(images: Tensor, size: int) -> Tensor:
    """OpenCV's `resize(..., INTER_AREA)` of bytes to a square.

    Smaller: the mean over the area that a pixel covers. Larger: every pixel repeated, with a linear passage inside
    those new pixels that an old border crosses. Equal to OpenCV bit by bit, but for means of exactly a half where
    a side shrinks by a fraction: those follow OpenCV's rounding errors.

    Args:
        images: (B, C, H, W) uint8.
        size: new height and width.

    Returns:
        (B, C, size, size) uint8.
    """
    height, width = images.shape[2:]
    if (height, width) == (size, size):
        return images
    if min(height, width) < size:  # OpenCV leaves the area rule for both axes as soon as one of them grows
        return _enlarged(images, size)
    rows, columns = (_area_shares(length, size).to(images.device) for length in (height, width))
    mean = torch.einsum("ih,bchw,jw->bcij", rows, images.double(), columns)
    # OpenCV rounds halves to even, but upwards in its fast path of 2 x 2 pixels
    rounded = (mean + 0.5).floor() if (height, width) == (2 * size, 2 * size) else mean.round()
    return rounded.to(torch.uint8)


def _area_shares(length: int, size: int) -> Tensor:
    """(size, length) double: the share of every old pixel in every new, larger one along one axis."""
    edges = torch.arange(size + 1, dtype=torch.float64) * (length / size)
    old = torch.arange(length, dtype=torch.float64)
    overlap = torch.minimum(old + 1, edges[1:, None]) - torch.maximum(old, edges[:-1, None])
    return overlap.clamp_min(0) * (size / length)


def _enlarged(images: Tensor, size: int) -> Tensor:
    """OpenCV's linear interpolation of bytes in its fixed-point numbers, at the positions of its area rule."""
    (top, share), (left, part) = (_linear_positions(length, size, images.device) for length in images.shape[2:])
    bottom, right = (top + 1).clamp_max(images.shape[2] - 1), (left + 1).clamp_max(images.shape[3] - 1)
    whole = images.int()
    along = whole[..., left] * (_ONE - part) + whole[..., right] * part
    share = share[:, None]
    upper, lower = (along[..., top, :] >> 4) * (_ONE - share) >> 16, (along[..., bottom, :] >> 4) * share >> 16
    return (upper + lower + 2 >> 2).clamp(0, 255).to(torch.uint8)


def _linear_positions(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The old pixel at or before every new one, (size,) int64, and the share of the next in 1/2048, (size,) int32."""
    new = torch.arange(size, dtype=torch.float64)
    old = (new * (length / size)).floor()
    passage = ((new + 1) - (old + 1) * (size / length)).clamp_min(0)
    share = ((passage - passage.floor()) * _ONE).round()
    share[old >= length - 1] = 0
    return old.clamp_max(length - 1).long().to(device), share.int().to(device)


def _bytes(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
