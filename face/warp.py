"""Sampling a turned square of a picture, antialiased, for the networks of the tracker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

_index: Any = np.uint64  # numba asks of signed numbers whether they count from the end


@dataclass(frozen=True)
class Square:
    """A square region of a picture, possibly turned and possibly reaching beyond the picture.

    Attributes:
        x: Centre in pixels (continuous; pixel j covers [j, j + 1)).
        y: Centre in pixels.
        side: Side in pixels.
        angle: Direction of the square's own x axis in the picture, in radians; positive turns toward y (downward).
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Coordinates in the square, 0 to 1 from its upper left corner, to pixels.

        Args:
            points: (..., 2) x, y, or (..., 3) x, y, z where z is in units of the side.

        Returns:
            Same shape, float64; z becomes pixels and is not moved.
        """
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        placed = np.array(points, np.float64) * self.side
        along, down = placed[..., 0] - self.side / 2, placed[..., 1] - self.side / 2
        placed[..., 0] = self.x + cosine * along - sine * down
        placed[..., 1] = self.y + sine * along + cosine * down
        return placed


@dataclass(frozen=True)
class Reduced:
    """Part of a picture, smaller by a whole number: what shrinking without aliasing starts from.

    Attributes:
        blocks: (h, w, 3) means of blocks of pixels, float32 in [0, 1]; the picture's own bytes where blocks are pixels.
        left: Of the blocks, in blocks from the picture's edge.
        top: Likewise.
        block: Side of a block in pixels.
        width: Of the whole picture, pixels.
        height: Of the whole picture, pixels.
    """

    blocks: np.ndarray
    left: int
    top: int
    block: int
    width: int
    height: int

    def sample(self, square: Square, size: int, replicate: bool = True) -> np.ndarray:
        """See `sample`, of a square that this was made for."""
        block, step = self.block, square.side / size / self.block
        limits = np.array([0, 0, self.width, self.height]) / block - np.array([self.left, self.top] * 2)
        return _interpolate(
            self.blocks,
            (square.x / block - self.left, square.y / block - self.top),
            (math.cos(square.angle) * step, math.sin(square.angle) * step),
            limits,
            size,
            replicate,
            1 / 255 if self.blocks.dtype == np.uint8 else 1.0,
        )


def reduce_around(frame: np.ndarray, squares: Sequence[Square], size: int) -> Reduced:
    """What samples of squares of about the same place and side have in common.

    Args:
        frame: (H, W, 3) uint8.
        squares: The regions.
        size: Side of the samples in pixels.
    """
    height, width = frame.shape[:2]
    block = max(1, round(min(square.side for square in squares) / size))
    if block == 1:
        return Reduced(np.ascontiguousarray(frame), 0, 0, 1, width, height)
    reaches = [
        square.side * (abs(math.cos(square.angle)) + abs(math.sin(square.angle))) / 2 + 2 * block for square in squares
    ]
    reach = list(zip(squares, reaches, strict=True))
    left, right = _block_range(min(q.x - r for q, r in reach), max(q.x + r for q, r in reach), width, block)
    top, bottom = _block_range(min(q.y - r for q, r in reach), max(q.y + r for q, r in reach), height, block)
    rows = np.ascontiguousarray(frame).reshape(height, -1)
    return Reduced(_block_means(rows, top, bottom, left, right, block), left, top, block, width, height)


def sample(frame: np.ndarray, square: Square, size: int, replicate: bool = True) -> np.ndarray:
    """Resample a square of a picture.

    The picture is first averaged in blocks about as large as an output pixel, then interpolated, so that shrinking
    does not alias: the networks must not see patterns that flicker while the face moves by part of a pixel. The
    blocks lie on a fixed grid of the picture, so that a face at rest gives the same samples in every frame.

    Args:
        frame: (H, W, 3) uint8.
        square: The region.
        size: Side of the output in pixels.
        replicate: Beyond the picture repeat its edge; False: black.

    Returns:
        (size, size, 3) float32 in [0, 1].
    """
    return reduce_around(frame, [square], size).sample(square, size, replicate)


def _block_range(low: float, high: float, length: int, block: int) -> tuple[int, int]:
    """First and past-last block that an interval touches, at least one block and inside the picture."""
    blocks = -(-length // block)
    first = min(max(math.floor(low / block), 0), blocks - 1)
    return first, min(max(math.ceil(high / block), first + 1), blocks)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _block_means(rows: np.ndarray, top: int, bottom: int, left: int, right: int, block: int) -> np.ndarray:
    """Means of block x block pixels of `rows` (H, 3 W), float32 in [0, 1]; blocks cut by the edge average the rest."""
    height, width = rows.shape[0], rows.shape[1] // 3
    means = np.empty((bottom - top, right - left, 3), np.float32)
    begin, end = left * block, min(right * block, width)
    sums = np.empty(3 * (end - begin), np.int32)
    for row in range(top, bottom):
        first, last = row * block, min(row * block + block, height)
        full = np.float32(1) / np.float32(255 * (last - first) * block)
        sums[:] = 0
        for y in range(first, last):  # whole rows at a time: many pixels per instruction
            line = rows[y, 3 * begin : 3 * end]
            for place in range(sums.size):
                sums[place] += np.int32(line[place])
        whole = (end - begin) // block  # the last block may be cut
        for column in range(right - left):
            columns = block if column < whole else end - begin - column * block
            weight = full if columns == block else np.float32(1) / np.float32(255 * (last - first) * columns)
            place = _index(3 * column * block)
            red = green = blue = np.int32(0)
            for _ in range(columns):
                red, green, blue = red + sums[place], green + sums[place + _index(1)], blue + sums[place + _index(2)]
                place += _index(3)
            means[row - top, column, 0] = np.float32(red) * weight
            means[row - top, column, 1] = np.float32(green) * weight
            means[row - top, column, 2] = np.float32(blue) * weight
    return means


@numba.njit(cache=True, nogil=True, fastmath=True)
def _interpolate(
    picture: np.ndarray,
    centre: tuple[float, float],
    axis: tuple[float, float],
    limits: np.ndarray,
    size: int,
    replicate: bool,
    unit: float,
) -> np.ndarray:
    """Bilinear samples, times `unit`, of a turned square grid; `axis` is a step along its x, `limits` the edges."""
    height, width = picture.shape[:2]
    image = np.empty((size, size, 3), np.float32)
    values, one = picture.reshape(-1), np.float32(1)
    # of the pixels of a row, in loops of their own, which are vectorised; indices are unsigned, so that numba does not
    # look whether they are negative
    corner, right, down = np.empty(size, np.uint32), np.empty(size, np.uint32), np.empty(size, np.uint32)
    a, b, shown = np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, np.float32)
    for row in range(size):
        below = row + 0.5 - size / 2
        for column in range(size):
            along = column + 0.5 - size / 2
            x = centre[0] + axis[0] * along - axis[1] * below
            y = centre[1] + axis[1] * along + axis[0] * below
            outside = x < limits[0] or y < limits[1] or x > limits[2] or y > limits[3]
            shown[column] = 0.0 if outside and not replicate else unit
            u = min(max(x - 0.5, 0.0), width - 1.0)  # pixel centres lie at .5
            v = min(max(y - 0.5, 0.0), height - 1.0)
            left, top = np.int32(u), np.int32(v)
            a[column], b[column] = np.float32(u - left), np.float32(v - top)
            corner[column] = 3 * (top * width + left)
            right[column], down[column] = 3 * (left < width - 1), 3 * width * (top < height - 1)
        line = image[row].reshape(-1)
        for column in range(size):
            above, beneath = (one - b[column]) * shown[column], b[column] * shown[column]
            upper_left, upper_right = (one - a[column]) * above, a[column] * above
            lower_left, lower_right = (one - a[column]) * beneath, a[column] * beneath
            first, across = corner[column], corner[column] + right[column]
            under, opposite = first + down[column], across + down[column]
            place = np.uint32(3 * column)
            for channel in range(np.uint32(3)):
                upper = values[first + channel] * upper_left + values[across + channel] * upper_right
                lower = values[under + channel] * lower_left + values[opposite + channel] * lower_right
                line[place + channel] = upper + lower
    return image
