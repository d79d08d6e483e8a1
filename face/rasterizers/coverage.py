"""The loops that count which share of a pixel shows what, for smooth outlines on the CPU.

Only pixels that may show several kinds of surface are sampled. As in `face.rasterizers.z_buffer`, what meets is listed
without a branch per sample first, and drawn afterwards.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")

# Of array elements: numba asks of each signed number whether it counts from the end, which costs as much as the rest.
_index: Any = np.uint64

_TILE = 1  # mixed pixels are looked up by tiles of 2**1 pixels first


class Mixed(NamedTuple):
    """Pixels that may show more than one kind, and a quick way to find them; used again for each frame of a thread.

    Attributes:
        here: (H, W) uint8, 1 where a pixel is one of them.
        slot: (H, W) int32, the number of each; undefined elsewhere.
        row: (H * W,) int32, their rows by number.
        column: (H * W,) int32, their columns by number.
        above: (H / 2 + 1, W / 2 + 1) int32, how many lie in the tiles above and left of the corner of each tile.
        nearest: (V, 2) int32, column and row of the tile that each vertex is in, or the nearest of the image.
    """

    here: np.ndarray
    slot: np.ndarray
    row: np.ndarray
    column: np.ndarray
    above: np.ndarray
    nearest: np.ndarray


@_compiled
def cover_frames(
    vertices: np.ndarray,
    kind: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    contour: np.ndarray,
    samples: np.ndarray,
    begin: int,
    step: int,
    image: np.ndarray,
    share: np.ndarray,
) -> None:
    """Counts shares in the frames `begin`, `begin + step`, ..., and colours the rim of the first kind.

    Args:
        vertices: (B, V, 3) float32 x, y in pixels, depth.
        kind: (B, H, W) uint8, label of what pixel centres see plus 1, 0 where there is nothing.
        faces: (F, 3) int32.
        labels: (F,) uint8.
        contour: (E, 2) integer edges at which a kind ends.
        samples: (S, 2) float64 right of and below the centre, within the pixel.
        begin: First frame.
        step: Distance of frames.
        image: (B, 3, H, W) float32 colours where the centre sees the first kind, 0 elsewhere; or without frames.
        share: (B, K, H, W) float32, filled here.
    """
    height, width = kind.shape[1:]
    mixed = Mixed(
        np.empty((height, width), np.uint8),
        np.empty((height, width), np.int32),
        np.empty(height * width, np.int32),
        np.empty(height * width, np.int32),
        np.empty(((height >> _TILE) + 2, (width >> _TILE) + 2), np.int32),
        np.empty((vertices.shape[1], 2), np.int32),
    )
    for frame in range(begin, vertices.shape[0], step):
        for label in range(share.shape[1]):
            seen, wanted, part = kind[frame].reshape(-1), np.uint8(label + 1), share[frame, label].reshape(-1)
            for pixel in range(seen.size):
                part[pixel] = np.float32(1) if seen[pixel] == wanted else np.float32(0)
        number = _find_mixed(vertices[frame], kind[frame], contour, mixed)
        _locate(vertices[frame], mixed)
        _count(vertices[frame], faces, labels, samples, number, mixed, share[frame])
        if image.shape[0] > 0:
            _fill_rim(number, kind[frame], mixed, image[frame], share[frame, 0])


@_compiled
def _clip(value: Any, low: int, high: int) -> Any:
    """Rounds down into an interval; the lower end for what is no number."""
    return np.int32(np.floor(min(value, np.float32(high)))) if value > low else np.int32(low)


@_compiled
def _find_mixed(vertices: np.ndarray, kind: np.ndarray, contour: np.ndarray, mixed: Mixed) -> int:
    """Numbers the pixels that may show more than one kind: few, and the only ones where samples are worth taking.

    Those are next to a pixel whose centre shows another kind, or touched by an edge at which a kind ends; the latter
    finds openings too narrow for any centre to fall into, as between lips or lids.
    """
    height, width = kind.shape
    here = mixed.here
    for row in range(height):
        here[row] = 0
        # Whole rows at a time: many pixels per instruction.
        for other in (max(row - 1, 0), row, min(row + 1, height - 1)):
            for column in range(width):
                here[row, column] |= kind[row, column] != kind[other, column]
            for column in range(width - 1):
                here[row, column] |= kind[row, column] != kind[other, column + 1]
            for column in range(1, width):
                here[row, column] |= kind[row, column] != kind[other, column - 1]
    for edge in range(contour.shape[0]):
        a, b = contour[edge, 0], contour[edge, 1]
        xa, ya, xb, yb = vertices[a, 0], vertices[a, 1], vertices[b, 0], vertices[b, 1]
        if not (np.isfinite(xa) and np.isfinite(ya) and np.isfinite(xb) and np.isfinite(yb)):
            continue
        for row in range(_clip(min(ya, yb), 0, height), _clip(max(ya, yb), -1, height - 1) + 1):
            for column in range(_clip(min(xa, xb), 0, width), _clip(max(xa, xb), -1, width - 1) + 1):
                here[row, column] = 1
    above = mixed.above
    above[:] = 0
    number = 0
    for row in range(height):
        for column in range(width):
            if here[row, column]:
                mixed.slot[row, column] = number
                mixed.row[number], mixed.column[number] = row, column
                above[(row >> _TILE) + 1, (column >> _TILE) + 1] += 1
                number += 1
    for row in range(1, above.shape[0]):
        total = 0
        for column in range(1, above.shape[1]):
            total += above[row, column]
            above[row, column] = above[row - 1, column] + total
    return number


@_compiled
def _locate(vertices: np.ndarray, mixed: Mixed) -> None:
    """Fills the tiles of the vertices."""
    height, width = mixed.here.shape
    for vertex in range(vertices.shape[0]):
        mixed.nearest[vertex, 0] = _clip(vertices[vertex, 0], 0, width - 1) >> _TILE
        mixed.nearest[vertex, 1] = _clip(vertices[vertex, 1], 0, height - 1) >> _TILE


@_compiled
def _touches(a: int, b: int, c: int, mixed: Mixed) -> bool:
    """Whether a triangle may reach a mixed pixel, judged by the tiles around it."""
    near, above = mixed.nearest, mixed.above
    left, right = min(near[a, 0], near[b, 0], near[c, 0]), max(near[a, 0], near[b, 0], near[c, 0]) + 1
    top, bottom = min(near[a, 1], near[b, 1], near[c, 1]), max(near[a, 1], near[b, 1], near[c, 1]) + 1
    left, right, top, bottom = _index(left), _index(right), _index(top), _index(bottom)
    return above[bottom, right] - above[top, right] != above[bottom, left] - above[top, left]


@_compiled
def _count(
    vertices: np.ndarray,
    faces: np.ndarray,
    labels: np.ndarray,
    samples: np.ndarray,
    number: int,
    mixed: Mixed,
    share: np.ndarray,
) -> None:
    """Replaces the shares (K, H, W) of `number` mixed pixels by what their samples see."""
    places = number * samples.shape[0]
    depth, seen = np.full(places, np.inf, np.float32), np.zeros(places, np.uint8)
    # One triangle may cover all places; the last pair is written, but never kept.
    found, place_of = np.empty(2 * places + 1, np.int32), np.empty(2 * places + 1, np.int32)
    start = 0
    while start < faces.shape[0]:
        start, pairs = _find(vertices, faces, samples, start, number, mixed, found, place_of)
        for pair in range(pairs):
            face, place = _index(found[pair]), place_of[pair]
            slot, sample = _index(place // samples.shape[0]), _index(place % samples.shape[0])
            x, y = mixed.column[slot] + 0.5 + samples[sample, 0], mixed.row[slot] + 0.5 + samples[sample, 1]
            a, b, c = _index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2])
            ua, ub, uc = vertices[a, 0] - x, vertices[b, 0] - x, vertices[c, 0] - x
            va, vb, vc = vertices[a, 1] - y, vertices[b, 1] - y, vertices[c, 1] - y
            area = (ub - ua) * (vc - va) - (uc - ua) * (vb - va)
            # Inverse depth is linear on the screen, depth is not.
            inverse = (ub * vc - uc * vb) / vertices[a, 2] + (uc * va - ua * vc) / vertices[b, 2]
            distance = np.float32(area / (inverse + (ua * vb - ub * va) / vertices[c, 2]))
            if distance < depth[place]:
                depth[place], seen[place] = distance, labels[face] + 1
    part = np.float32(1 / samples.shape[0])
    for slot in range(number):
        row, column = mixed.row[slot], mixed.column[slot]
        share[:, row, column] = 0
        for place in range(slot * samples.shape[0], (slot + 1) * samples.shape[0]):
            if seen[place] > 0:
                share[seen[place] - 1, row, column] += part


@_compiled
def _find(
    vertices: np.ndarray,
    faces: np.ndarray,
    samples: np.ndarray,
    start: int,
    number: int,
    mixed: Mixed,
    found: np.ndarray,
    place_of: np.ndarray,
) -> tuple[int, int]:
    """Lists samples of the `number` mixed pixels that lie in front faces, from face `start` on until it might overflow.

    Pairs are a face in `found` (N,) and slot * S + sample in `place_of` (N,).

    Returns:
        The next face to go on with and the number of pairs listed.
    """
    height, width = mixed.here.shape
    size, pairs = samples.shape[0], 0
    reach_right, reach_left = samples[:, 0].min() + 0.5, samples[:, 0].max() + 0.5
    reach_down, reach_up = samples[:, 1].min() + 0.5, samples[:, 1].max() + 0.5
    reached = np.empty(number + 1, np.int32)  # the last is written, but never kept
    change = np.empty((size, 3), np.float64)
    for face in _meeting(faces, start, mixed):
        a, b, c = _index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2])
        if pairs + number * size >= found.size:
            return face, pairs
        xa, ya = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
        xb, yb = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
        xc, yc = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        # Front faces before the camera, as the z-buffer sees them.
        if not area < 0 or not (vertices[a, 2] > 0 and vertices[b, 2] > 0 and vertices[c, 2] > 0):
            continue
        left, right = np.ceil(min(xa, xb, xc) - reach_left), np.floor(max(xa, xb, xc) - reach_right)
        top, bottom = np.ceil(min(ya, yb, yc) - reach_up), np.floor(max(ya, yb, yc) - reach_down)
        left, right = _clip(left, 0, width), _clip(right, -1, width - 1)
        top, bottom = _clip(top, 0, height), _clip(bottom, -1, height - 1)
        # One loop over the pixels of the box, then one over those that are mixed: no branch depends on what is there.
        near = _mixed_in(left, right, top, bottom, mixed, reached)
        _fill_change(samples, xa, ya, xb, yb, xc, yc, change)
        for place in range(near):
            slot = _index(reached[place])
            x, y = mixed.column[slot] + 0.5, mixed.row[slot] + 0.5
            ua, va, ub, vb, uc, vc = xa - x, ya - y, xb - x, yb - y, xc - x, yc - y
            # As in the z-buffer the neighbour across an edge gets exactly the opposite number.
            for_a, for_b, for_c = ub * vc - uc * vb, uc * va - ua * vc, ua * vb - ub * va
            for sample in range(size):
                inside = (for_a + change[sample, 0] <= 0) & (for_b + change[sample, 1] <= 0)
                inside &= for_c + change[sample, 2] <= 0
                found[_index(pairs)], place_of[_index(pairs)] = face, reached[place] * size + sample
                pairs += inside
    return faces.shape[0], pairs


@_compiled
def _meeting(faces: np.ndarray, start: int, mixed: Mixed) -> np.ndarray:
    """The faces from `start` on that may reach a mixed pixel."""
    met, meeting = 0, np.empty(faces.shape[0] + 1, np.int32)  # the last is written, but never kept
    for face in range(start, faces.shape[0]):
        meeting[_index(met)] = face
        met += _touches(_index(faces[face, 0]), _index(faces[face, 1]), _index(faces[face, 2]), mixed)
    return meeting[:met]


@_compiled
def _mixed_in(left: int, right: int, top: int, bottom: int, mixed: Mixed, reached: np.ndarray) -> int:
    """Lists the slots of the mixed pixels in a box, ends included, in `reached`; returns how many there are."""
    near, row, column = 0, top, left
    for _ in range(max(right - left + 1, 0) * max(bottom - top + 1, 0)):
        reached[_index(near)] = mixed.slot[_index(row), _index(column)]
        near += mixed.here[_index(row), _index(column)]
        last = column == right
        column = left if last else column + 1
        row += last
    return near


@_compiled
def _fill_change(
    samples: np.ndarray, xa: float, ya: float, xb: float, yb: float, xc: float, yc: float, change: np.ndarray
) -> None:
    """Fills `change` (S, 3) with how the three edge functions differ between a pixel's samples and its centre."""
    for sample in range(samples.shape[0]):
        x, y = samples[sample, 0], samples[sample, 1]
        change[sample, 0] = x * (yb - yc) - y * (xb - xc)
        change[sample, 1] = x * (yc - ya) - y * (xc - xa)
        change[sample, 2] = x * (ya - yb) - y * (xa - xb)


@_compiled
def _fill_rim(number: int, kind: np.ndarray, mixed: Mixed, picture: np.ndarray, skin: np.ndarray) -> None:
    """Gives pixels that the first kind covers, but not at their centre, the mean colour of their neighbours.

    They are among the `number` mixed ones. Where no neighbour has a colour, the share `skin` (H, W) becomes 0.
    """
    height, width = kind.shape
    for slot in range(number):
        row, column = mixed.row[slot], mixed.column[slot]
        if kind[row, column] == 1 or skin[row, column] == 0:
            continue
        known = 0
        for down in range(-1, 2):
            for right in range(-1, 2):
                below, beside = min(max(row + down, 0), height - 1), min(max(column + right, 0), width - 1)
                if kind[below, beside] == 1:
                    known += 1
                    for colour in range(3):
                        picture[colour, row, column] += picture[colour, below, beside]
        if known == 0:
            skin[row, column] = 0
        for colour in range(3):
            picture[colour, row, column] /= np.float32(max(known, 1))
