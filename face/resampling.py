"""Resampling an upright square of a picture by a bicubic kernel, as Pillow does, in loops compiled by numba."""

from functools import lru_cache
from typing import Any

import numba
import numpy as np

_RADIUS = 2  # of the kernel, in output pixels when shrinking and in input pixels when enlarging
# Output rows worked on at once, side by side in memory: many per instruction, and sums that do not wait for each other
# [64 take 0.45 of the time of 16].
_LANES = 64
_TILE = 16  # rows that are laid side by side at once, a line of the cache; divides _LANES
_index: Any = np.uint64  # numba asks of signed numbers whether they count from the end


def resample(frame: np.ndarray, x: float, y: float, side: float, size: int) -> np.ndarray:
    """A square of a picture at another size, band-limited; beyond the picture its edge is repeated.

    Args:
        frame: (H, W, 3) uint8.
        x: Left edge of the square in pixels (continuous; pixel j covers [j, j + 1)).
        y: Upper edge.
        side: Side of the square in pixels.
        size: Side of the result in its own pixels.

    Returns:
        (size, size, 3) uint8.
    """
    result = np.empty((size, size, 3), np.uint8)
    frame = np.ascontiguousarray(frame)
    _resample(frame.reshape(len(frame), -1), *kernels(y, side, size), *kernels(x, side, size), result)
    return result


@lru_cache(maxsize=8)  # the crop of a video is the same in all its frames
def kernels(start: float, length: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """What each output pixel along one axis is made of.

    Args:
        start: Edge of the first output pixel in input pixels.
        length: Of all output pixels in input pixels.
        size: Number of output pixels.

    Returns:
        (size,) int64 first input pixel, which may lie outside the picture, and (size, N) float32 weights of it and
        those after it, with sum 1. Catmull and Rom's kernel, a = -0.5. Both are kept: leave them as they are.
    """
    step = length / size
    width = max(step, 1.0)
    centre = start + (np.arange(size) + 0.5) * step
    first = np.floor(centre - _RADIUS * width + 0.5).astype(np.int64)
    pixels = first[:, None] + np.arange(int(np.ceil(2 * _RADIUS * width)) + 1)
    d = np.abs(pixels + 0.5 - centre[:, None]) / width
    near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    weights = np.where(d < 1, near, np.where(d < _RADIUS, far, 0.0))
    return first, (weights / weights.sum(1, keepdims=True)).astype(np.float32)


_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _blend(frame: np.ndarray, first: int, weights: np.ndarray, left: int, right: int, line: np.ndarray) -> None:
    """Fills `line` with a weighted sum of rows of `frame` from `first` on, in columns `left` to `right`."""
    line[:] = 0
    for tap in range(weights.size):
        weight = weights[tap]
        source = frame[min(max(first + tap, 0), frame.shape[0] - 1), 3 * left : 3 * right]
        if weight != 0:
            for place in range(line.size):
                line[place] += weight * np.float32(source[place])


@_compiled
def _resample(
    frame: np.ndarray,
    first_row: np.ndarray,
    row_weights: np.ndarray,
    first_column: np.ndarray,
    column_weights: np.ndarray,
    result: np.ndarray,
) -> None:
    """Fills `result` (S, S, 3) from `frame` (H, 3 W): rows of the input first, then its columns, without rounding."""
    width = frame.shape[1] // 3
    size, taps = column_weights.shape
    left = min(max(first_column[0], 0), width - 1)
    right = min(max(first_column[size - 1] + taps, left + 1), width)
    # [output row, colour of input column] and, many rows side by side, the other way round; then of output columns
    lines = np.zeros((_LANES, 3 * (right - left)), np.float32)
    narrow = np.empty((lines.shape[1], _LANES), np.float32)
    total, columns = np.empty(_LANES, np.float32), np.empty((3 * size, _LANES), np.uint8)
    for begin in range(0, size, _LANES):
        rows = min(_LANES, size - begin)
        for lane in range(rows):
            row = begin + lane
            _blend(frame, first_row[row], row_weights[row], left, right, lines[lane])
        for some in range(0, _LANES, _TILE):
            for place in range(len(narrow)):
                for lane in range(_TILE):
                    narrow[place, some + lane] = lines[some + lane, place]
        for column in range(size):
            for colour in range(3):
                total[:] = np.float32(0.5)
                for tap in range(taps):
                    weight = column_weights[column, tap]
                    place = _index(3 * (min(max(first_column[column] + tap, left), right - 1) - left) + colour)
                    for lane in range(_LANES):
                        total[lane] += weight * narrow[place, lane]
                place = _index(3 * column + colour)
                for lane in range(_LANES):
                    columns[place, lane] = np.uint8(np.int32(min(max(total[lane], np.float32(0)), np.float32(255))))
        for lane in range(rows):
            line = result[begin + lane].reshape(-1)
            for place in range(line.size):
                line[place] = columns[place, lane]
