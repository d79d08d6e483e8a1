"""SSIM of bytes on a processor: loops over rows of interleaved channels, compiled by numba.

Rows stay in the cache from one window to the next, and a row of all channels is one long vector. The sums over a window
are written out: a loop over its 7 or 11 places inside would take three times as long, as it would not be vectorised.
"""

import numba
import numpy as np

_UNIFORM, _GAUSSIAN = 7, 11  # places of the two windows, as in evaluation.ssim

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def uniform_similarity(
    x: np.ndarray, y: np.ndarray, channels: int, c1: float, c2: float, similarity: np.ndarray
) -> None:
    """Fills SSIM with a uniform window of 7 x 7 and sample moments; all sums are whole numbers, so exact.

    Args:
        x: (H, C W) uint8, channels of a pixel side by side.
        y: the same.
        channels: C.
        c1: (K1 255)².
        c2: (K2 255)².
        similarity: (H - 6, W - 6) float64, the mean over channels.
    """
    length = x.shape[1] - (_UNIFORM - 1) * channels
    columns = np.zeros((4, x.shape[1]), np.int32)
    means, values = np.empty((4, length)), np.empty(length)
    positions = _UNIFORM**2
    for row in range(x.shape[0]):
        _add_products(x[row], y[row], 1, columns)
        if row >= _UNIFORM:
            _add_products(x[row - _UNIFORM], y[row - _UNIFORM], -1, columns)
        if row < _UNIFORM - 1:
            continue
        for moment in range(4):
            _sum_seven(columns[moment], channels, 1.0 / positions, means[moment])
        _similarities(means, positions / (positions - 1.0), c1, c2, values)
        _mean_of_channels(values, channels, similarity[row - _UNIFORM + 1])


@_compiled
def gaussian_similarity(
    x: np.ndarray, y: np.ndarray, channels: int, taps: np.ndarray, c1: float, c2: float, similarity: np.ndarray
) -> None:
    """Fills SSIM with a separable window of 11 x 11 weights that sum to 1, and population moments.

    Args:
        x: (H, C W) uint8, channels of a pixel side by side.
        y: the same.
        channels: C.
        taps: (11,) float64, symmetric.
        c1: (K1 255)².
        c2: (K2 255)².
        similarity: (H - 10, W - 10) float64, the mean over channels.
    """
    row_length, n = x.shape[1], channels
    length = row_length - (_GAUSSIAN - 1) * n
    columns, means, values = np.empty((4, row_length)), np.empty((4, length)), np.empty(length)
    products = np.empty((_GAUSSIAN, 4 * row_length))  # of the last rows, in turn
    for row in range(x.shape[0]):
        _put_products(x[row], y[row], products[row % _GAUSSIAN].reshape(4, row_length))
        if row < _GAUSSIAN - 1:
            continue
        p, top = products, row + 1  # as many rows above, modulo their number
        _weigh_eleven(
            *(p[top % 11], p[(top + 1) % 11], p[(top + 2) % 11], p[(top + 3) % 11], p[(top + 4) % 11]),
            *(p[(top + 5) % 11], p[(top + 6) % 11], p[(top + 7) % 11], p[(top + 8) % 11], p[(top + 9) % 11]),
            p[(top + 10) % 11],
            taps,
            columns.reshape(-1),
        )
        for moment in range(4):
            c = columns[moment]
            _weigh_eleven(
                *(c, c[n:], c[2 * n :], c[3 * n :], c[4 * n :], c[5 * n :], c[6 * n :], c[7 * n :], c[8 * n :]),
                *(c[9 * n :], c[10 * n :]),
                taps,
                means[moment],
            )
        _similarities(means, 1.0, c1, c2, values)
        _mean_of_channels(values, channels, similarity[row - _GAUSSIAN + 1])


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
def _put_products(x: np.ndarray, y: np.ndarray, products: np.ndarray) -> None:
    """Fills (4, C W) with x, y, x² + y², x y of a row."""
    for k in range(len(x)):
        a, b = np.float64(x[k]), np.float64(y[k])
        products[0, k] = a
        products[1, k] = b
        products[2, k] = a * a + b * b
        products[3, k] = a * b


@_compiled
def _sum_seven(row: np.ndarray, channels: int, scale: float, mean: np.ndarray) -> None:
    """Scaled sums of seven neighbouring pixels of a row."""
    one, two, three = row[channels:], row[2 * channels :], row[3 * channels :]
    four, five, six = row[4 * channels :], row[5 * channels :], row[6 * channels :]
    for k in range(len(mean)):
        mean[k] = scale * (row[k] + one[k] + two[k] + three[k] + four[k] + five[k] + six[k])


@_compiled
def _weigh_eleven(
    r0: np.ndarray,
    r1: np.ndarray,
    r2: np.ndarray,
    r3: np.ndarray,
    r4: np.ndarray,
    r5: np.ndarray,
    r6: np.ndarray,
    r7: np.ndarray,
    r8: np.ndarray,
    r9: np.ndarray,
    r10: np.ndarray,
    taps: np.ndarray,
    total: np.ndarray,
) -> None:
    """The weighted sum of eleven rows; equal weights on both sides of the middle are multiplied once."""
    t0, t1, t2, t3, t4, t5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for k in range(len(total)):
        outer = t0 * (r0[k] + r10[k]) + t1 * (r1[k] + r9[k]) + t2 * (r2[k] + r8[k])
        total[k] = t5 * r5[k] + t4 * (r4[k] + r6[k]) + t3 * (r3[k] + r7[k]) + outer


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
