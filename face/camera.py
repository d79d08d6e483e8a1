"""The one camera of every face model: Deep3D's perspective camera, scaled with the image.

Face space is in decimetres, x to the right of the image, y up, z toward the camera, which stands at z = 10 and
looks at the origin. Everything works on numpy arrays and torch tensors alike.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

Array = TypeVar("Array", np.ndarray, torch.Tensor)

CAMERA_DISTANCE = 10.0  # decimetres, Deep3D (facts 4.3)
_REFERENCE_FOCAL, _REFERENCE_SIZE = 1015.0, 224  # Deep3D: 12.59 degrees of view


def _namespace(array: Any) -> Any:
    """The module of the array; numpy and torch share the few functions used here."""
    return torch if isinstance(array, torch.Tensor) else np


def rotation_matrix(angles: Array) -> Array:
    """Rotation of row vectors, R = (Rz Ry Rx)^T, so that a vertex turns as ``v @ R``.

    Args:
        angles: (..., 3) pitch, yaw, roll about x, y, z in radians.

    Returns:
        (..., 3, 3) rotation matrices. Source: Deep3D (facts 4.3).
    """
    xp: Any = _namespace(angles)
    cx, cy, cz = (xp.cos(angles[..., i]) for i in range(3))
    sx, sy, sz = (xp.sin(angles[..., i]) for i in range(3))
    # The product written out, transposed: three matrix products per frame would cost more than all of it.
    rows = [
        xp.stack([cz * cy, sz * cy, -sy], -1),
        xp.stack([cz * sy * sx - sz * cx, sz * sy * sx + cz * cx, cy * sx], -1),
        xp.stack([cz * sy * cx + sz * sx, sz * sy * cx - cz * sx, cy * cx], -1),
    ]
    return xp.stack(rows, -2)


def pose_vertices(vertices: Array, angles: Array, translation: Array) -> Array:
    """Place a face before the camera: ``vertices @ R + t``.

    Args:
        vertices: (..., V, 3) model space, decimetres.
        angles: (..., 3) pitch, yaw, roll in radians.
        translation: (..., 3) decimetres.

    Returns:
        (..., V, 3) posed vertices, decimetres.
    """
    return vertices @ rotation_matrix(angles) + translation[..., None, :]


@dataclass(frozen=True)
class Camera:
    """Deep3D's pinhole camera for a square image; no near or far clipping.

    Attributes:
        size: Side of the image in pixels.
    """

    size: int = 256

    @property
    def focal(self) -> float:
        """Focal length in pixels: 1015 at 224 px, 1160 at 256 px."""
        return _REFERENCE_FOCAL * self.size / _REFERENCE_SIZE

    @property
    def centre(self) -> float:
        """Principal point in pixels, the same for x and y."""
        return self.size / 2

    def project(self, posed: Array) -> Array:
        """Project posed vertices to continuous pixel coordinates (x right, y down, pixel centres at .5).

        Args:
            posed: (..., V, 3) posed vertices, decimetres.

        Returns:
            (..., V, 3) x in pixels, y in pixels, depth in decimetres from the camera plane (10 - z).
        """
        xp: Any = _namespace(posed)
        depth = CAMERA_DISTANCE - posed[..., 2]
        scale = self.focal / depth
        return xp.stack([posed[..., 0] * scale + self.centre, self.centre - posed[..., 1] * scale, depth], -1)
