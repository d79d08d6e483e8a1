"""What every rasteriser offers: which triangle each pixel sees, and pictures of coloured meshes made from that."""

from abc import ABC, abstractmethod

import torch

from face.rasterizers.drawing import barycentric_weights, fill_rim, interpolate
from face.rasterizers.fragments import Fragments, Layers, Surfaces


class Rasterizer(ABC):
    """The interface of every backend."""

    @abstractmethod
    def __call__(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> Fragments:
        """Rasterise a batch of meshes that share their triangles.

        Args:
            projected: (B, V, 3) x, y in pixels of the image, depth in decimetres.
            triangles: (F, 3) integer vertex indices, front faces counter-clockwise (y up).
            size: Side of the image in pixels.

        Returns:
            Fragments on the device of `projected`, without gradients. A pixel on an edge belongs to both neighbours
            (no cracks); of two triangles at the same depth the first is kept.
        """

    def depth(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> torch.Tensor:
        """Depth of what the centre of each pixel sees; a backend may do with less than the fragments.

        Args:
            projected: (B, V, 3) as above.
            triangles: (F, 3) as above.
            size: Side of the image in pixels.

        Returns:
            (B, size, size) float32 decimetres, infinite where there is nothing. No gradients.
        """
        return self(projected, triangles, size).depth

    @abstractmethod
    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """Share of every pixel that shows each kind of surface, counted at its `SAMPLES`.

        Args:
            projected: (B, V, 3) as above.
            surfaces: The triangles and their kinds.
            fragments: What this rasteriser returned for the same vertices and triangles.

        Returns:
            (B, K, H, W) float32 in [0, 1]; what their sum lacks of 1 is background. No gradients.
        """

    def draw(self, projected: torch.Tensor, colours: torch.Tensor, surfaces: Surfaces, size: int) -> Layers:
        """Draw surfaces whose first kind is coloured; a backend may do better than these steps, not otherwise.

        The image has gradients with respect to `projected` and `colours` where they ask for them: through the
        barycentric weights at fixed visibility. How outlines and what hides what would change is not in them, and the
        shares have none.

        Args:
            projected: (B, V, 3) as above.
            colours: (B, V, 3) of each vertex.
            surfaces: The triangles and their kinds, those of kind 0 before all others.
            size: Side of the image in pixels.

        Returns:
            The layers, on the device of `projected`.
        """
        fragments = self(projected, surfaces.triangles, size)
        share = self.coverage(projected, surfaces, fragments).to(colours.dtype)
        weights = fragments.barycentric.to(colours.dtype)
        if torch.is_grad_enabled() and projected.requires_grad:
            weights = barycentric_weights(projected, surfaces.triangles, fragments.triangle)
        coloured = surfaces.triangles[: int((surfaces.labels == 0).sum())]
        image, drawn = interpolate(colours, fragments.triangle, weights, coloured)
        image, known = fill_rim(image, drawn, share[:, 0] > 0)
        first = share[:, :1] * known[:, None]
        return Layers(image.permute(0, 3, 1, 2), torch.cat([first, share[:, 1:]], dim=1))
