"""Which triangle each pixel sees: the part of rendering that is not arithmetic on tensors.

A rasteriser takes projected vertices (`face.camera.Camera.project`) and returns `Fragments`. Triangles are
one-sided: front is counter-clockwise with y up, so that edge 1 x edge 2 points out of the surface. There is no near or
far clipping (the original renderer's far plane cut the ear side away, facts 1.8).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import one_hot

from face.z_buffer import count_samples, find_mixed, z_buffer
from media.errors import InputError

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


class NumbaRasterizer:
    """Z-buffer on the CPU; frames are shared among as many threads as torch may use."""

    def __call__(self, projected: torch.Tensor, triangles: torch.Tensor, size: int) -> Fragments:
        """See `Rasterizer`."""
        batch = projected.shape[0]
        vertices = projected.detach().to("cpu", torch.float32).contiguous().numpy()
        faces = triangles.detach().to("cpu", torch.int64).contiguous().numpy()
        triangle = torch.full((batch, size, size), -1, dtype=torch.int64)
        barycentric = torch.zeros(batch, size, size, 3)
        depth = torch.full((batch, size, size), torch.inf)
        views, centre = (triangle.numpy(), barycentric.numpy(), depth.numpy()), np.zeros((1, 2))
        everywhere = np.empty((0, 0), np.bool_)

        def rasterize(frames: Sequence[int]) -> None:
            for frame in frames:
                one = slice(frame, frame + 1)  # keeps the axis of samples, here one per pixel
                z_buffer(vertices[frame], faces, centre, everywhere, *(view[one] for view in views))

        _share(rasterize, batch)
        device = projected.device
        return Fragments(triangle.to(device), barycentric.to(device), depth.to(device))

    def coverage(self, projected: torch.Tensor, surfaces: Surfaces, fragments: Fragments) -> torch.Tensor:
        """See `Rasterizer`."""
        vertices = projected.detach().to("cpu", torch.float32).contiguous().numpy()
        faces = surfaces.triangles.detach().to("cpu", torch.int64).contiguous().numpy()
        kind = surfaces.labels.detach().to("cpu", torch.int64).contiguous().numpy()
        seen = fragments.triangle.cpu().numpy()
        batch, height, width = seen.shape
        share = torch.zeros(batch, surfaces.kinds, height, width)
        view, samples, contour = share.numpy(), np.array(SAMPLES), surfaces.contour

        def cover(frames: Sequence[int]) -> None:
            # One set of buffers per thread: fresh memory for every frame would cost as much as drawing.
            mixed = np.empty((height, width), np.bool_)
            triangle = np.empty((len(samples), height, width), np.int32)
            depth = np.empty((len(samples), height, width), np.float32)
            no_weights = np.empty((0, 0, 0, 3), np.float32)
            for frame in frames:
                find_mixed(seen[frame], kind, vertices[frame], contour, mixed)
                triangle.fill(-1)
                depth.fill(np.inf)
                z_buffer(vertices[frame], faces, samples, mixed, triangle, no_weights, depth)
                count_samples(seen[frame], triangle, kind, mixed, view[frame])

        _share(cover, batch)
        return share.to(projected.device)


def _share(work: Callable[[Sequence[int]], None], batch: int) -> None:
    """Deals the frames of a batch to as many threads as torch may use."""
    # Threads of our own and kernels that release the GIL, not numba's parallel loops: those abort the process
    # when it was forked (data loading workers) or when two threads render at once.
    workers = min(torch.get_num_threads(), batch)
    if workers <= 1:
        work(range(batch))
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, [range(first, batch, workers) for first in range(workers)]))


class PyTorch3DRasterizer:
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


RASTERIZERS: dict[str, Callable[[], Rasterizer]] = {"numba": NumbaRasterizer, "pytorch3d": PyTorch3DRasterizer}
