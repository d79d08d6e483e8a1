"""The loops between 4:2:0 pictures and RGB, compiled by numba: those of FFmpeg in a third of the time.

What they compute is what FFmpeg's scaler does when asked for full accuracy (chroma in the middle of its four pixels,
bicubic on the way up); written here as float32 over whole rows, many pixels per instruction.
"""

import av
import numba
import numpy as np

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")

# FFmpeg's bicubic (B = 0, C = 0.6) a quarter of a chroma pixel from its centre: itself, the neighbour on that side,
# the one on the other side, the second neighbour on that side.
_WEIGHTS = (0.871875, 0.240625, -0.084375, -0.028125)


def luma_weights(bt709: bool) -> tuple[float, float]:
    """Share of red and of blue in the brightness, of BT.709 or else of BT.601."""
    return (0.2126, 0.0722) if bt709 else (0.299, 0.114)


def planes_of(picture: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luma, blue and red of a 4:2:0 picture as uint8 arrays on its own memory; their rows may be longer than it."""
    luma, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size) for plane in picture.planes
    )
    return luma, blue, red


@_compiled
def rgb_from_420(
    luma: np.ndarray, blue: np.ndarray, red: np.ndarray, shares: tuple[float, float], rgb: np.ndarray
) -> None:
    """Fills `rgb` from the planes of a picture in limited range.

    Args:
        luma: (H, W or more) uint8.
        blue: (H / 2, W / 2 or more) uint8, the difference of blue and luma.
        red: (H / 2, W / 2 or more) uint8, likewise.
        shares: Of `luma_weights`.
        rgb: (H, 3 W) uint8, red, green and blue of each pixel in turn; H and W even.
    """
    height, width = rgb.shape[0], rgb.shape[1] // 3
    half_height, half = height // 2, width // 2
    a, b, c, d = np.float32(_WEIGHTS[0]), np.float32(_WEIGHTS[1]), np.float32(_WEIGHTS[2]), np.float32(_WEIGHTS[3])
    share_red, share_blue = shares
    share_green = 1 - share_red - share_blue
    light, chroma = np.float32(255 / 219), 255 / 224
    red_from, blue_from = np.float32(2 * (1 - share_red) * chroma), np.float32(2 * (1 - share_blue) * chroma)
    green_red = np.float32(-2 * (1 - share_red) * chroma * share_red / share_green)
    green_blue = np.float32(-2 * (1 - share_blue) * chroma * share_blue / share_green)
    low, high, round_up = np.float32(0), np.float32(255), np.float32(0.5)
    narrow, wide = np.empty((2, half + 4), np.float32), np.empty((2, width), np.float32)
    for row in range(height):
        own = row >> 1
        side = 1 if row & 1 else -1
        near, far = min(max(own + side, 0), half_height - 1), min(max(own - side, 0), half_height - 1)
        second = min(max(own + 2 * side, 0), half_height - 1)
        for plane in range(2):
            source = blue if plane == 0 else red
            line, long = narrow[plane], wide[plane]
            s0, s1, s2, s3 = source[own], source[near], source[far], source[second]
            for k in range(half):
                line[k + 2] = (
                    a * np.float32(s0[k]) + b * np.float32(s1[k]) + c * np.float32(s2[k]) + d * np.float32(s3[k])
                ) - np.float32(128)
            line[0] = line[1] = line[2]
            line[half + 2] = line[half + 3] = line[half + 1]
            for k in range(half):
                long[2 * k] = a * line[k + 2] + b * line[k + 1] + c * line[k + 3] + d * line[k]
                long[2 * k + 1] = a * line[k + 2] + b * line[k + 3] + c * line[k + 1] + d * line[k + 4]
        bright, u, v, pixels = luma[row], wide[0], wide[1], rgb[row]
        for k in range(width):
            y = (np.float32(bright[k]) - np.float32(16)) * light + round_up
            pixels[3 * k] = np.uint8(np.int32(min(max(y + red_from * v[k], low), high)))
            pixels[3 * k + 1] = np.uint8(np.int32(min(max(y + green_red * v[k] + green_blue * u[k], low), high)))
            pixels[3 * k + 2] = np.uint8(np.int32(min(max(y + blue_from * u[k], low), high)))


@_compiled
def rgb_to_420(
    rgb: np.ndarray, shares: tuple[float, float], luma: np.ndarray, blue: np.ndarray, red: np.ndarray
) -> None:
    """Fills the planes of a picture in limited range; the chroma of four pixels is that of their mean.

    Args:
        rgb: (H, 3 W) uint8, red, green and blue of each pixel in turn; H and W even.
        shares: Of `luma_weights`.
        luma: (H, W or more) uint8.
        blue: (H / 2, W / 2 or more) uint8.
        red: (H / 2, W / 2 or more) uint8.
    """
    height, width = rgb.shape[0], rgb.shape[1] // 3
    share_red, share_blue = shares
    scale = 219 / 255
    r, g, b = (
        np.float32(scale * share_red),
        np.float32(scale * (1 - share_red - share_blue)),
        np.float32(scale * share_blue),
    )
    # Chroma is the difference to luma, of sums over four pixels here.
    to_blue = np.float32(224 / 219 / (2 * (1 - share_blue)) / 4)
    to_red = np.float32(224 / 219 / (2 * (1 - share_red)) / 4)
    full, middle, black = np.float32(scale), np.float32(128.5), np.float32(16.5)
    sums = np.empty((3, width), np.float32)
    for row in range(0, height, 2):
        for below in range(2):
            pixels, bright = rgb[row + below], luma[row + below]
            for k in range(width):
                pr, pg, pb = np.float32(pixels[3 * k]), np.float32(pixels[3 * k + 1]), np.float32(pixels[3 * k + 2])
                y = r * pr + g * pg + b * pb
                bright[k] = np.uint8(np.int32(y + black))
                if below == 0:
                    sums[0, k], sums[1, k], sums[2, k] = y, pb, pr
                else:
                    sums[0, k], sums[1, k], sums[2, k] = sums[0, k] + y, sums[1, k] + pb, sums[2, k] + pr
        y_sum, b_sum, r_sum = sums[0], sums[1], sums[2]
        blue_line, red_line = blue[row >> 1], red[row >> 1]
        for k in range(width // 2):
            y = y_sum[2 * k] + y_sum[2 * k + 1]
            blue_line[k] = np.uint8(np.int32((full * (b_sum[2 * k] + b_sum[2 * k + 1]) - y) * to_blue + middle))
            red_line[k] = np.uint8(np.int32((full * (r_sum[2 * k] + r_sum[2 * k + 1]) - y) * to_red + middle))
