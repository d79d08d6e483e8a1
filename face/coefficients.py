"""The coefficient vector χ of one frame: 257 numbers, in the order all tools of Deep3D's family use.

identity α 80 · expression β 64 · texture δ 80 · angles (pitch, yaw, roll; radians) 3 · illumination γ 27 (three
colours x nine harmonics) · translation (decimetres) 3. Source: paper, 3.1; original code (R-Net output).
"""

from typing import TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)

IDENTITY = slice(0, 80)
EXPRESSION = slice(80, 144)
TEXTURE = slice(144, 224)
ANGLES = slice(224, 227)
ILLUMINATION = slice(227, 254)
TRANSLATION = slice(254, 257)
SIZE = 257

IDENTITY_SIZE = 80
EXPRESSION_SIZE = 64
TEXTURE_SIZE = 80
POSE_SIZE = 6


def get_pose(chi: Array) -> Array:
    """Take the head pose out of coefficients.

    Args:
        chi: (..., 257).

    Returns:
        (..., 6): three angles in radians, then the translation in decimetres; a copy.
    """
    if isinstance(chi, np.ndarray):
        return np.concatenate([chi[..., ANGLES], chi[..., TRANSLATION]], axis=-1)
    return torch.cat([chi[..., ANGLES], chi[..., TRANSLATION]], dim=-1)


def with_pose(chi: Array, pose: Array) -> Array:
    """Give coefficients another head pose.

    Args:
        chi: (..., 257).
        pose: (..., 6) angles and translation, broadcast over the leading dimensions of `chi`.

    Returns:
        (..., 257) a copy of `chi` with the pose replaced.
    """
    changed = chi.copy() if isinstance(chi, np.ndarray) else chi.clone()
    changed[..., ANGLES] = pose[..., :3]
    changed[..., TRANSLATION] = pose[..., 3:]
    return changed
