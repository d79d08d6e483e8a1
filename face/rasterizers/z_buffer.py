"""The loops of the CPU rasteriser, compiled by numba; they hold no lock, so frames can be drawn side by side."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def z_buffer(
    vertices: np.ndarray,
    faces: np.ndarray,
    samples: np.ndarray,
    wanted: np.ndarray,
    triangle: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Draws one frame, looking at each pixel at S `samples` (S, 2) right of and below its centre.

    `triangle` (S, H, W), `barycentric` (S, H, W, 3) and `depth` (S, H, W) come filled with -1, 0 and infinity. Two may
    be empty: `wanted` (H, W), then all pixels are drawn; `barycentric`, then the weights are not kept.
    """
    height, width = depth.shape[1:]
    everywhere, keep_weights = wanted.size == 0, barycentric.size > 0
    left, right = samples[:, 0].min() + 0.5, samples[:, 0].max() + 0.5
    up, down = samples[:, 1].min() + 0.5, samples[:, 1].max() + 0.5
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        xa, ya = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
        xb, yb = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
        xc, yc = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # Rows run downward, so a front face has negative area; this also drops NaN and triangles seen edge-on.
        if not area < 0 or not (vertices[a, 2] > 0 and vertices[b, 2] > 0 and vertices[c, 2] > 0):
            continue
        # Inverse depth is linear on the screen, depth is not.
        ia, ib, ic = 1.0 / vertices[a, 2], 1.0 / vertices[b, 2], 1.0 / vertices[c, 2]
        first_row = int(max(np.ceil(min(ya, yb, yc) - down), 0.0))
        last_row = int(min(np.floor(max(ya, yb, yc) - up), height - 1.0))
        first_column = int(max(np.ceil(min(xa, xb, xc) - right), 0.0))
        last_column = int(min(np.floor(max(xa, xb, xc) - left), width - 1.0))
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                if not (everywhere or wanted[row, column]):
                    continue
                for sample in range(samples.shape[0]):
                    x, y = column + 0.5 + samples[sample, 0], row + 0.5 + samples[sample, 1]
                    # Each edge by itself and relative to the sample: the neighbour across the edge gets exactly the
                    # opposite number, so nothing falls between two triangles.
                    wa = (xb - x) * (yc - y) - (xc - x) * (yb - y)
                    wb = (xc - x) * (ya - y) - (xa - x) * (yc - y)
                    wc = (xa - x) * (yb - y) - (xb - x) * (ya - y)
                    if wa > 0 or wb > 0 or wc > 0:
                        continue
                    wa, wb, wc = wa * ia, wb * ib, wc * ic
                    total = wa + wb + wc
                    distance = np.float32(area / total)
                    if distance < depth[sample, row, column]:
                        depth[sample, row, column] = distance
                        triangle[sample, row, column] = face
                        if keep_weights:
                            barycentric[sample, row, column, 0] = wa / total
                            barycentric[sample, row, column, 1] = wb / total
                            barycentric[sample, row, column, 2] = wc / total


@numba.njit(nogil=True, cache=True)
def find_mixed(
    seen: np.ndarray, labels: np.ndarray, vertices: np.ndarray, contour: np.ndarray, mixed: np.ndarray
) -> None:
    """Marks the pixels that may show more than one kind: few, and the only ones where samples are worth taking.

    Those are next to a pixel whose centre shows another kind, or touched by an edge at which a kind ends; the latter
    finds openings too narrow for any centre to fall into, as between lips or lids.
    """
    height, width = seen.shape
    mixed[:] = False
    for row in range(height):
        for column in range(width):
            here = labels[seen[row, column]] if seen[row, column] >= 0 else -1
            for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
                below, beside = row + down, column + right
                if below < height and 0 <= beside < width:
                    there = labels[seen[below, beside]] if seen[below, beside] >= 0 else -1
                    if here != there:
                        mixed[row, column] = mixed[below, beside] = True
    for edge in range(contour.shape[0]):
        a, b = contour[edge, 0], contour[edge, 1]
        xa, ya, xb, yb = vertices[a, 0], vertices[a, 1], vertices[b, 0], vertices[b, 1]
        if not (np.isfinite(xa) and np.isfinite(ya) and np.isfinite(xb) and np.isfinite(yb)):
            continue
        for row in range(int(max(np.floor(min(ya, yb)), 0)), int(min(np.floor(max(ya, yb)), height - 1)) + 1):
            for column in range(int(max(np.floor(min(xa, xb)), 0)), int(min(np.floor(max(xa, xb)), width - 1)) + 1):
                mixed[row, column] = True


@numba.njit(nogil=True, cache=True)
def count_samples(
    seen: np.ndarray, triangle: np.ndarray, labels: np.ndarray, mixed: np.ndarray, share: np.ndarray
) -> None:
    """Fills `share` (K, H, W), which comes as 0, from the samples of mixed pixels and the centres of the others."""
    part = np.float32(1 / triangle.shape[0])
    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            if mixed[row, column]:
                for sample in range(triangle.shape[0]):
                    face = triangle[sample, row, column]
                    if face >= 0:
                        share[labels[face], row, column] += part
            elif seen[row, column] >= 0:
                share[labels[seen[row, column]], row, column] = 1
