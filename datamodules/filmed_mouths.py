"""What is seen between a person's lips, taken from another frame of their video and laid into a rendered mouth.

The renderer leaves a black hole there (SPEC, stage 2), and a hole does not say where the teeth are. A frame in which
the lips stood alike does: its mouth, moved onto the rendered lips, shows the network teeth of the right person at about
the right place, in training as at test. That the two frames are not the same is what the network learns to correct.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from face.chosen_vertices import ChosenVertices
from face.coefficients import ANGLES, EXPRESSION
from face.models.morphable_model import mouth_opening_map
from face.rendering import Renderer

_APART = 12  # ours: frames; in training nearer ones show nearly the very mouth that is to be learned
_PER_DEGREE = 1e-3  # ours, decimetres: 10 degrees of the head hide as much of a mouth as a millimetre of the lips
_PER_OPENING = 1.0  # ours, decimetres: what lies between the lips depends on their distance more than on their course
_LEAP = 0.01  # ours, decimetres: what another source than the last frame's, or the one after that, has to be nearer by
_STIFF = 0.02  # ours: share of the lips' spread by which their map is held to a similarity; closed lips are a line
_RIM = 3  # pixels beyond the lips that are filled too, for the soft edge of the hole


class FilmedMouths:
    """The mouths of the training part of a video, to be found by the shape of the lips.

    Args:
        renderer: Its face model and camera place the lips.
        coefficients: (N, 257) χ of the training frames.
        frames: (N, 3, H, W) uint8 of them.
        usable: (N,) bool, frames in which the face was found.
        brightness: Factor of what is shown; below 1 the rim of the hole stays in sight.

    Raises:
        ValueError: No frame is usable, the brightness is out of range, or the face model has no membrane between the
            lips.
    """

    def __init__(
        self,
        renderer: Renderer,
        coefficients: np.ndarray,
        frames: Tensor,
        usable: np.ndarray,
        brightness: float = 1.0,
    ):
        if not 0 <= brightness <= 1:
            raise ValueError(f"FilmedMouths: brightness is a share from 0 to 1, got {brightness:g}")
        if not usable.any():
            raise ValueError("FilmedMouths needs a frame in which the face was found")
        model, chi = renderer.model, torch.from_numpy(coefficients)
        if not len(model.mouth_triangles):
            raise ValueError("FilmedMouths needs a face model with a membrane between the lips")
        self._frames, self._usable, self._brightness = frames, torch.from_numpy(usable), brightness
        self._lips = ChosenVertices(model, renderer.camera, model.mouth_triangles.unique())
        self._opening = torch.from_numpy(mouth_opening_map(model)).float()
        self._filmed_looks, self._filmed_lips = self._looks(chi), self._lips.seen(chi)

    def choose(self, coefficients: np.ndarray, previous: int | None = None, own: int | None = None) -> np.ndarray:
        """Find the frames whose lips are most alike, seen from about the same side, on a path with few leaps.

        Args:
            coefficients: (T, 257) χ of consecutive frames.
            previous: What was chosen for the frame before the first.
            own: Number of the first frame where they are training frames themselves; what is found is half a second
                apart from each then, or a quarter of a shorter video.

        Returns:
            (T,) int64 numbers of training frames.
        """
        distance = torch.cdist(self._looks(torch.from_numpy(coefficients)), self._filmed_looks)
        distance[:, ~self._usable] = torch.inf
        if own is not None:
            apart = (own + torch.arange(len(distance))[:, None] - torch.arange(distance.shape[1])).abs()
            distance[apart < min(_APART, distance.shape[1] // 4)] = torch.inf
        return _path(distance.numpy(), previous)

    def __call__(self, coefficients: np.ndarray, chosen: np.ndarray) -> Tensor:
        """Move the chosen mouths onto other lips.

        Args:
            coefficients: (B, 257) χ of the faces that are rendered.
            chosen: (B,) numbers of training frames, from `choose`.

        Returns:
            (B, 3, H, W) uint8, filled in a rectangle around all their lips and black elsewhere.
        """
        lips = self._lips.seen(torch.from_numpy(coefficients))
        matrix, shift = _map(lips, self._filmed_lips[torch.from_numpy(chosen)])
        rows, columns = self._box(lips)
        y, x = (torch.arange(span.start, span.stop) + 0.5 for span in (rows, columns))
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
        sources = torch.einsum("hwc,bdc->bhwd", places, matrix) + shift[:, None, None]
        seen_rows, seen_columns = self._box(sources.flatten(1, 2))
        filmed = torch.stack([self._frames[source, :, seen_rows, seen_columns] for source in chosen]).float()
        corner = torch.tensor([seen_columns.start, seen_rows.start])
        shares = (sources - corner) / torch.tensor(filmed.shape[:-3:-1])
        found = grid_sample(filmed, 2 * shares - 1, padding_mode="border", align_corners=False)
        mouths = self._frames.new_zeros(len(chosen), *self._frames.shape[1:])
        mouths[..., rows, columns] = (self._brightness * found).round().to(torch.uint8)
        return mouths

    def _box(self, points: Tensor) -> tuple[slice, slice]:
        """Rows and columns of the frames around points (B, P, 2), with a rim, a pixel at least."""
        limits = torch.tensor(self._frames.shape[:-3:-1])  # width, height
        low = torch.minimum((points.amin((0, 1)) - _RIM).floor().clamp_min(0), limits - 1).int().tolist()
        high = torch.minimum((points.amax((0, 1)) + _RIM).ceil().clamp_min(1), limits).int().tolist()
        columns, rows = (slice(first, max(last, first + 1)) for first, last in zip(low, high, strict=True))
        return rows, columns

    def _looks(self, chi: Tensor) -> Tensor:
        """What mouths are compared by, (B, 3 R + 3) decimetres."""
        shape = self._lips.shape(chi)
        side = torch.rad2deg(chi[:, ANGLES][:, :2]) * _PER_DEGREE  # pitch and yaw
        opening = chi[:, EXPRESSION] @ self._opening[:, None] * _PER_OPENING
        return torch.cat([shape.flatten(1) / shape.shape[1] ** 0.5, side, opening], 1)


def _path(distance: np.ndarray, previous: int | None) -> np.ndarray:
    """The least sum of distances (T, N) and leaps, by dynamic programming: (T,) columns."""
    frames, sources = distance.shape
    cost = distance[0].copy()
    if previous is not None:
        cost += _LEAP
        cost[previous : previous + 2] -= _LEAP
    before = np.empty((frames, sources), np.int64)
    for time in range(1, frames):
        best = cost.argmin()
        ways = np.stack([cost, np.append(np.inf, cost[:-1]), np.full(sources, cost[best] + _LEAP)])
        stay = np.arange(sources)
        before[time] = np.choose(ways.argmin(0), [stay, stay - 1, best])
        cost = ways.min(0) + distance[time]
    path = np.empty(frames, np.int64)
    path[-1] = cost.argmin()
    for time in range(frames - 1, 0, -1):
        path[time - 1] = before[time, path[time]]
    return path


def _map(lips: Tensor, filmed: Tensor) -> tuple[Tensor, Tensor]:
    """The affine maps (B, 2, 2) and (B, 2) that bring points (B, R, 2) nearest to others, nearly similarities."""
    centre, centre_filmed = lips.mean(1), filmed.mean(1)
    p, q = lips - centre[:, None], filmed - centre_filmed[:, None]
    spread = p.square().sum((1, 2))
    real, imaginary = (p * q).sum((1, 2)) / spread, (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1) / spread
    similar = torch.stack([torch.stack([real, -imaginary], -1), torch.stack([imaginary, real], -1)], -2)
    weight = (_STIFF * spread)[:, None, None]
    matrix = (q.mT @ p + weight * similar) @ torch.linalg.inv(p.mT @ p + weight * torch.eye(2))
    return matrix, centre_filmed - (matrix @ centre[..., None])[..., 0]
