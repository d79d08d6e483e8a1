"""The landmark network: 468 points of a face in a square picture, lips and eyes looked at a second time.

Face Mesh with attention (Grishchenko et al. 2020): a network places all points and leaves a feature map; around the
lips and both eyes, turned upright, the map is sampled again and a network of its own places their 222 points. Without
that second look the lips of a closed mouth stay apart and the lids follow a blink half way. But its points jitter
against each other, and their depth stays that of the first look. So it moves what it is for, the rims of lips and
lids, and less what lies further from them; eyes it opens and shuts, but does not move along the line of their corners.

The file joins its networks by operators of its authors' runtime. They are done here, between the parts.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np

from face.landmarks import COUNT, LEFT_EYE_CORNERS, MOUTH_CORNERS, RIGHT_EYE_CORNERS
from face.network import TfliteNetwork, parts_of

INPUT_SIZE = 192  # pixels
# Names of tensors in the file.
_PICTURE, _POINTS, _FEATURES, _LOGIT = "input_1", "output_mesh_identity", "p_re_lu_3", "conv_faceflag"
_FEATURE_SIZE = 48  # side of the feature map; one of its pixels is four of the picture
_PATCH_SIZE = 16  # side of the sampled features (the file's output_width)
_MARGIN = 1.5  # side of the sampled region / extent of the points it is for (the file's scale_x, scale_y)
# Points that each second look places, in the order of its output (the file's subset_idxs).
_MOUTH = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_RIGHT_EYE = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24),
    *(23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233),
    *(244, 113, 225, 224, 223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120),
    *(121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
_LEFT_EYE = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254),
    *(253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453),
    *(464, 342, 445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349),
    *(350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417),
)
# Ours: how much of the second look's movement its points take, in the order above: outer, inner, second and third ring
# of the lips; rim of the lids, ring around it, brows and cheeks. With all of it, twice as much of a face's movement
# would lie outside of the 64 expressions.
_MOUTH_SHARES = np.repeat([0.5, 1.0, 0.75, 1.0], 20)
_EYE_SHARES = np.repeat([1.0, 0.5, 0.0], [16, 16, 39])
# The second looks: their input and output in the file, which counts left and right in the picture, their points, two of
# those that lie level in the patch, the shares, and whether points may move along the line of those two.
_SECOND_LOOKS = (
    ("transform_tensor_bilinear_v2", "conv_lips", _MOUTH, MOUTH_CORNERS, _MOUTH_SHARES, True),
    ("transform_tensor_bilinear_v2_1", "conv_left_eye", _RIGHT_EYE, RIGHT_EYE_CORNERS, _EYE_SHARES, False),
    ("transform_tensor_bilinear_v2_2", "conv_right_eye", _LEFT_EYE, LEFT_EYE_CORNERS[::-1], _EYE_SHARES, False),
)


@dataclass(frozen=True)
class Sighting:
    """What the network sees in one picture.

    Attributes:
        points: float64 (468, 3) x, y in pixels of the picture (continuous, y down), z in the same unit, smaller =
            nearer.
        logit: Of the probability that they lie on a face.
    """

    points: np.ndarray
    logit: float


@dataclass(frozen=True)
class _SecondLook:
    """A network that places some points anew.

    Attributes:
        network: From a patch of features to the points, in quarters of a patch's pixel.
        points: Which ones, in its order.
        ends: Two points whose direction is the patch's x axis.
        shares: How much of the movement each point takes.
        along: Whether points may also move along that axis.
    """

    network: TfliteNetwork
    points: np.ndarray
    ends: tuple[int, int]
    shares: np.ndarray
    along: bool

    def correction(self, mesh: np.ndarray, features: np.ndarray) -> np.ndarray:
        """(N, 2) pixels by which the points are to be moved."""
        move = self.place(mesh, features) - mesh[self.points]
        if self.along:
            return move * self.shares[:, None]
        along = mesh[self.ends[1]] - mesh[self.ends[0]]
        across = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        return np.outer(move @ across * self.shares, across)

    def place(self, mesh: np.ndarray, features: np.ndarray) -> np.ndarray:
        """(N, 2) the points in pixels of the picture, from the whole mesh (468, 2) and the feature map."""
        step = INPUT_SIZE // _FEATURE_SIZE
        axes, corner = _region(mesh[self.points] / step, mesh[self.ends[1]] - mesh[self.ends[0]])
        (found,) = self.network(_patch(features, axes, corner)).values()
        # The network counts in pixels of the picture that a patch would have were it sampled there, four to a step.
        return found.reshape(-1, 2) @ axes + step * corner


class LandmarkNet:
    """The landmark network.

    Args:
        model: Its TFLite file (`face.assets`).
    """

    def __init__(self, model: Path) -> None:
        mesh, *looks = _parts(model)
        self._mesh = TfliteNetwork(mesh)
        self._second = [
            _SecondLook(TfliteNetwork(part), np.array(points), ends, shares, along)
            for part, (_, _, points, ends, shares, along) in zip(looks, _SECOND_LOOKS, strict=True)
        ]

    def __call__(self, picture: np.ndarray) -> Sighting:
        """Find the points of the face that fills a picture.

        Args:
            picture: float32 (192, 192, 3) in [0, 1].
        """
        seen = self._mesh(picture)
        points = seen[_POINTS].reshape(COUNT, 3).astype(np.float64)
        first = points[:, :2].copy()
        for look in self._second:
            points[look.points, :2] += look.correction(first, seen[_FEATURES])
        return Sighting(points, float(seen[_LOGIT].item()))


@lru_cache(maxsize=1)  # every tracker has this network, and cutting takes a sixth of a second
def _parts(model: Path) -> list[bytes]:
    """The first network and those of the second looks, as TFLite files."""
    cuts = [(patch, [found]) for patch, found, *_ in _SECOND_LOOKS]
    return parts_of(model.read_bytes(), [(_PICTURE, [_POINTS, _FEATURES, _LOGIT]), *cuts])


def _region(points: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rectangle around points, as axes (2, 2), one row per step in x and in y of the patch, and its corner (2,)."""
    x = across / np.linalg.norm(across)
    turn = np.array([x, [-x[1], x[0]]])
    turned = points @ turn.T
    low, high = turned.min(0), turned.max(0)
    axes = turn * ((high - low) * _MARGIN / _PATCH_SIZE)[:, None]
    return axes, (low + high) / 2 @ turn - axes.sum(0) * (_PATCH_SIZE / 2)


def _patch(features: np.ndarray, axes: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """float32 (16, 16, C) features, interpolated between pixels, whose centres the file puts at whole numbers."""
    patch = np.empty((_PATCH_SIZE, _PATCH_SIZE, features.shape[2]), np.float32)
    _interpolate(features, axes, corner, patch)
    return patch


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(features: np.ndarray, axes: np.ndarray, corner: np.ndarray, patch: np.ndarray) -> None:
    """Fills `patch`, step by step along `axes` from `corner` of the feature map on."""
    high = features.shape[0] - 1.001
    for row in range(patch.shape[0]):
        for column in range(patch.shape[1]):
            x = min(max(column * axes[0, 0] + row * axes[1, 0] + corner[0], 0.0), high)
            y = min(max(column * axes[0, 1] + row * axes[1, 1] + corner[1], 0.0), high)
            left, top = int(x), int(y)
            right, down = np.float32(x - left), np.float32(y - top)
            one = np.float32(1)
            for channel in range(patch.shape[2]):
                above = features[top, left, channel] * (one - right) + features[top, left + 1, channel] * right
                below = features[top + 1, left, channel] * (one - right) + features[top + 1, left + 1, channel] * right
                patch[row, column, channel] = above * (one - down) + below * down
