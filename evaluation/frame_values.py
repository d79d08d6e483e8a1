"""Values of single video frames: what images are, means under a mask, and the mean over all frames of all processes.

Images are (B, C, H, W), either `uint8` (0 ... 255) or floating point in [-1, 1], the two conventions of this project;
nothing else has to be said about their range.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class FrameMean(Metric):
    """Sum and count of values of frames, or of whole videos; those without a value (nan) do not count.

    Subclasses turn their arguments into values and hand them to `add`. State: the sum of the values and their number,
    added up over processes, so the mean is the same however frames are shared out.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    frames: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("frames", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, values: Tensor) -> None:
        """Adds the values (T,) of frames."""
        valid = ~values.isnan()
        self.total += values[valid].sum()
        self.frames += valid.sum()

    def compute(self) -> Tensor:
        """Mean over all frames seen, () float; nan when there was none."""
        return (self.total / self.frames).float()


def unit_range(images: Tensor) -> Tensor:
    """Double images on a [0, 1] scale; SSIM is not invariant to a shift, so [-1, 1] would give other values."""
    return images.double() / 255 if images.dtype == torch.uint8 else (images.double() + 1) / 2


def mean_inside(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of a map under a mask, frame by frame.

    Args:
        values: (B, 1, H', W'), a map of the image without the same border on every side.
        mask: (B, 1, H, W) weights of the image's pixels, or None for all.

    Returns:
        (B,); nan where the mask is empty.

    >>> mean_inside(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[1, 0]]]]))
    tensor([1.])
    """
    if mask is None:
        return values.mean(dim=(1, 2, 3))
    top, left = (mask.shape[2] - values.shape[2]) // 2, (mask.shape[3] - values.shape[3]) // 2
    weights = mask[:, :, top : top + values.shape[2], left : left + values.shape[3]].to(values)
    return (values * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))


def check_batches(generated: Tensor, reference: Tensor, mask: Tensor | None = None) -> None:
    """Two batches of one shape, and a mask that fits.

    Raises:
        ValueError: the shapes do not agree.
    """
    # a silent broadcast here once moved another toolkit's published PSNR by 18 dB
    if generated.ndim != 4 or generated.shape != reference.shape:
        raise ValueError(
            f"expected two (B, C, H, W) batches of one shape, got {tuple(generated.shape)} and {tuple(reference.shape)}"
        )
    if mask is not None and mask.shape != (generated.shape[0], 1, *generated.shape[2:]):
        raise ValueError(f"expected a (B, 1, H, W) mask for {tuple(generated.shape)}, got {tuple(mask.shape)}")
