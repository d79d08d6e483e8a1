"""Colours of a moved photo: every pixel looks up where in the photo its point of the mesh was."""

import numba
import numpy as np

from face.rasterizers.fragments import Fragments

SAMPLES = 2  # per side of a pixel, at which the mesh is rasterised
_SMOOTH = 1.25  # pixels of the photo, ours: samples of one pixel that lie nearer together show one unbroken surface


def look_up(
    fragments: Fragments, triangles: np.ndarray, source: np.ndarray, paint: np.ndarray, picture: np.ndarray
) -> np.ndarray:
    """Colour one frame.

    Where all samples of a pixel see one unbroken surface, the photo is looked up once, at their mean, by a kernel that
    leaves a photo in its own pose as it is; elsewhere, at outlines, their colours are averaged.

    Args:
        fragments: Of a batch of one, square, at `SAMPLES` times the size of the frame; larger than the frame at its
            right or bottom if that is not square.
        triangles: int64 (F, 3).
        source: (V, 3) place of each vertex in the photo: x, y in its pixels, depth in decimetres.
        paint: (V, 4) colour in [0, 1] and the share, 0 to 1, by which it covers the photo.
        picture: (H, W, 3) uint8, the photo.

    Returns:
        (H, W, 3) uint8; a pixel that no triangle covers shows the photo.
    """
    # x d, y d and d are linear on a surface in space, x and y are not.
    packed = np.concatenate([source[:, :2] * source[:, 2:], source[:, 2:], paint], 1)
    frame = np.empty_like(picture)
    _look_up(
        fragments.triangle[0].numpy(), fragments.barycentric[0].numpy(), triangles, packed.astype(np.float32), picture,
        frame,
    )  # fmt: skip
    return frame


@numba.njit(nogil=True, cache=True, fastmath=True)
def _look_up(
    triangle: np.ndarray,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    packed: np.ndarray,
    picture: np.ndarray,
    frame: np.ndarray,
) -> None:
    height, width = frame.shape[:2]
    count = SAMPLES * SAMPLES
    places, painted = np.empty((count, 2)), np.empty((count, 4))
    colour, pixel = np.empty(3), np.empty(3)
    for row in range(height):
        for column in range(width):
            for s in range(count):
                down, right = row * SAMPLES + s // SAMPLES, column * SAMPLES + s % SAMPLES
                seen = triangle[down, right]
                places[s, 0] = column + (s % SAMPLES + 0.5) / SAMPLES
                places[s, 1] = row + (s // SAMPLES + 0.5) / SAMPLES
                painted[s] = 0.0
                if seen >= 0:
                    _interpolate(triangles[seen], barycentric[down, right], packed, places[s], painted[s])
            wide = max(np.ptp(places[:, 0]), np.ptp(places[:, 1])) > _SMOOTH or painted[:, 3].max() > 0
            pixel[:] = 0.0
            if wide:
                for s in range(count):
                    _sample(picture, places[s, 0], places[s, 1], colour)
                    for k in range(3):
                        share = painted[s, 3]
                        pixel[k] += ((1 - share) * colour[k] + share * 255 * painted[s, k]) / count
            else:
                _sample(picture, places[:, 0].mean(), places[:, 1].mean(), pixel)
            for k in range(3):
                frame[row, column, k] = np.uint8(min(max(pixel[k], 0.0), 255.0) + 0.5)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _interpolate(
    corners: np.ndarray, weights: np.ndarray, packed: np.ndarray, place: np.ndarray, painted: np.ndarray
) -> None:
    """Place in the photo and paint of one sample."""
    x = y = depth = 0.0
    for corner in range(3):
        weight, vertex = weights[corner], corners[corner]
        x += weight * packed[vertex, 0]
        y += weight * packed[vertex, 1]
        depth += weight * packed[vertex, 2]
        for k in range(4):
            painted[k] += weight * packed[vertex, 3 + k]
    place[0], place[1] = x / depth, y / depth


@numba.njit(nogil=True, cache=True, fastmath=True)
def _sample(picture: np.ndarray, x: float, y: float, colour: np.ndarray) -> None:
    """Catmull-Rom interpolation; pixel centres lie at .5, beyond the photo its edge is repeated."""
    height, width = picture.shape[:2]
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    a, b = x - 0.5 - left, y - 0.5 - top
    across = (
        a * (a * (1 - a / 2) - 0.5),
        1 + a * a * (1.5 * a - 2.5),
        a * (0.5 + a * (2 - 1.5 * a)),
        a * a * (a - 1) / 2,
    )
    down = (
        b * (b * (1 - b / 2) - 0.5),
        1 + b * b * (1.5 * b - 2.5),
        b * (0.5 + b * (2 - 1.5 * b)),
        b * b * (b - 1) / 2,
    )
    colour[:] = 0.0
    for i in range(4):
        row = min(max(int(top) + i - 1, 0), height - 1)
        for j in range(4):
            column = min(max(int(left) + j - 1, 0), width - 1)
            for k in range(3):
                colour[k] += down[i] * across[j] * picture[row, column, k]
