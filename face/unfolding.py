"""Bends the modes of a face as little as it takes for none to turn a triangle over.

Where points nearly coincide, as the rings of closed lips do at the corners of the mouth, a mode of some strength
carries one past the other, and the surface between them is seen from behind. The mean face makes room for most of it:
moving it costs none of the movements that the modes explain.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from face.subdivision import Subdivision
from media.threads import one_thread

RANGE = 2.0  # ours: standard deviations to either side, within which 95 % of people and moments lie
_LEAST = 0.02  # ours: of a triangle's area is to be left at the end of a mode, more than storing in integers takes
_SMOOTH = 0.5  # ours: of a triangle's area the mean keeps, or the corners of its mouth show creases
_WATCHED = 0.3  # ours: triangles that keep less of it are looked after while others are bent
_MEAN_COST = 0.3  # ours: of moving the mean, a mode's being 1; it moves by 0.4 mm, the end of the strongest mode by 0.7
_FIRST_COST, _MORE, _ROUNDS = 1e-2, 4.0, 8  # squared decimetres that a whole triangle may cost; two or three rounds do
_STEPS = 300  # of the solver in a round, at most


@dataclass(frozen=True)
class Unfolded:
    """A face none of whose modes turns a triangle over.

    Attributes:
        mean: float64 (C, 3).
        modes: float64 (K, C, 3).
    """

    mean: np.ndarray
    modes: np.ndarray


def kept_areas(mean: np.ndarray, modes: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """What each triangle keeps of its area at the ends of the modes, seen along its normal in the mean face.

    Args:
        mean: (V, 3).
        modes: (K, V, 3), one standard deviation each.
        triangles: (F, 3).

    Returns:
        float64 (2, K, F), the lower ends first: 1 as in the mean face, 0 seen edge-on, less when it is turned over.
    """
    rest, moves = (torch.from_numpy(np.asarray(values, np.float64)) for values in (mean, modes))
    corners = torch.from_numpy(np.asarray(triangles, np.int64))
    # one by one: all ends of a fine mesh at once would be large
    return torch.stack([_kept(rest, mode[None], corners)[:, 0] for mode in moves], 1).numpy()


def unfold(mean: np.ndarray, modes: np.ndarray, mesh: Subdivision, partner: np.ndarray) -> Unfolded:
    """Move mean and modes as little as possible until no triangle turns over within `RANGE`.

    Args:
        mean: (C, 3) symmetric mean of the coarse vertices.
        modes: (K, C, 3) of one standard deviation each, every one symmetric or antisymmetric.
        mesh: The fine mesh over them, whose triangles are looked at.
        partner: (C,) mirror partner of each vertex.

    Raises:
        RuntimeError: If triangles still turn over after the last round.
    """
    start = np.concatenate([mean[None], modes]).astype(np.float64)
    now, cost = start, _FIRST_COST
    watched, bent = np.zeros(0, np.int64), np.zeros(1, np.int64)  # the mean may always be moved
    kept = _kept_when_fine(now, mesh)
    for _ in range(_ROUNDS):
        if kept.min() > 0:
            break
        watched = np.union1d(watched, np.flatnonzero(kept.min((0, 1)) < _WATCHED))
        bent = np.union1d(bent, 1 + np.flatnonzero(kept.min((0, 2)) < _LEAST))
        now = start.copy()
        now[bent] += _bending(start[bent], partner, mesh, watched, cost)
        cost *= _MORE
        kept = _kept_when_fine(now, mesh)
    if not kept.min() > 0:  # NaN is no success either
        raise RuntimeError(
            f"{(~(kept.min((0, 1)) > 0)).sum()} triangles of the face still turn over; raise the rounds."
        )
    return Unfolded(now[0], now[1:])


def _kept_when_fine(shapes: np.ndarray, mesh: Subdivision) -> np.ndarray:
    """`kept_areas` of a mean and modes of the coarse vertices, (1 + K, C, 3), on the fine mesh."""
    fine = mesh.refine(shapes.swapaxes(0, 1)).swapaxes(0, 1)
    return kept_areas(fine[0], fine[1:], mesh.triangles)


def _bending(start: np.ndarray, partner: np.ndarray, mesh: Subdivision, watched: np.ndarray, cost: float) -> np.ndarray:
    """The least change of a mean and some modes, (1 + K, C, 3), weighed against what the watched triangles lack."""
    vertices, corners = np.unique(mesh.triangles[watched], return_inverse=True)
    carry = torch.from_numpy(mesh.refine(np.eye(len(partner)))[vertices])
    triangles, image = torch.from_numpy(corners.reshape(-1, 3)), torch.from_numpy(partner)
    before = torch.from_numpy(start)
    parity = torch.sign((_mirrored(before, image) * before).sum((1, 2), keepdim=True))
    weight = torch.ones(len(before), 1, 1, dtype=torch.float64)
    weight[0] = _MEAN_COST
    rest = _area_vectors(carry @ before[0], triangles)
    free = torch.zeros_like(before, requires_grad=True)

    def change() -> Tensor:
        return (free + parity * _mirrored(free, image)) / 2

    def loss() -> Tensor:
        free.grad = None
        now = torch.einsum("vc,kcx->kvx", carry, before + change())
        lacking = torch.relu(_LEAST - _kept(now[0], now[1:], triangles))
        creased = torch.relu(_SMOOTH - _share(_area_vectors(now[0], triangles), rest))
        total = (weight * change().square()).sum() / cost + lacking.square().sum() + creased.square().sum()
        total.backward()
        return total

    with one_thread():  # for the same bytes however many there are
        solver = torch.optim.LBFGS([free], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-14)
        solver.step(loss)
        return change().detach().numpy()


def _kept(mean: Tensor, modes: Tensor, triangles: Tensor) -> Tensor:
    """`kept_areas` in tensors."""
    rest = _area_vectors(mean, triangles)
    return _share(_area_vectors(mean + torch.stack([-RANGE * modes, RANGE * modes]), triangles), rest)


def _share(vectors: Tensor, rest: Tensor) -> Tensor:
    return (vectors * rest).sum(-1) / rest.square().sum(-1)


def _area_vectors(points: Tensor, triangles: Tensor) -> Tensor:
    a, b, c = (points[..., triangles[:, k], :] for k in range(3))
    return torch.linalg.cross(b - a, c - a)


def _mirrored(modes: Tensor, partner: Tensor) -> Tensor:
    return modes[..., partner, :] * modes.new_tensor([-1.0, 1.0, 1.0])
