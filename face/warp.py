"""Sampling a turned square of a picture, antialiased, for the networks of the tracker."""

import math
from dataclasses import dataclass

import numba
import numpy as np


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
    height, width = frame.shape[:2]
    step = square.side / size
    block = max(1, round(step))
    reach = square.side * (abs(math.cos(square.angle)) + abs(math.sin(square.angle))) / 2 + 2 * block
    left, right = _block_range(square.x - reach, square.x + reach, width, block)
    top, bottom = _block_range(square.y - reach, square.y + reach, height, block)
    reduced = _block_means(np.ascontiguousarray(frame), top, bottom, left, right, block)
    limits = np.array([-left * block, -top * block, width - left * block, height - top * block]) / block
    return _interpolate(
        reduced,
        (square.x / block - left, square.y / block - top),
        (math.cos(square.angle) * step / block, math.sin(square.angle) * step / block),
        limits,
        size,
        replicate,
    )


def _block_range(low: float, high: float, length: int, block: int) -> tuple[int, int]:
    """First and past-last block that an interval touches, at least one block and inside the picture."""
    blocks = -(-length // block)
    first = min(max(math.floor(low / block), 0), blocks - 1)
    return first, min(max(math.ceil(high / block), first + 1), blocks)


@numba.njit(cache=True, nogil=True)
def _block_means(frame: np.ndarray, top: int, bottom: int, left: int, right: int, block: int) -> np.ndarray:
    """Means of block x block pixels, float32 in [0, 1]; blocks cut by the edge average what they have."""
    height, width = frame.shape[:2]
    means = np.empty((bottom - top, right - left, 3), np.float32)
    for row in range(top, bottom):
        first_y, last_y = row * block, min(row * block + block, height)
        for column in range(left, right):
            first_x, last_x = column * block, min(column * block + block, width)
            red = green = blue = 0
            for y in range(first_y, last_y):
                for x in range(first_x, last_x):
                    red += frame[y, x, 0]
                    green += frame[y, x, 1]
                    blue += frame[y, x, 2]
            weight = np.float32(1) / np.float32(255 * (last_y - first_y) * (last_x - first_x))
            means[row - top, column - left, 0] = red * weight
            means[row - top, column - left, 1] = green * weight
            means[row - top, column - left, 2] = blue * weight
    return means


@numba.njit(cache=True, nogil=True, fastmath=True)
def _interpolate(
    picture: np.ndarray,
    centre: tuple[float, float],
    axis: tuple[float, float],
    limits: np.ndarray,
    size: int,
    replicate: bool,
) -> np.ndarray:
    """Bilinear samples of a turned square grid; `axis` is one output pixel along x, `limits` the picture's edges."""
    height, width = picture.shape[:2]
    image = np.zeros((size, size, 3), np.float32)
    for row in range(size):
        down = row + 0.5 - size / 2
        for column in range(size):
            along = column + 0.5 - size / 2
            x = centre[0] + axis[0] * along - axis[1] * down
            y = centre[1] + axis[1] * along + axis[0] * down
            if not replicate and (x < limits[0] or y < limits[1] or x > limits[2] or y > limits[3]):
                continue
            u = min(max(x - 0.5, 0.0), width - 1.0)  # pixel centres lie at .5
            v = min(max(y - 0.5, 0.0), height - 1.0)
            left, top = int(u), int(v)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            a, b = np.float32(u - left), np.float32(v - top)
            for channel in range(3):
                upper = picture[top, left, channel] * (1 - a) + picture[top, right, channel] * a
                lower = picture[bottom, left, channel] * (1 - a) + picture[bottom, right, channel] * a
                image[row, column, channel] = upper * (1 - b) + lower * b
    return image
