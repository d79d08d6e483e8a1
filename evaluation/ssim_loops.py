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
    length = x.shape[1] - (size - 1) * channels
    columns, totals = np.zeros((4, x.shape[1]), np.int32), np.empty(length, np.int32)
    means, values = np.empty((4, length)), np.empty(length)
    scale, correction = 1.0 / (size * size), size * size / (size * size - 1.0)
    for row in range(x.shape[0]):
        _add_products(x[row], y[row], 1, columns)
        if row >= size:
            _add_products(x[row - size], y[row - size], -1, columns)
        if row < size - 1:
            continue
        for moment in range(4):
            source, mean = columns[moment], means[moment]
            totals[:] = source[:length]
            for offset in range(1, size):
                shift = offset * channels
                for k in range(length):
                    totals[k] += source[k + shift]
            for k in range(length):
                mean[k] = totals[k] * scale
        _similarities(means, correction, c1, c2, values)
        _mean_of_channels(values, channels, similarity[row - size + 1])


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
    length = row_length - (size - 1) * channels
    columns, means, values = np.empty(row_length), np.empty((4, length)), np.empty(length)
    products = np.empty((size, 4, row_length))  # of the last rows, in turn
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
        for moment in range(4):
            _weigh_rows(products, moment, row - size + 1, taps, columns)
            _weigh_columns(columns, channels, taps, means[moment])
        _similarities(means, 1.0, c1, c2, values)
        _mean_of_channels(values, channels, similarity[row - size + 1])


@_compiled
def _add_products(x: np.ndarray, y: np.ndarray, sign: int, sums: np.ndarray) -> None:
    """Adds x, y, x² + y², x y of a row to the sums (4, C W), or takes them away."""
    for k in range(len(x)):
        a, b = np.int32(x[k]), np.int32(y[k])
        sums[0, k] += sign * a
        sums[1, k] += sign * b
        sums[2, k] += sign * (a * a + b * b)
        sums[3, k] += sign * (a * b)


@_compiled
def _weigh_rows(products: np.ndarray, moment: int, top: int, taps: np.ndarray, total: np.ndarray) -> None:
    """The weighted sum of the rows from `top` on; equal weights above and below are multiplied once."""
    size, half = len(taps), len(taps) // 2
    middle = products[(top + half) % size, moment]
    for k in range(len(total)):
        total[k] = taps[half] * middle[k]
    for offset in range(half):
        above, below = products[(top + offset) % size, moment], products[(top + size - 1 - offset) % size, moment]
        tap = taps[offset]
        for k in range(len(total)):
            total[k] += tap * (above[k] + below[k])


@_compiled
def _weigh_columns(row: np.ndarray, channels: int, taps: np.ndarray, mean: np.ndarray) -> None:
    """The weighted sums of neighbouring pixels of a row."""
    size, half = len(taps), len(taps) // 2
    tap, shift = taps[half], half * channels
    for k in range(len(mean)):
        mean[k] = tap * row[k + shift]
    for offset in range(half):
        tap, left, right = taps[offset], offset * channels, (size - 1 - offset) * channels
        for k in range(len(mean)):
            mean[k] += tap * (row[k + left] + row[k + right])


@_compiled
def _similarities(means: np.ndarray, correction: float, c1: float, c2: float, values: np.ndarray) -> None:
    """SSIM from the means of x, y, x² + y², x y in every window."""
    for k in range(len(values)):
        mean_x, mean_y = means[0, k], means[1, k]
        squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
        variances, covariance = correction * (means[2, k] - squares), correction * (means[3, k] - product)
        values[k] = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


@_compiled
def _mean_of_channels(values: np.ndarray, channels: int, mean: np.ndarray) -> None:
    for k in range(len(mean)):
        total = 0.0
        for channel in range(channels):
            total += values[k * channels + channel]
        mean[k] = total / channels
