"""Names for the 468 points of the face mesh: key points, rings, regions, and the opening of the mouth.

The mesh is that of the landmark network (`face.assets`). "Right" and "left" are the person's own; in a picture of
someone who faces the camera the right eye lies at smaller x. Rings are closed: the last point joins the first.
"""

from typing import TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)

COUNT = 468

# Mesh points nearest to the 68 points that dlib's predictor names, in its order (0-based).
_JAW = (127, 234, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 454, 356)  # 0-16, right ear to left
_RIGHT_BROW_68 = (70, 63, 105, 66, 107)  # 17-21
_LEFT_BROW_68 = (336, 296, 334, 293, 300)  # 22-26
_NOSE = (6, 197, 5, 4, 98, 97, 2, 326, 327)  # 27-30 bridge to tip, 31-35 under the nostrils
_RIGHT_EYE_68 = (33, 160, 158, 133, 153, 144)  # 36-41
_LEFT_EYE_68 = (362, 385, 387, 263, 373, 380)  # 42-47
_OUTER_LIPS_68 = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91)  # 48-59
_INNER_LIPS_68 = (78, 81, 13, 311, 308, 402, 14, 178)  # 60-67
KEY_POINTS_68 = (
    _JAW + _RIGHT_BROW_68 + _LEFT_BROW_68 + _NOSE + _RIGHT_EYE_68 + _LEFT_EYE_68 + _OUTER_LIPS_68 + _INNER_LIPS_68
)
# Places within the 68, which every face model has:
MOUTH_68 = slice(48, 68)  # the 20 mouth points, on which LMD is measured
EYES_68 = slice(36, 48)
INNER_MOUTH_68 = slice(60, 68)
INNER_LIP_68 = (62, 66)  # midpoints of the upper and the lower inner lip
INNER_LIP_CORNERS_68 = (60, 64)  # right, left
OUTER_EYES_68 = (36, 45)  # outer corners of the right and the left eye

INNER_LIP = (13, 14)  # midpoints of the upper and the lower inner lip
OUTER_EYES = (33, 263)  # outer corners of the right and the left eye
RIGHT_EYE_CORNERS = (33, 133)  # outer, inner
LEFT_EYE_CORNERS = (263, 362)  # outer, inner
NOSE_TIP = 4
MOUTH_CORNERS = (61, 291)  # right, left
CHIN = 152

# The five boundary loops of the mesh. Each runs clockwise in a picture of a frontal face.
OUTLINE = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)

# Further rings and regions.
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIPS = OUTER_LIPS + INNER_LIPS  # the mouth as far as losses and measures of the lips go
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (336, 296, 334, 293, 300, 276, 283, 282, 295, 285)


def mouth_opening(landmarks: Array) -> Array:
    """Measure how far the lips are apart, in units of the distance of the outer eye corners.

    Distances in three dimensions do not change with the position, the rotation and the size of the face, so the pose
    needs no removing.

    Args:
        landmarks: (..., 468, 3) points of the mesh, any unit.

    Returns:
        (...) distance of the inner-lip midpoints over the distance of the outer eye corners.
    """
    return _distance(landmarks, *INNER_LIP) / _distance(landmarks, *OUTER_EYES)


def five_points(landmarks: Array) -> Array:
    """Give the five points that face crops are aligned by (ArcFace, Deep3D).

    Args:
        landmarks: (..., 468, D) points of the mesh.

    Returns:
        (..., 5, D): centre of the right eye, centre of the left eye (midpoints of their corners), nose tip, right and
        left mouth corner; in a picture of a frontal face: left eye first.
    """
    ends = landmarks[..., [33, 362, NOSE_TIP, 61, 291], :]
    return (ends + landmarks[..., [133, 263, NOSE_TIP, 61, 291], :]) / 2


def _distance(landmarks: Array, first: int, second: int) -> Array:
    squares = (landmarks[..., first, :] - landmarks[..., second, :]) ** 2
    return squares.sum(-1) ** 0.5
