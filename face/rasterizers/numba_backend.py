"""The rasteriser of the CPU: loops compiled by numba, frames shared among threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from face.rasterizers.fragments import SAMPLES, Fragments, Surfaces
from face.rasterizers.z_buffer import count_samples, find_mixed, z_buffer


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
