"""The loops of the CPU rasteriser, compiled by numba; they hold no lock, so frames can be drawn side by side.

A face has thousands of triangles of two pixels each, so what costs time is not arithmetic but branches that cannot be
predicted. Hence two passes: `find` lists the (triangle, pixel) pairs that meet, without a branch per pixel; then the
list is worked through in order, where nearly every entry is drawn.

All kernels that call each other are in this file: numba's cache notices changes of a kernel's own file only.
"""

from typing import NamedTuple

import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")

_TILE = 3  # mixed pixels are looked up by tiles of 2**3 pixels first


class Work(NamedTuple):
    """Memory of one thread, used again for each of its frames: fresh memory would cost as much as drawing.

    Attributes:
        inverse: (V,) float64, 1 / depth, which is linear on the screen; depth is not.
        first: (V, 2) int32, column and row of the first pixel centre at or after each vertex, within the image.
        last: (V, 2) int32, column and row of the last pixel centre at or before each vertex, within the image.
        front: (F,) int32, triangles that face the camera, in order.
        box: (F, 4) int32, their first and last column, first and last row.
        face: (N,) int32, triangles of the pairs.
        pixel: (N,) int32, pixels of the pairs, row * width + column.
        depth: (H * W,) float32.
        kind: (H, W) uint8, label of the triangle seen plus 1, 0 where there is none.
        mixed: (H, W) uint8, 1 where a pixel may show more than one kind.
        slot: (H, W) int32, number of each mixed pixel; undefined elsewhere.
        tile: (H / 8, W / 8) uint8, 1 where a tile has a mixed pixel.
    """

    inverse: np.ndarray
    first: np.ndarray
    last: np.ndarray
    front: np.ndarray
    box: np.ndarray
    face: np.ndarray
    pixel: np.ndarray
    depth: np.ndarray
    kind: np.ndarray
    mixed: np.ndarray
    slot: np.ndarray
    tile: np.ndarray


@_compiled
def _allocate(vertices: int, faces: int, height: int, width: int) -> Work:
    pairs = height * width + 1  # one triangle may cover the image; the last entry is written, but never kept
    return Work(
        np.empty(vertices, np.float64),
        np.empty((vertices, 2), np.int32),
        np.empty((vertices, 2), np.int32),
        np.empty(faces, np.int32),
        np.empty((faces, 4), np.int32),
        np.empty(pairs, np.int32),
        np.empty(pairs, np.int32),
        np.empty(height * width, np.float32),
        np.empty((height, width), np.uint8),
        np.empty((height, width), np.uint8),
        np.empty((height, width), np.int32),
        np.empty(((height >> _TILE) + 1, (width >> _TILE) + 1), np.uint8),
    )


@_compiled
def _locate(vertices: np.ndarray, work: Work) -> None:
    """Fills what `work` knows of each of the `vertices` (V, 3)."""
    height, width = np.float32(work.kind.shape[0]), np.float32(work.kind.shape[1])
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for vertex in range(vertices.shape[0]):
        work.inverse[vertex] = 1.0 / vertices[vertex, 2]
        x, y = vertices[vertex, 0] - half, vertices[vertex, 1] - half
        work.first[vertex, 0] = np.int32(min(max(np.ceil(x), zero), width))
        work.first[vertex, 1] = np.int32(min(max(np.ceil(y), zero), height))
        work.last[vertex, 0] = np.int32(max(min(np.floor(x), width - one), -one))
        work.last[vertex, 1] = np.int32(max(min(np.floor(y), height - one), -one))


@_compiled
def _find(vertices: np.ndarray, faces: np.ndarray, start: int, count: int, work: Work) -> tuple[int, int, int]:
    """Lists pixels whose centre lies in a front face, from face `start` on until the list might overflow.

    Returns:
        The next face to go on with, the number of front faces (`count` before) and of pairs listed.
    """
    width, pairs = work.kind.shape[1], 0
    for face in range(start, faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        xa, ya = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
        xb, yb = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
        xc, yc = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # Rows run downward, so a front face has negative area; this also drops NaN and triangles seen edge-on.
        if not area < 0 or not (work.inverse[a] > 0 and work.inverse[b] > 0 and work.inverse[c] > 0):
            continue
        left = min(work.first[a, 0], work.first[b, 0], work.first[c, 0])
        right = max(work.last[a, 0], work.last[b, 0], work.last[c, 0])
        top = min(work.first[a, 1], work.first[b, 1], work.first[c, 1])
        bottom = max(work.last[a, 1], work.last[b, 1], work.last[c, 1])
        if left <= right and top <= bottom and pairs + (right - left + 1) * (bottom - top + 1) >= work.pixel.size:
            return face, count, pairs
        work.front[count] = face
        work.box[count, 0], work.box[count, 1], work.box[count, 2], work.box[count, 3] = left, right, top, bottom
        count += 1
        for row in range(top, bottom + 1):
            y = row + 0.5
            va, vb, vc = ya - y, yb - y, yc - y
            for column in range(left, right + 1):
                x = column + 0.5
                ua, ub, uc = xa - x, xb - x, xc - x
                # Each edge by itself and relative to the centre: the neighbour across the edge gets exactly the
                # opposite number, so nothing falls between two triangles.
                inside = (ub * vc - uc * vb <= 0) & (uc * va - ua * vc <= 0) & (ua * vb - ub * va <= 0)
                work.face[pairs], work.pixel[pairs] = face, row * width + column
                pairs += inside
    return faces.shape[0], count, pairs


@_compiled
def _meet(
    vertices: np.ndarray, inverse: np.ndarray, a: int, b: int, c: int, x: float, y: float
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Perspective-correct weights of the corners a, b, c and the depth at a point inside their triangle."""
    ua, va = vertices[a, 0] - x, vertices[a, 1] - y
    ub, vb = vertices[b, 0] - x, vertices[b, 1] - y
    uc, vc = vertices[c, 0] - x, vertices[c, 1] - y
    area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
    wa = (ub * vc - uc * vb) * inverse[a]
    wb = (uc * va - ua * vc) * inverse[b]
    wc = (ua * vb - ub * va) * inverse[c]
    unit = 1.0 / (wa + wb + wc)
    return np.float32(wa * unit), np.float32(wb * unit), np.float32(wc * unit), np.float32(area * unit)


@_compiled
def rasterize_frames(
    vertices: np.ndarray,
    faces: np.ndarray,
    begin: int,
    step: int,
    triangle: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    """Notes what pixel centres see, in the frames `begin`, `begin + step`, ...

    Args:
        vertices: (B, V, 3) float32 x, y in pixels, depth.
        faces: (F, 3) int32.
        begin: First frame.
        step: Distance of frames.
        triangle: (B, H, W) int64, comes filled with -1.
        barycentric: (B, H, W, 3) float32, comes filled with 0.
        depth: (B, H, W) float32, comes filled with infinity.
    """
    height, width = triangle.shape[1:]
    work = _allocate(vertices.shape[1], faces.shape[0], height, width)
    for frame in range(begin, vertices.shape[0], step):
        points = vertices[frame]
        _locate(points, work)
        start = 0
        while start < faces.shape[0]:
            start, _, pairs = _find(points, faces, start, 0, work)
            for pair in range(pairs):
                face, pixel = work.face[pair], work.pixel[pair]
                row = pixel // width
                column = pixel - row * width
                a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                wa, wb, wc, distance = _meet(points, work.inverse, a, b, c, column + 0.5, row + 0.5)
                if distance < depth[frame, row, column]:
                    depth[frame, row, column] = distance
                    triangle[frame, row, column] = face
                    barycentric[frame, row, column, 0] = wa
                    barycentric[frame, row, column, 1] = wb
                    barycentric[frame, row, column, 2] = wc


@_compiled
def draw_frames(
    vertices: np.ndarray,
    colours: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    contour: np.ndarray,
    samples: np.ndarray,
    begin: int,
    step: int,
    image: np.ndarray,
    share: np.ndarray,
) -> None:
    """Draws the frames `begin`, `begin + step`, ...: colours of the first kind and shares of all.

    Args:
        vertices: (B, V, 3) float32 x, y in pixels, depth.
        colours: (B, V, 3) float32.
        faces: (F, 3) int32.
        labels: (F,) uint8 kinds, the first one is coloured.
        contour: (E, 2) int32 edges at which a kind ends.
        samples: (S, 2) float64 right of and below the centre.
        begin: First frame.
        step: Distance of frames.
        image: (B, 3, H * W) float32, filled here.
        share: (B, K, H, W) float32, filled here.
    """
    height, width = share.shape[2:]
    work = _allocate(vertices.shape[1], faces.shape[0], height, width)
    for frame in range(begin, vertices.shape[0], step):
        points, paint, picture = vertices[frame], colours[frame], image[frame]
        picture[:] = 0
        work.depth[:] = np.inf
        work.kind[:] = 0
        kind = work.kind.reshape(-1)
        _locate(points, work)
        start = count = 0
        while start < faces.shape[0]:
            start, count, pairs = _find(points, faces, start, count, work)
            for pair in range(pairs):
                face, pixel = work.face[pair], work.pixel[pair]
                row = pixel // width
                a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                wa, wb, wc, distance = _meet(points, work.inverse, a, b, c, pixel - row * width + 0.5, row + 0.5)
                if distance < work.depth[pixel]:
                    work.depth[pixel] = distance
                    kind[pixel] = labels[face] + 1
                    if labels[face] > 0:
                        wa = wb = wc = np.float32(0)
                    for colour in range(3):
                        picture[colour, pixel] = wa * paint[a, colour] + wb * paint[b, colour] + wc * paint[c, colour]
        _cover(points, faces, labels, contour, samples, count, work, share[frame])
        _fill_rim(work, picture, share[frame, 0])


@_compiled
def cover_frames(
    vertices: np.ndarray,
    seen: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    contour: np.ndarray,
    samples: np.ndarray,
    begin: int,
    step: int,
    share: np.ndarray,
) -> None:
    """Fills shares as `draw_frames` does, from the triangles `seen` (B, H, W) at the centres."""
    height, width = share.shape[2:]
    work = _allocate(vertices.shape[1], faces.shape[0], height, width)
    for frame in range(begin, vertices.shape[0], step):
        for row in range(height):
            for column in range(width):
                face = seen[frame, row, column]
                work.kind[row, column] = labels[face] + 1 if face >= 0 else 0
        _locate(vertices[frame], work)
        start = count = 0
        while start < faces.shape[0]:
            start, count, _ = _find(vertices[frame], faces, start, count, work)
        _cover(vertices[frame], faces, labels, contour, samples, count, work, share[frame])


@_compiled
def _cover(
    vertices: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    contour: np.ndarray,
    samples: np.ndarray,
    count: int,
    work: Work,
    share: np.ndarray,
) -> None:
    """Fills `share` (K, H, W) from the samples of mixed pixels and the centres of the others."""
    height, width = work.kind.shape
    for kind in range(share.shape[0]):
        for row in range(height):
            for column in range(width):
                share[kind, row, column] = 1 if work.kind[row, column] == kind + 1 else 0
    number = _find_mixed(vertices, contour, work)
    depth = np.full((number, samples.shape[0]), np.inf, np.float32)
    seen = np.zeros((number, samples.shape[0]), np.uint8)
    for one in range(count):
        # Samples reach less than a pixel further than centres.
        left, right = max(work.box[one, 0] - 1, 0), min(work.box[one, 1] + 1, width - 1)
        top, bottom = max(work.box[one, 2] - 1, 0), min(work.box[one, 3] + 1, height - 1)
        if not _touches(work.tile, left, right, top, bottom):
            continue
        face = work.front[one]
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if work.mixed[row, column]:
                    slot = work.slot[row, column]
                    _sample(vertices, faces, face, labels[face], samples, row, column, work, depth[slot], seen[slot])
    part = np.float32(1 / samples.shape[0])
    for row in range(height):
        for column in range(width):
            if work.mixed[row, column]:
                share[:, row, column] = 0
                for sample in range(samples.shape[0]):
                    kind = seen[work.slot[row, column], sample]
                    if kind > 0:
                        share[kind - 1, row, column] += part


@_compiled
def _sample(
    vertices: np.ndarray,
    faces: np.ndarray,
    face: int,
    label: int,
    samples: np.ndarray,
    row: int,
    column: int,
    work: Work,
    depth: np.ndarray,
    seen: np.ndarray,
) -> None:
    """Draws one front face at the samples of one pixel: `depth` and `seen` (S,)."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    for sample in range(samples.shape[0]):
        x, y = column + 0.5 + samples[sample, 0], row + 0.5 + samples[sample, 1]
        ua, va = vertices[a, 0] - x, vertices[a, 1] - y
        ub, vb = vertices[b, 0] - x, vertices[b, 1] - y
        uc, vc = vertices[c, 0] - x, vertices[c, 1] - y
        if (ub * vc - uc * vb <= 0) & (uc * va - ua * vc <= 0) & (ua * vb - ub * va <= 0):
            distance = _meet(vertices, work.inverse, a, b, c, x, y)[3]
            if distance < depth[sample]:
                depth[sample] = distance
                seen[sample] = label + 1


@_compiled
def _touches(tile: np.ndarray, left: int, right: int, top: int, bottom: int) -> bool:
    """Whether a box of pixels reaches a tile with a mixed pixel."""
    for row in range(top >> _TILE, (bottom >> _TILE) + 1):
        for column in range(left >> _TILE, (right >> _TILE) + 1):
            if tile[row, column]:
                return True
    return False


@_compiled
def _find_mixed(vertices: np.ndarray, contour: np.ndarray, work: Work) -> int:
    """Numbers the pixels that may show more than one kind: few, and the only ones where samples are worth taking.

    Those are next to a pixel whose centre shows another kind, or touched by an edge at which a kind ends; the latter
    finds openings too narrow for any centre to fall into, as between lips or lids.
    """
    height, width = work.kind.shape
    mixed = work.mixed
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        mixed[row] = 0
        # Whole rows at a time: 64 pixels per instruction.
        for other in (above, row, below):
            for column in range(width):
                mixed[row, column] |= work.kind[row, column] != work.kind[other, column]
            for column in range(width - 1):
                mixed[row, column] |= work.kind[row, column] != work.kind[other, column + 1]
            for column in range(1, width):
                mixed[row, column] |= work.kind[row, column] != work.kind[other, column - 1]
    for edge in range(contour.shape[0]):
        a, b = contour[edge, 0], contour[edge, 1]
        xa, ya, xb, yb = vertices[a, 0], vertices[a, 1], vertices[b, 0], vertices[b, 1]
        if not (np.isfinite(xa) and np.isfinite(ya) and np.isfinite(xb) and np.isfinite(yb)):
            continue
        top, bottom = np.floor(max(min(ya, yb, height), 0)), np.floor(min(max(ya, yb, -1), height - 1))
        left, right = np.floor(max(min(xa, xb, width), 0)), np.floor(min(max(xa, xb, -1), width - 1))
        for row in range(int(top), int(bottom) + 1):
            for column in range(int(left), int(right) + 1):
                mixed[row, column] = 1
    work.tile[:] = 0
    number = 0
    for row in range(height):
        for column in range(width):
            if mixed[row, column]:
                work.slot[row, column] = number
                work.tile[row >> _TILE, column >> _TILE] = 1
                number += 1
    return number


@_compiled
def _fill_rim(work: Work, picture: np.ndarray, skin: np.ndarray) -> None:
    """Gives pixels that the first kind covers, but not at their centre, the mean colour of their neighbours.

    Where there is no neighbour with a colour, its share `skin` (H, W) becomes 0.
    """
    height, width = work.kind.shape
    for row in range(height):
        for column in range(width):
            if work.mixed[row, column] and work.kind[row, column] != 1 and skin[row, column] > 0:
                known = 0
                for down in range(-1, 2):
                    for right in range(-1, 2):
                        beside = min(max(row + down, 0), height - 1), min(max(column + right, 0), width - 1)
                        if work.kind[beside] == 1:
                            known += 1
                            for colour in range(3):
                                picture[colour, row * width + column] += picture[colour, beside[0] * width + beside[1]]
                if known == 0:
                    skin[row, column] = 0
                else:
                    for colour in range(3):
                        picture[colour, row * width + column] /= np.float32(known)
