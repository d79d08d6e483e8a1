"""The loops of the CPU rasteriser, compiled by numba; they hold no lock, so frames can be drawn side by side.

A face has thousands of triangles of two pixels each, so what costs time is not arithmetic but branches that cannot be
predicted. Hence two passes: `find` lists the (triangle, pixel) pairs that meet, without a branch per pixel; then the
list is worked through in order, where nearly every entry is drawn.

Kernels call none of another file: numba's cache would not notice when that one changes.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")

# Of array elements: numba asks of each signed number whether it counts from the end, which costs as much as the rest.
_index: Any = np.uint64

_SHIFT = 15  # packed pixels: images up to 32767 px


class Work(NamedTuple):
    """Memory of one thread, used again for each of its frames: fresh memory would cost as much as drawing.

    Attributes:
        place: (V, 4) float64 x, y, 1 / depth, which is linear on the screen as depth is not, and nothing: what is asked
            of a vertex lies together and is converted once.
        nearby: (V, 4) int32, column and row of the first pixel centre at or after each vertex, then of the last at or
            before it, within the image.
        face: (N,) int32, triangles of the pairs.
        pixel: (N,) int32, pixels of the pairs, packed.
        areas: (N, 3) float64, twice the areas that a pixel's centre spans with the sides opposite to the corners.
        depth: (H, W) float32, of what is seen so far.
    """

    place: np.ndarray
    nearby: np.ndarray
    face: np.ndarray
    pixel: np.ndarray
    areas: np.ndarray
    depth: np.ndarray


@_compiled
def _pack(row: int, column: int) -> int:
    """A pixel in one number that costs no division to take apart."""
    return row << _SHIFT | column


@_compiled
def _row(pixel: int) -> int:
    return pixel >> _SHIFT


@_compiled
def _column(pixel: int) -> int:
    return pixel & ((1 << _SHIFT) - 1)


@_compiled
def _allocate(vertices: int, height: int, width: int) -> Work:
    pairs = height * width + 1  # one triangle may cover the image; the last entry is written, but never kept
    return Work(
        np.empty((vertices, 4), np.float64),
        np.empty((vertices, 4), np.int32),
        np.empty(pairs, np.int32),
        np.empty(pairs, np.int32),
        np.empty((pairs, 3), np.float64),
        np.empty((height, width), np.float32),
    )


@_compiled
def _locate(vertices: np.ndarray, work: Work) -> None:
    """Fills what `work` knows of each of the `vertices` (V, 3)."""
    height, width = np.float32(work.depth.shape[0]), np.float32(work.depth.shape[1])
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for vertex in range(vertices.shape[0]):
        work.place[vertex, 0], work.place[vertex, 1] = vertices[vertex, 0], vertices[vertex, 1]
        work.place[vertex, 2] = 1.0 / vertices[vertex, 2]
        x, y = vertices[vertex, 0] - half, vertices[vertex, 1] - half
        work.nearby[vertex, 0] = np.int32(min(max(np.ceil(x), zero), width))
        work.nearby[vertex, 1] = np.int32(min(max(np.ceil(y), zero), height))
        work.nearby[vertex, 2] = np.int32(max(min(np.floor(x), width - one), -one))
        work.nearby[vertex, 3] = np.int32(max(min(np.floor(y), height - one), -one))


@_compiled
def _find(faces: np.ndarray, start: int, work: Work) -> tuple[int, int]:
    """Lists pixels whose centre lies in a front face, from face `start` on until the list might overflow.

    Returns:
        The next face to go on with and the number of pairs listed.
    """
    place, nearby, areas = work.place, work.nearby, work.areas
    pairs = 0
    for face in range(start, faces.shape[0]):
        a, b, c = _index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2])
        xa, ya, xb, yb, xc, yc = place[a, 0], place[a, 1], place[b, 0], place[b, 1], place[c, 0], place[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # Rows run downward, so a front face has negative area; this also drops NaN and triangles seen edge-on.
        if not area < 0 or not (place[a, 2] > 0 and place[b, 2] > 0 and place[c, 2] > 0):
            continue
        left = min(nearby[a, 0], nearby[b, 0], nearby[c, 0])
        right = max(nearby[a, 2], nearby[b, 2], nearby[c, 2])
        top = min(nearby[a, 1], nearby[b, 1], nearby[c, 1])
        bottom = max(nearby[a, 3], nearby[b, 3], nearby[c, 3])
        count = max(right - left + 1, 0) * max(bottom - top + 1, 0)
        if count > 0 and pairs + count >= work.pixel.size:
            return face, pairs
        # One loop over all pixels of the box: the end of each row would be a branch that cannot be predicted.
        row, column = top, left
        for _ in range(count):
            x, y = column + 0.5, row + 0.5
            ua, ub, uc = xa - x, xb - x, xc - x
            va, vb, vc = ya - y, yb - y, yc - y
            # Each edge by itself and relative to the centre: the neighbour across the edge gets exactly the opposite
            # number, so nothing falls between two triangles.
            for_a, for_b, for_c = ub * vc - uc * vb, uc * va - ua * vc, ua * vb - ub * va
            inside = (for_a <= 0) & (for_b <= 0) & (for_c <= 0)
            pair = _index(pairs)
            work.face[pair], work.pixel[pair] = face, _pack(row, column)
            areas[pair, 0], areas[pair, 1], areas[pair, 2] = for_a, for_b, for_c
            pairs += inside
            last = column == right
            column = left if last else column + 1
            row += last
    return faces.shape[0], pairs


@_compiled
def _meet(
    place: np.ndarray, a: int, b: int, c: int, areas: np.ndarray
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Perspective-correct weights of the corners a, b, c and the depth at a point of their triangle, from its areas."""
    wa, wb, wc = areas[0] * place[a, 2], areas[1] * place[b, 2], areas[2] * place[c, 2]
    unit = 1.0 / (wa + wb + wc)
    area = areas[0] + areas[1] + areas[2]
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
        triangle: (B, H, W) int64, comes filled with -1; or (0, H, W) where only the depth is wanted.
        barycentric: (B, H, W, 3) float32, comes filled with 0; likewise.
        depth: (B, H, W) float32, comes filled with infinity.
    """
    height, width = depth.shape[1:]
    depth_only = triangle.shape[0] == 0
    work = _allocate(vertices.shape[1], height, width)
    for frame in range(begin, vertices.shape[0], step):
        points = vertices[frame]
        _locate(points, work)
        start = 0
        while start < faces.shape[0]:
            start, pairs = _find(faces, start, work)
            for pair in range(pairs):
                face, pixel = _index(work.face[pair]), work.pixel[pair]
                row, column = _index(_row(pixel)), _index(_column(pixel))
                a, b, c = _index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2])
                wa, wb, wc, distance = _meet(work.place, a, b, c, work.areas[_index(pair)])
                if distance < depth[frame, row, column]:
                    depth[frame, row, column] = distance
                    if depth_only:
                        continue
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
    begin: int,
    step: int,
    image: np.ndarray,
    kind: np.ndarray,
) -> None:
    """Draws what pixel centres see, in the frames `begin`, `begin + step`, ...: its kind, and the colour of the first.

    Args:
        vertices: (B, V, 3) float32 x, y in pixels, depth.
        colours: (B, V, 3) float32.
        faces: (F, 3) int32.
        labels: (F,) uint8 kinds, the first one is coloured.
        begin: First frame.
        step: Distance of frames.
        image: (B, 3, H, W) float32, filled here.
        kind: (B, H, W) uint8, label of what the centre sees plus 1, 0 where there is nothing; filled here.
    """
    height, width = kind.shape[1:]
    work = _allocate(vertices.shape[1], height, width)
    for frame in range(begin, vertices.shape[0], step):
        points, paint, picture = vertices[frame], colours[frame], image[frame]
        picture[:] = 0
        work.depth[:] = np.inf
        kind[frame] = 0
        _locate(points, work)
        start = 0
        while start < faces.shape[0]:
            start, pairs = _find(faces, start, work)
            _paint(paint, faces, labels, pairs, work, picture.reshape(3, -1), kind[frame].reshape(-1))


@_compiled
def _paint(
    colours: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    pairs: int,
    work: Work,
    image: np.ndarray,
    kind: np.ndarray,
) -> None:
    """Draws the pairs listed on `image` (3, H * W) and `kind` (H * W,)."""
    depth, width = work.depth.reshape(-1), work.depth.shape[1]
    for pair in range(pairs):
        face, packed = _index(work.face[pair]), work.pixel[pair]
        row, column = _row(packed), _column(packed)
        a, b, c = _index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2])
        wa, wb, wc, distance = _meet(work.place, a, b, c, work.areas[_index(pair)])
        pixel = _index(row * width + column)
        if distance < depth[pixel]:
            depth[pixel] = distance
            kind[pixel] = labels[face] + 1
            if labels[face] == 0:
                image[0, pixel] = wa * colours[a, 0] + wb * colours[b, 0] + wc * colours[c, 0]
                image[1, pixel] = wa * colours[a, 1] + wb * colours[b, 1] + wc * colours[c, 1]
                image[2, pixel] = wa * colours[a, 2] + wb * colours[b, 2] + wc * colours[c, 2]
            else:
                image[0, pixel] = image[1, pixel] = image[2, pixel] = 0
