"""Lip synchronisation: does the mouth open and close when the true mouth does?"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


def mouth_correlation(generated: Tensor, reference: Tensor) -> Tensor:
    r"""Pearson correlation of two mouth openings over time.

    .. math:: r = \frac{\mathrm{Cov}(x, y)}{\sqrt{\mathrm{Var}(x) \, \mathrm{Var}(y)}}

    A mouth that does not move at all follows nothing: its correlation is 0.

    Args:
        generated: (T,) distances of the inner lips / outer-eye distances, pose removed.
        reference: (T,) the same of the true frames.

    Returns:
        () float in [-1, 1].

    Raises:
        ValueError: the shapes are not one and the same (T,).

    >>> true = torch.tensor([0.0, 1.0, 0.0, 2.0])
    >>> mouth_correlation(0.1 * true + 3.0, true)
    tensor(1.)
    >>> mouth_correlation(torch.ones(4), true)
    tensor(0.)
    """
    return _correlation(_moments(generated, reference))


class MouthCorrelation(Metric):
    """Pearson correlation of mouth openings, see :func:`mouth_correlation`.

    One state is one stretch of speech of one person; several people in one state would correlate through their
    different resting mouths. State: number, sums, sums of squares and of products, added up over processes.

    >>> metric = MouthCorrelation()
    >>> opening = torch.rand(30)
    >>> metric.update(-opening, opening)
    >>> metric.compute()
    tensor(-1.)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    moments: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("moments", torch.zeros(6, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames; arguments as in :func:`mouth_correlation`."""
        self.moments += _moments(generated, reference)

    def compute(self) -> Tensor:
        """The correlation over all frames seen, () float."""
        return _correlation(self.moments)


def _moments(x: Tensor, y: Tensor) -> Tensor:
    """(6,) double: number of frames and the sums of x, y, x², y², xy."""
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected two (T,) mouth openings, got {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = x.double(), y.double()
    return torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y]).sum(dim=1)


def _correlation(moments: Tensor) -> Tensor:
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = moments[1:] / moments[0]
    variance_x, variance_y = mean_xx - mean_x.square(), mean_yy - mean_y.square()
    # below this share of the mean square there is only rounding, not movement
    if not (variance_x > 1e-12 * mean_xx and variance_y > 1e-12 * mean_yy):
        return torch.zeros((), device=moments.device)
    return ((mean_xy - mean_x * mean_y) / (variance_x * variance_y).sqrt()).clamp(-1.0, 1.0).float()
