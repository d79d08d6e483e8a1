"""SSIM of bytes on a processor: loops over rows of interleaved channels, compiled by numba.

Rows stay in the cache from one window to the next, and a row of all channels is one long vector.
"""

import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def uniform_similarity(
    x: np.ndarray, y: np.ndarray, channels: int, size: int, c1: float, c2: float, similarity: np.ndarray
) -> None:
    """Fills SSIM with a uniform window and sample moments; all sums are whole numbers, so exact.

    Args:
        x: (H, C W) uint8, channels of a pixel side by side.
        y: the same.
        channels: C.
        size: side of the window, at most 128 (sums must fit into 32 bits).
        c1: (K1 255)².
        c2: (K2 255)².
        similarity: (H - size + 1, W - size + 1) float64, the mean over channels.
    """
    height, row_length = x.shape
    width = similarity.shape[1]
    length = row_length - (size - 1) * channels
    columns, sums = np.zeros((4, row_length), np.int32), np.empty((4, length), np.int32)
    values = np.empty(length)
    count = size * size
    scale, correction = 1.0 / count, 1.0 / (count - 1.0)
    for row in range(height):
        for k in range(row_length):
            a, b = np.int32(x[row, k]), np.int32(y[row, k])
            columns[0, k] += a
            columns[1, k] += b
            columns[2, k] += a * a + b * b
            columns[3, k] += a * b
        if row >= size:
            for k in range(row_length):
                a, b = np.int32(x[row - size, k]), np.int32(y[row - size, k])
                columns[0, k] -= a
                columns[1, k] -= b
                columns[2, k] -= a * a + b * b
                columns[3, k] -= a * b
        if row < size - 1:
            continue
        for moment in range(4):
            source, total = columns[moment], sums[moment]
            total[:] = source[:length]
            for offset in range(1, size):
                shift = offset * channels
                for k in range(length):
                    total[k] += source[k + shift]
        for k in range(length):
            mean_x, mean_y = sums[0, k] * scale, sums[1, k] * scale
            squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
            variances = (sums[2, k] - squares * count) * correction
            covariance = (sums[3, k] - product * count) * correction
            values[k] = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
        _mean_of_channels(values, channels, similarity[row - size + 1], width)


@_compiled
def gaussian_similarity(
    x: np.ndarray, y: np.ndarray, channels: int, taps: np.ndarray, c1: float, c2: float, similarity: np.ndarray
) -> None:
    """Fills SSIM with a separable window of weights that sum to 1, and population moments.

    Args:
        x: (H, C W) uint8, channels of a pixel side by side.
        y: the same.
        channels: C.
        taps: (S,) float64, symmetric, S odd.
        c1: (K1 255)².
        c2: (K2 255)².
        similarity: (H - S + 1, W - S + 1) float64, the mean over channels.
    """
    size, row_length = len(taps), x.shape[1]
    rows, width = similarity.shape
    length, half = row_length - (size - 1) * channels, size // 2
    columns, means = np.empty((4, row_length)), np.empty((4, length))
    products = np.empty((size, 4, row_length))  # of the last rows, in turn
    values = np.empty(length)
    for row in range(x.shape[0]):
        fresh = products[row % size]
        for k in range(row_length):
            a, b = np.float64(x[row, k]), np.float64(y[row, k])
            fresh[0, k] = a
            fresh[1, k] = b
            fresh[2, k] = a * a + b * b
            fresh[3, k] = a * b
        if row < size - 1:
            continue
        top = row - size + 1
        for moment in range(4):
            total, mean = columns[moment], means[moment]
            middle, tap = products[(top + half) % size, moment], taps[half]
            for k in range(row_length):
                total[k] = tap * middle[k]
            for offset in range(half):
                above, below = products[(top + offset) % size, moment], products[(row - offset) % size, moment]
                tap = taps[offset]
                for k in range(row_length):
                    total[k] += tap * (above[k] + below[k])
            tap, shift = taps[half], half * channels
            for k in range(length):
                mean[k] = tap * total[k + shift]
            for offset in range(half):
                tap, left, right = taps[offset], offset * channels, (size - 1 - offset) * channels
                for k in range(length):
                    mean[k] += tap * (total[k + left] + total[k + right])
        for k in range(length):
            mean_x, mean_y = means[0, k], means[1, k]
            squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
            variances, covariance = means[2, k] - squares, means[3, k] - product
            values[k] = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
        if top < rows:
            _mean_of_channels(values, channels, similarity[top], width)


@_compiled
def _mean_of_channels(values: np.ndarray, channels: int, mean: np.ndarray, width: int) -> None:
    for k in range(width):
        total = 0.0
        for channel in range(channels):
            total += values[k * channels + channel]
        mean[k] = total / channels
