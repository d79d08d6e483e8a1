"""The rasteriser of the CPU: loops compiled by numba, frames shared among threads."""

import numpy as np
import torch

from face.rasterizers.fragments import SAMPLES, Fragments, Layers, Surfaces
from face.rasterizers.interface import Rasterizer
from face.rasterizers.z_buffer import cover_frames, draw_frames, rasterize_frames
from face.threads import share_frames

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

    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """See `Rasterizer`."""
        vertices, seen = _array(projected, np.float32), _array(fragments.triangle, np.int64)
        share = torch.empty(len(seen), surfaces.kinds, *seen.shape[1:])
        mesh, view = (surfaces.corners, surfaces.kind_numbers, surfaces.contour, _SAMPLES), share.numpy()
        share_frames(lambda first, step: cover_frames(vertices, seen, *mesh, first, step, view), len(seen))
        return share.to(projected.device)

    def draw(self, projected: torch.Tensor, colours: torch.Tensor, surfaces: Surfaces, size: int) -> Layers:
        """See `Rasterizer`; without gradients in one pass of float32, with them by its steps."""
        if torch.is_grad_enabled() and (projected.requires_grad or colours.requires_grad):
            return super().draw(projected, colours, surfaces, size)
        batch = len(projected)
        vertices, paint = _array(projected, np.float32), _array(colours, np.float32)
        image, share = torch.empty(batch, 3, size, size), torch.empty(batch, surfaces.kinds, size, size)
        mesh = surfaces.corners, surfaces.kind_numbers, surfaces.contour, _SAMPLES
        views = image.numpy().reshape(batch, 3, -1), share.numpy()
        share_frames(lambda first, step: draw_frames(vertices, paint, *mesh, first, step, *views), batch)
        return Layers(image.to(colours), share.to(colours))


def _array(tensor: torch.Tensor, dtype: type[np.number]) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype)
