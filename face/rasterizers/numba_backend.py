"""The rasteriser of the CPU: loops compiled by numba, frames shared among threads."""

import numpy as np
import torch

from face.rasterizers.coverage import cover_frames
from face.rasterizers.fragments import SAMPLES, Fragments, Layers, Surfaces
from face.rasterizers.interface import Rasterizer
from face.rasterizers.z_buffer import draw_frames, rasterize_frames
from media.threads import share_frames

_SAMPLES = np.array(SAMPLES)


class NumbaRasterizer(Rasterizer):
    """Z-buffer on the CPU; frames are shared among as many threads as torch may use."""

    def __call__(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> Fragments:
        """See `Rasterizer`."""
        batch = projected.shape[0]
        vertices, faces = _array(projected, np.float32), _array(triangles, np.int32)
        triangle = torch.full((batch, size, size), -1, dtype=torch.int64)
        barycentric = torch.zeros(batch, size, size, 3)
        depth = torch.full((batch, size, size), torch.inf)
        views = triangle.numpy(), barycentric.numpy(), depth.numpy()
        share_frames(lambda first, step: rasterize_frames(vertices, faces, first, step, *views), batch)
        device = projected.device
        return Fragments(triangle.to(device), barycentric.to(device), depth.to(device))

    def depth(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> torch.Tensor:
        """See `Rasterizer`."""
        vertices, faces = _array(projected, np.float32), _array(triangles, np.int32)
        depth = torch.full((len(vertices), size, size), torch.inf)
        nothing = np.empty((0, size, size), np.int64), np.empty((0, size, size, 3), np.float32)
        views = *nothing, depth.numpy()
        share_frames(lambda first, step: rasterize_frames(vertices, faces, first, step, *views), len(vertices))
        return depth.to(projected.device)

    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """See `Rasterizer`."""
        seen = _array(fragments.triangle, np.int64)
        # Index -1, nothing, takes the 0 at the end.
        kind = np.append(surfaces.kind_numbers + np.uint8(1), np.uint8(0))[seen]
        no_image = np.empty((0, 3, *kind.shape[1:]), np.float32)
        return _cover(_array(projected, np.float32), kind, surfaces, no_image).to(projected.device)

    def draw(self, projected: torch.Tensor, colours: torch.Tensor, surfaces: Surfaces, size: int) -> Layers:
        """See `Rasterizer`; without gradients in one pass of float32, with them by its steps."""
        if torch.is_grad_enabled() and (projected.requires_grad or colours.requires_grad):
            return super().draw(projected, colours, surfaces, size)
        batch = len(projected)
        vertices, paint = _array(projected, np.float32), _array(colours, np.float32)
        image, kind = torch.empty(batch, 3, size, size), np.empty((batch, size, size), np.uint8)
        mesh, view = (surfaces.corners, surfaces.kind_numbers), image.numpy()
        share_frames(lambda first, step: draw_frames(vertices, paint, *mesh, first, step, view, kind), batch)
        share = _cover(vertices, kind, surfaces, view)
        return Layers(image.to(colours), share.to(colours))


def _cover(vertices: np.ndarray, kind: np.ndarray, surfaces: Surfaces, image: np.ndarray) -> torch.Tensor:
    """Shares (B, K, H, W) of kinds; fills the rim of the first in `image`, if it has frames."""
    share = torch.empty(len(kind), surfaces.kinds, *kind.shape[1:])
    mesh, view = (surfaces.corners, surfaces.kind_numbers, surfaces.contour, _SAMPLES), share.numpy()
    share_frames(lambda first, step: cover_frames(vertices, kind, *mesh, first, step, image, view), len(kind))
    return share


def _array(tensor: torch.Tensor, dtype: type[np.number]) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype)
