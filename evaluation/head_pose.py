"""HS, the paper's similarity of head poses (Eq. 6).

The paper gives neither bins nor the normaliser of its "normalized W1". Both are stated here and can be chosen: bins of
one degree, centred on whole degrees, and the range of the two histograms together, which makes every value lie in
[0, 1].
"""

from collections.abc import Callable, Sequence
from typing import Any

import ot
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

AXES = ("pitch", "yaw", "roll")
MAX_DEGREES = 180
BIN_WIDTH = 1.0  # degrees; SPEC
NORMALISERS = ("pooled", "full")


def head_pose_similarity(
    generated: Tensor,
    reference: Tensor,
    *,
    centred: bool = False,
    bin_width: float = BIN_WIDTH,
    normaliser: str | float = "pooled",
) -> dict[str, Tensor]:
    r"""HS (Eq. 6) of two sequences of head poses, which need not be of equal length.

    .. math:: \mathrm{HS} = 1 - \tfrac13 \sum_{a} \frac{W_1(P_a, Q_a)}{R_a}

    over the axes a = pitch, yaw, roll; P and Q are histograms. The normaliser R is the range from the smallest to the
    largest bin that either of them fills ("pooled"; an axis where both heads stay in one and the same bin has distance
    0), the 360 degrees of all angles ("full"), or a number of degrees. The order of frames does not matter.

    Args:
        generated: (T, 3) pitch, yaw, roll in degrees.
        reference: (S, 3) the same of the real video.
        centred: subtract from each sequence its own mean, so that where the camera stands does not count.
        bin_width: degrees.
        normaliser: "pooled", "full" or degrees; a distance beyond a given number of degrees makes HS negative.

    Returns:
        `hs` (in [0, 1] with "pooled" and "full") and `w1_pitch`, `w1_yaw`, `w1_roll` in degrees, each () float.

    Raises:
        ValueError: a shape is not (T, 3), a sequence is empty, an angle is not within [-180, 180], or the bin width or
            the normaliser is none.

    >>> still = torch.zeros(4, 3)
    >>> nod = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [8.0, 0.0, 0.0]])
    >>> head_pose_similarity(nod, still)
    {'hs': tensor(0.8333), 'w1_pitch': tensor(4.), 'w1_yaw': tensor(0.), 'w1_roll': tensor(0.)}
    >>> head_pose_similarity(nod + 5, nod, centred=True)["hs"]
    tensor(1.)
    """
    _check(generated)
    _check(reference)
    _check_options(bin_width, normaliser)
    if not len(generated) or not len(reference):
        raise ValueError("HS needs at least one frame on either side")
    sides = [angles.double() for angles in (generated, reference)]
    if centred:
        sides = [angles - angles.mean(dim=0) for angles in sides]
    ours, real = (_bins(angles, bin_width) for angles in sides)
    both = torch.cat([ours, real])
    low, high = both.amin(dim=0), both.amax(dim=0)
    count = int((high - low).max()) + 1
    shares = [_counts(bins - low, count).double() / len(bins) for bins in (ours, real)]
    degrees = bin_width * torch.arange(count, dtype=torch.float64, device=low.device).expand(3, -1).T
    distances = ot.wasserstein_1d(degrees, degrees, shares[0].T, shares[1].T, p=1)  # (3,)
    if normaliser == "pooled":
        ranges = bin_width * (high - low).clamp_min(1)  # a range of 0 is one common bin: distance 0
    else:
        ranges = torch.as_tensor(2.0 * MAX_DEGREES if normaliser == "full" else float(normaliser)).to(distances)
    similarity = 1 - (distances / ranges).mean()
    scores = {f"w1_{axis}": distance.float() for axis, distance in zip(AXES, distances, strict=True)}
    return {"hs": similarity.float(), **scores}


def head_pose_ceiling(angles: Tensor, **options: Any) -> dict[str, Tensor]:
    """The first half of a real video against its second half: what a perfect imitation may expect.

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees, T >= 2.
        options: of :func:`head_pose_similarity`.

    Returns:
        As :func:`head_pose_similarity`.

    >>> head_pose_ceiling(torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))["hs"]
    tensor(0.6667)
    """
    half = len(angles) // 2
    return head_pose_similarity(angles[:half], angles[half:], **options)


def head_pose_floor(angles: Tensor, others: Sequence[Tensor], **options: Any) -> dict[str, Tensor]:
    """Real videos of others against a real one: what somebody else's head movement scores.

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees.
        others: the same of other videos, at least one.
        options: of :func:`head_pose_similarity`.

    Returns:
        As :func:`head_pose_similarity`, the mean over the others.

    >>> still = torch.zeros(4, 3)
    >>> head_pose_floor(still, [still, still + torch.tensor([9.0, 0.0, 0.0])])["hs"]
    tensor(0.8333)
    """
    scores = [head_pose_similarity(other, angles, **options) for other in others]
    return {key: torch.stack([score[key] for score in scores]).mean() for key in scores[0]}


def raw_and_centred(measure: Callable[..., dict[str, Tensor]], *angles: Any, **options: Any) -> dict[str, float]:
    """Numbers of a row: those of angles as they are, and HS of centred ones as `hs_centred`.

    Args:
        measure: :func:`head_pose_similarity`, :func:`head_pose_ceiling`, :func:`head_pose_floor` or one like them.
        angles: its arguments.
        options: of :func:`head_pose_similarity`, but `centred`.

    >>> angles = torch.tensor([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    >>> raw_and_centred(head_pose_similarity, angles + 5, angles)["hs_centred"]
    1.0
    """
    raw, centred = (measure(*angles, centred=centred, **options) for centred in (False, True))
    return {key: float(value) for key, value in raw.items()} | {"hs_centred": float(centred["hs"])}


class HeadPoseSimilarity(Metric):
    """HS (Eq. 6) of one video, see :func:`head_pose_similarity`.

    State: the angles of both sides, gathered from all processes, so a video may be split among them in any way.

    Args:
        centred: as in :func:`head_pose_similarity`.
        bin_width: likewise.
        normaliser: likewise.
        kwargs: torchmetrics' own options.

    >>> metric = HeadPoseSimilarity()
    >>> angles = torch.randn(20, 3)
    >>> metric.update(angles, angles)
    >>> metric.compute()["hs"]
    tensor(1.)
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    generated: list[Tensor]
    reference: list[Tensor]

    def __init__(
        self, centred: bool = False, bin_width: float = BIN_WIDTH, normaliser: str | float = "pooled", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        _check_options(bin_width, normaliser)
        self.centred, self.bin_width, self.normaliser = centred, bin_width, normaliser
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("reference", [], dist_reduce_fx="cat")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames of the video; arguments as in :func:`head_pose_similarity`."""
        _check(generated)
        _check(reference)
        # in one row: a process that saw nothing is then gathered like the others
        self.generated.append(generated.to(self.dtype).flatten())
        self.reference.append(reference.to(self.dtype).flatten())

    def compute(self) -> dict[str, Tensor]:
        """`hs`, `w1_pitch`, `w1_yaw`, `w1_roll` of all frames seen."""
        return head_pose_similarity(
            dim_zero_cat(self.generated).view(-1, 3),
            dim_zero_cat(self.reference).view(-1, 3),
            centred=self.centred,
            bin_width=self.bin_width,
            normaliser=self.normaliser,
        )


def _bins(angles: Tensor, bin_width: float) -> Tensor:
    """(T, 3) int64: the multiple of the bin width nearest to each angle."""
    return torch.floor(angles.double() / bin_width + 0.5).long()


def _counts(bins: Tensor, count: int) -> Tensor:
    """(3, count) int64 from (T, 3) bins 0 ... count - 1."""
    flat = bins + count * torch.arange(3, device=bins.device)
    return torch.bincount(flat.flatten(), minlength=3 * count).view(3, count)


def _check(angles: Tensor) -> None:
    if angles.ndim != 2 or angles.shape[1] != 3:
        raise ValueError(f"expected (T, 3) angles in degrees, got {tuple(angles.shape)}")
    if not bool((angles.abs() <= MAX_DEGREES).all()):
        raise ValueError("expected angles in degrees within [-180, 180], got one that is larger or not a number")


def _check_options(bin_width: float, normaliser: str | float) -> None:
    if not 0 < bin_width <= MAX_DEGREES:
        raise ValueError(f"the bin width must be in (0, 180] degrees, got {bin_width}")
    if isinstance(normaliser, str) and normaliser in NORMALISERS:
        return
    if isinstance(normaliser, str) or not normaliser > 0:
        raise ValueError(f"unknown HS normaliser {normaliser!r}: expected {', '.join(NORMALISERS)} or degrees above 0")
