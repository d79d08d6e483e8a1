"""Which triangle each pixel sees: the part of rendering that is not arithmetic on tensors.

A rasteriser takes projected vertices (`face.camera.Camera.project`) and returns `Fragments`. Triangles are
one-sided: front is counter-clockwise with y up, so that edge 1 x edge 2 points out of the surface. There is no near or
far clipping (the original renderer's far plane cut the ear side away, facts 1.8).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numba
import numpy as np
import torch
from torch.nn.functional import one_hot

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

    def coverage(
        self, projected: torch.Tensor, triangles: torch.Tensor, labels: torch.Tensor, kinds: int, size: int
    ) -> torch.Tensor:
        """Share of every pixel that shows each kind of surface, counted at its `SAMPLES`.

        Args:
            projected: (B, V, 3) as above.
            triangles: (F, 3) as above.
            labels: (F,) integer kind of each triangle, 0 to K - 1.
            kinds: K.
            size: Side of the image in pixels.

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
        views = triangle.numpy(), barycentric.numpy(), depth.numpy()

        def rasterize(frames: Sequence[int]) -> None:
            for frame in frames:
                _z_buffer(vertices[frame], faces, 0.0, 0.0, *(view[frame] for view in views))

        _share(rasterize, batch)
        device = projected.device
        return Fragments(triangle.to(device), barycentric.to(device), depth.to(device))

    def coverage(
        self, projected: torch.Tensor, triangles: torch.Tensor, labels: torch.Tensor, kinds: int, size: int
    ) -> torch.Tensor:
        """See `Rasterizer`."""
        vertices = projected.detach().to("cpu", torch.float32).contiguous().numpy()
        faces = triangles.detach().to("cpu", torch.int64).contiguous().numpy()
        kind = labels.detach().to("cpu", torch.int64).contiguous().numpy()
        share = torch.zeros(len(vertices), kinds, size, size)
        view, no_weights = share.numpy(), np.empty((0, 0, 3), np.float32)

        def cover(frames: Sequence[int]) -> None:
            # One set of buffers per thread: fresh memory for every frame would cost as much as drawing.
            triangle, depth = np.empty((size, size), np.int32), np.empty((size, size), np.float32)
            for frame in frames:
                for right, down in SAMPLES:
                    triangle.fill(-1)
                    depth.fill(np.inf)
                    _z_buffer(vertices[frame], faces, right, down, triangle, no_weights, depth)
                    _count(triangle, kind, view[frame])

        _share(cover, len(vertices))
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


@numba.njit(nogil=True, cache=True)
def _z_buffer(
    vertices: np.ndarray,
    faces: np.ndarray,
    right: float,
    down: float,
    triangle: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Draws one frame into `triangle`, `barycentric`, `depth`, which come filled with -1, 0 and infinity.

    A pixel is looked at `right` and `down` of its centre. `barycentric` may be empty (0, 0, 3): then the weights are
    not kept.
    """
    height, width = depth.shape
    keep_weights = barycentric.shape[0] > 0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        xa, ya = vertices[a, 0] - right, vertices[a, 1] - down
        xb, yb = vertices[b, 0] - right, vertices[b, 1] - down
        xc, yc = vertices[c, 0] - right, vertices[c, 1] - down
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # Rows run downward, so a front face has negative area; this also drops NaN and triangles seen edge-on.
        if not area < 0 or not (vertices[a, 2] > 0 and vertices[b, 2] > 0 and vertices[c, 2] > 0):
            continue
        # Inverse depth is linear on the screen, depth is not.
        ia, ib, ic = 1.0 / vertices[a, 2], 1.0 / vertices[b, 2], 1.0 / vertices[c, 2]
        first_row = int(max(np.ceil(min(ya, yb, yc) - 0.5), 0.0))
        last_row = int(min(np.floor(max(ya, yb, yc) - 0.5), height - 1.0))
        first_column = int(max(np.ceil(min(xa, xb, xc) - 0.5), 0.0))
        last_column = int(min(np.floor(max(xa, xb, xc) - 0.5), width - 1.0))
        for row in range(first_row, last_row + 1):
            y = row + 0.5
            for column in range(first_column, last_column + 1):
                x = column + 0.5
                # Each edge by itself and relative to the pixel: the neighbour across the edge gets exactly the
                # opposite number, so no pixel falls between two triangles.
                wa = (xb - x) * (yc - y) - (xc - x) * (yb - y)
                wb = (xc - x) * (ya - y) - (xa - x) * (yc - y)
                wc = (xa - x) * (yb - y) - (xb - x) * (ya - y)
                if wa > 0 or wb > 0 or wc > 0:
                    continue
                wa, wb, wc = wa * ia, wb * ib, wc * ic
                total = wa + wb + wc
                distance = np.float32(area / total)
                if distance < depth[row, column]:
                    depth[row, column] = distance
                    triangle[row, column] = face
                    if keep_weights:
                        barycentric[row, column, 0] = wa / total
                        barycentric[row, column, 1] = wb / total
                        barycentric[row, column, 2] = wc / total


@numba.njit(nogil=True, cache=True)
def _count(triangle: np.ndarray, labels: np.ndarray, share: np.ndarray) -> None:
    """Adds each sample's part of its pixel to the kind of surface it shows."""
    part = np.float32(1 / len(SAMPLES))
    for row in range(triangle.shape[0]):
        for column in range(triangle.shape[1]):
            face = triangle[row, column]
            if face >= 0:
                share[labels[face], row, column] += part


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

    def coverage(
        self, projected: torch.Tensor, triangles: torch.Tensor, labels: torch.Tensor, kinds: int, size: int
    ) -> torch.Tensor:
        """See `Rasterizer`."""
        share = projected.new_zeros(len(projected), size, size, kinds)
        for right, down in SAMPLES:
            triangle = self(projected - projected.new_tensor([right, down, 0.0]), triangles, size).triangle
            # Background becomes one kind more, dropped at once.
            kind = torch.where(triangle < 0, kinds, labels.to(triangle.device)[triangle.clamp_min(0)])
            share += one_hot(kind, kinds + 1)[..., :kinds] / len(SAMPLES)
        return share.permute(0, 3, 1, 2)


RASTERIZERS: dict[str, Callable[[], Rasterizer]] = {"numba": NumbaRasterizer, "pytorch3d": PyTorch3DRasterizer}
