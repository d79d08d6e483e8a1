"""HS, the paper's similarity of head poses (Eq. 6), and how much a head moves.

The paper gives neither bins nor the normaliser of its "normalized W1", so both are stated here: bins of one degree,
centred on whole degrees, and the range of the two histograms together, which makes every value lie in [0, 1].
"""

from typing import Any

import ot
import torch
from torch import Tensor
from torchmetrics import Metric

AXES = ("pitch", "yaw", "roll")
MAX_DEGREES = 180  # bins -180 ... 180


def angle_histogram(angles: Tensor) -> Tensor:
    """Counts the frames in every whole degree of each axis.

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees, each in [-180, 180].

    Returns:
        (3, 361) int64; bin k holds the angles in [k - 180.5, k - 179.5).

    Raises:
        ValueError: the shape is not (T, 3), or an angle is not finite or beyond 180 degrees.

    >>> angle_histogram(torch.tensor([[0.2, -5.0, 0.0], [-0.4, -6.0, 1.0]]))[:, 174:182]
    tensor([[0, 0, 0, 0, 0, 0, 2, 0],
            [1, 1, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 1, 1]])
    """
    if angles.ndim != 2 or angles.shape[1] != 3:
        raise ValueError(f"expected (T, 3) angles in degrees, got {tuple(angles.shape)}")
    if not bool((angles.abs() <= MAX_DEGREES).all()):
        raise ValueError("expected angles in degrees within [-180, 180], got one that is larger or not a number")
    degrees = torch.floor(angles.double() + 0.5).long() + MAX_DEGREES
    bins = 2 * MAX_DEGREES + 1
    flat = degrees + bins * torch.arange(3, device=angles.device)
    return torch.bincount(flat.flatten(), minlength=3 * bins).view(3, bins)


def head_pose_similarity(generated: Tensor, reference: Tensor) -> dict[str, Tensor]:
    r"""HS (Eq. 6) of two sequences of head poses, which need not be of equal length.

    .. math:: \mathrm{HS} = 1 - \tfrac13 \sum_{a} \frac{W_1(P_a, Q_a)}{\max_a - \min_a}

    over the axes a = pitch, yaw, roll; P and Q are histograms in 1-degree bins, max and min their common extremes.
    An axis where both heads stay in one and the same bin has distance 0. The order of frames does not matter.

    Args:
        generated: (T, 3) pitch, yaw, roll in degrees.
        reference: (S, 3) the same of the real video.

    Returns:
        `hs` in [0, 1] and `w1_pitch`, `w1_yaw`, `w1_roll` in degrees, each () float.

    Raises:
        ValueError: a shape is not (T, 3), a sequence is empty, or an angle is not within [-180, 180].

    >>> still = torch.zeros(4, 3)
    >>> nod = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [8.0, 0.0, 0.0]])
    >>> head_pose_similarity(nod, still)
    {'hs': tensor(0.8333), 'w1_pitch': tensor(4.), 'w1_yaw': tensor(0.), 'w1_roll': tensor(0.)}
    """
    return _similarity(angle_histogram(generated), angle_histogram(reference))


def head_pose_ceiling(angles: Tensor) -> Tensor:
    """HS of the first half of a real video against its second half: what a perfect imitation may expect.

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees, T >= 2.

    Returns:
        () float in [0, 1].

    >>> head_pose_ceiling(torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))
    tensor(0.6667)
    """
    half = len(angles) // 2
    return head_pose_similarity(angles[:half], angles[half:])["hs"]


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


class HeadPoseSimilarity(Metric):
    """HS (Eq. 6) of one video, see :func:`head_pose_similarity`.

    State: the two angle histograms, added up over processes, so a video may be split among them in any way.

    >>> metric = HeadPoseSimilarity()
    >>> angles = torch.randn(20, 3)
    >>> metric.update(angles, angles)
    >>> metric.compute()["hs"]
    tensor(1.)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    generated: Tensor
    reference: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros(3, 2 * MAX_DEGREES + 1, dtype=torch.int64)
        self.add_state("generated", empty, dist_reduce_fx="sum")
        self.add_state("reference", empty.clone(), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames of the video; arguments as in :func:`head_pose_similarity`."""
        self.generated += angle_histogram(generated)
        self.reference += angle_histogram(reference)

    def compute(self) -> dict[str, Tensor]:
        """`hs`, `w1_pitch`, `w1_yaw`, `w1_roll` of all frames seen."""
        return _similarity(self.generated, self.reference)


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


def _similarity(generated: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """HS and W1 of two (3, 361) histograms."""
    if int(generated.sum()) == 0 or int(reference.sum()) == 0:
        raise ValueError("HS needs at least one frame on either side")
    counts = torch.stack([generated, reference]).double()
    shares = counts / counts.sum(dim=2, keepdim=True)
    degrees = torch.arange(counts.shape[2], dtype=torch.float64, device=counts.device).expand(3, -1).T
    distances = ot.wasserstein_1d(degrees, degrees, shares[0].T, shares[1].T, p=1)  # (3,)
    used = [torch.nonzero(axis).flatten() for axis in (generated + reference)]
    ranges = torch.stack([bins[-1] - bins[0] for bins in used])
    similarity = 1 - (distances / ranges.clamp_min(1)).mean()  # a range of 0 is one common bin: distance 0
    scores = {f"w1_{axis}": distance.float() for axis, distance in zip(AXES, distances, strict=True)}
    return {"hs": similarity.float(), **scores}


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
