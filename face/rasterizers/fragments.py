"""Which triangle each pixel sees: the part of rendering that is not arithmetic on tensors.

A rasteriser takes projected vertices (`face.camera.Camera.project`) and returns `Fragments`. Triangles are
one-sided: front is counter-clockwise with y up, so that edge 1 x edge 2 points out of the surface. There is no near or
far clipping (the original renderer's far plane cut the ear side away, facts 1.8).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

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


class Rasterizer(Protocol):
    """The interface of every backend."""

    def __call__(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> Fragments:
        """Rasterise a batch of meshes that share their triangles.

        Args:
            projected: (B, V, 3) x, y in pixels of the image, depth in decimetres.
            triangles: (F, 3) integer vertex indices, front faces counter-clockwise (y up).
            size: Side of the image in pixels.

        Returns:
            Fragments on the device of `projected`. A pixel on an edge belongs to both neighbours (no cracks);
            of two triangles at the same depth the first is kept.
        """
        ...

    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """Share of every pixel that shows each kind of surface, counted at its `SAMPLES`.

        Args:
            projected: (B, V, 3) as above.
            surfaces: The triangles and their kinds.
            fragments: What this rasteriser returned for the same vertices and triangles.

        Returns:
            (B, K, H, W) float32 in [0, 1]; what their sum lacks of 1 is background.
        """
        ...
