"""What a rasteriser is given and what it returns.

A rasteriser takes projected vertices (`face.camera.Camera.project`) and returns `Fragments`. Triangles are
one-sided: front is counter-clockwise with y up, so that edge 1 x edge 2 points out of the surface. There is no near or
far clipping (the original renderer's far plane cut the ear side away, facts 1.8).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

# Points of a pixel, from its centre, that coverage is counted at: a turned square, so that level and upright outlines
# also pass them one by one (a grid of four would give them two steps only).
SAMPLES = ((0.125, 0.375), (0.375, -0.125), (-0.125, -0.375), (-0.375, 0.125))


@dataclass(frozen=True)
class Fragments:
    """What every pixel sees.

    Attributes:
        triangle: (B, H, W) int64, index of the nearest triangle under the pixel's centre, -1 where there is none.
        barycentric: (B, H, W, 3) float32, perspective-correct weights of its three vertices, 0 where there is none.
        depth: (B, H, W) float32, distance from the camera plane in decimetres, infinite where there is none.
    """

    triangle: torch.Tensor
    barycentric: torch.Tensor
    depth: torch.Tensor


@dataclass(frozen=True)
class Layers:
    """Surfaces drawn with smooth outlines, without background.

    Attributes:
        image: (B, 3, H, W) colour of the first kind of surface, not multiplied by its share; 0 where there is none.
        share: (B, K, H, W) share of each pixel that shows each kind, 0 to 1; what their sum lacks of 1 is background.
            The first kind has none in pixels whose centre it misses and whose neighbours' centres it misses too.
    """

    image: torch.Tensor
    share: torch.Tensor


@dataclass(frozen=True)
class Surfaces:
    """Triangles of several kinds, such as skin and mouth.

    Attributes:
        triangles: (F, 3) integer vertex indices.
        labels: (F,) integer kind of each triangle, 0 to K - 1.
        kinds: K.
    """

    triangles: torch.Tensor
    labels: torch.Tensor
    kinds: int

    @cached_property
    def corners(self) -> np.ndarray:
        """(F, 3) int32 `triangles` in the form of the CPU's loops."""
        return np.ascontiguousarray(self.triangles.cpu().numpy(), np.int32)

    @cached_property
    def kind_numbers(self) -> np.ndarray:
        """(F,) uint8 `labels` in the form of the CPU's loops."""
        return np.ascontiguousarray(self.labels.cpu().numpy(), np.uint8)

    @cached_property
    def contour(self) -> np.ndarray:
        """(E, 2) int64 edges at which a kind of surface ends."""
        edges = [np.zeros((0, 2), np.int64)]
        for kind in range(self.kinds):
            # A triangle that is there twice, once per side, counts once.
            corners = self.triangles[self.labels == kind].cpu().numpy().astype(np.int64)
            corners = np.unique(np.sort(corners, axis=1), axis=0)
            sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
            distinct, count = np.unique(sides, axis=0, return_counts=True)
            edges.append(distinct[count == 1])
        return np.concatenate(edges)
