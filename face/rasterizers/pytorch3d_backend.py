"""The rasteriser of GPUs: PyTorch3D, written against its documentation and compared with ours where it is installed."""

from collections.abc import Callable

import torch
from torch.nn.functional import one_hot

from face.rasterizers.fragments import SAMPLES, Fragments, Surfaces
from face.rasterizers.interface import Rasterizer
from media.errors import InputError


class PyTorch3DRasterizer(Rasterizer):
    """PyTorch3D's `rasterize_meshes`: for GPUs; on a CPU it takes seconds a frame."""

    def __init__(self) -> None:
        try:
            from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
            from pytorch3d.structures import Meshes
        except ImportError as error:
            raise InputError(
                f"face.rasterizer=pytorch3d needs PyTorch3D ({error}): install it from its repository "
                "(it is not on PyPI) or set face.rasterizer=numba"
            ) from error
        self._rasterize: Callable[..., tuple[torch.Tensor, ...]] = rasterize_meshes
        self._meshes = Meshes

    def __call__(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> Fragments:
        """See `Rasterizer`."""
        batch, count = projected.shape[0], triangles.shape[0]
        # PyTorch3D's screen runs from 1 to -1, x to the left and y up; the third number is any positive depth.
        screen = torch.cat([1 - projected[..., :2] * (2 / size), projected[..., 2:]], -1)
        meshes = self._meshes(verts=screen.float(), faces=triangles.to(projected.device).expand(batch, -1, -1))
        face, depth, barycentric, _ = self._rasterize(
            meshes,
            image_size=size,
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=True,
            clip_barycentric_coords=False,
            cull_backfaces=True,
        )
        face, depth, barycentric = face[..., 0], depth[..., 0], barycentric[..., 0, :]
        empty = face < 0  # PyTorch3D fills depth and weights with -1 there
        offset = count * torch.arange(batch, device=face.device)[:, None, None]  # it numbers faces through the batch
        return Fragments(
            torch.where(empty, face, face - offset),
            barycentric.masked_fill(empty[..., None], 0),
            depth.masked_fill(empty, torch.inf),
        )

    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """See `Rasterizer`; a GPU takes all samples of all pixels faster than it picks some."""
        kinds, size = surfaces.kinds, fragments.triangle.shape[-1]
        share = projected.new_zeros(len(projected), size, size, kinds)
        for right, down in SAMPLES:
            moved = projected - projected.new_tensor([right, down, 0.0])
            triangle = self(moved, surfaces.triangles, size).triangle
            # Background becomes one kind more, dropped at once.
            kind = torch.where(triangle < 0, kinds, surfaces.labels.to(triangle.device)[triangle.clamp_min(0)])
            share += one_hot(kind, kinds + 1)[..., :kinds] / len(SAMPLES)
        return share.permute(0, 3, 1, 2)
