"""How much a head moves, as a fraction of how much the real one does."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


def head_motion_ratio(generated: Tensor, reference: Tensor) -> Tensor:
    r"""How much the generated head moves, as a fraction of how much the real one does.

    .. math:: \sqrt{\textstyle\sum_a \mathrm{Var}_a(\mathrm{generated}) \,/\, \sum_a \mathrm{Var}_a(\mathrm{reference})}

    over the three axes: 0 for a fixed head, 1 for movement of the true size.

    Args:
        generated: (T, 3) pitch, yaw, roll in degrees.
        reference: (S, 3) the same of the real video.

    Returns:
        () float; 1 if neither head moves, inf if only the generated one does.

    >>> swing = torch.tensor([[0.0, 4.0, 0.0], [0.0, -4.0, 0.0]])
    >>> head_motion_ratio(swing / 4, swing)
    tensor(0.2500)
    """
    return _ratio(_moments(generated), _moments(reference))


class HeadMotionRatio(Metric):
    """Size of head movement relative to the real one, see :func:`head_motion_ratio`.

    State: number, sums and sums of squares of the angles of both sides, added up over processes.

    >>> metric = HeadMotionRatio()
    >>> angles = torch.randn(50, 3)
    >>> metric.update(2 * angles, angles)
    >>> metric.compute()
    tensor(2.)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    generated: Tensor
    reference: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros(3, 3, dtype=torch.float64)
        self.add_state("generated", empty, dist_reduce_fx="sum")
        self.add_state("reference", empty.clone(), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames; arguments as in :func:`head_motion_ratio`."""
        self.generated += _moments(generated)
        self.reference += _moments(reference)

    def compute(self) -> Tensor:
        """The ratio over all frames seen, () float."""
        return _ratio(self.generated, self.reference)


def _moments(angles: Tensor) -> Tensor:
    """(3, 3): number of frames, sum and sum of squares (rows) of each axis (columns)."""
    if angles.ndim != 2 or angles.shape[1] != 3:
        raise ValueError(f"expected (T, 3) angles in degrees, got {tuple(angles.shape)}")
    angles = angles.double()
    return torch.stack([torch.ones_like(angles), angles, angles.square()]).sum(dim=1)


def _ratio(generated: Tensor, reference: Tensor) -> Tensor:
    moving, real = _variance(generated), _variance(reference)
    if float(real) == 0.0:
        return torch.tensor(1.0 if float(moving) == 0.0 else torch.inf, device=moving.device)
    return (moving / real).sqrt().float()


def _variance(moments: Tensor) -> Tensor:
    """Sum of the three axes' variances, () double; exactly 0 where only rounding is left."""
    count, total, squares = moments
    mean_square = squares / count
    variance = mean_square - (total / count).square()
    return torch.where(variance > 1e-12 * mean_square, variance, 0.0).sum()
