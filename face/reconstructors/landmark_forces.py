"""What landmarks differ by from the points of a posed face, and how that pulls at the face: loops compiled by numba."""

from typing import Any

import numba
import numpy as np

from face.camera import CAMERA_DISTANCE, Camera

DEPTH_WEIGHT = 0.3  # ours: the network's depth is a guess, x and y are seen

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


def residuals(points: np.ndarray, posed: np.ndarray, camera: Camera) -> np.ndarray:
    """Landmarks less projection in pixels, the depth weighted and relative to the mean of the face.

    Args:
        points: (T, N, 3) landmarks in pixels, y down, z depth in the unit of x up to an offset, smaller = nearer.
        posed: (T, N, 3) points of the face, decimetres.
        camera: The camera of the pictures.

    Returns:
        (T, N, 3).
    """
    found = np.empty_like(posed)
    kernel: Any = _residuals  # compiled for these types, of which the checker knows nothing
    kernel(points, posed, camera.focal, camera.centre, found)
    return found


def forces(
    points: np.ndarray, shapes: np.ndarray, rotation: np.ndarray, translation: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of half the squared residuals, downhill; the mean depth has no force of its own.

    Args:
        points: (T, N, 3) as of `residuals`.
        shapes: (T, N, 3) points of the face before the pose, decimetres.
        rotation: (T, 3, 3), a point turns as v @ R.
        translation: (T, 3) decimetres.
        camera: The camera of the pictures.

    Returns:
        (T, N, 3) with respect to the points before the pose, and (T, 6) with respect to turns about the camera's axes
        and to shifts.
    """
    pull, motion = np.empty_like(shapes), np.zeros((len(shapes), 6))
    kernel: Any = _forces  # likewise
    kernel(points, shapes, rotation, translation, camera.focal, camera.centre, pull, motion)
    return pull, motion


@_compiled
def _residuals(points: np.ndarray, posed: np.ndarray, focal: float, centre: float, found: np.ndarray) -> None:
    for frame in range(len(posed)):
        _residual(points[frame], posed[frame], focal, centre, found[frame])


@_compiled
def _residual(points: np.ndarray, posed: np.ndarray, focal: float, centre: float, found: np.ndarray) -> float:
    """Fills `found` (N, 3) of one frame; returns the pixels per decimetre at the mean depth."""
    count = len(posed)
    mean = CAMERA_DISTANCE - posed[:, 2].sum() / count
    offset = 0.0
    for k in range(count):
        depth = CAMERA_DISTANCE - posed[k, 2]
        scale = focal / depth
        found[k, 0] = points[k, 0] - (centre + posed[k, 0] * scale)
        found[k, 1] = points[k, 1] - (centre - posed[k, 1] * scale)
        found[k, 2] = points[k, 2] - (depth - mean) * (focal / mean)
        offset += found[k, 2] / count
    for k in range(count):
        found[k, 2] = (found[k, 2] - offset) * DEPTH_WEIGHT
    return focal / mean


@_compiled
def _forces(
    points: np.ndarray,
    shapes: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    focal: float,
    centre: float,
    pull: np.ndarray,
    motion: np.ndarray,
) -> None:
    """Fills `pull` (T, N, 3) and adds to `motion` (T, 6)."""
    posed, rest = np.empty(shapes.shape[1:]), np.empty(shapes.shape[1:])
    for frame in range(len(shapes)):
        r, t = rotation[frame], translation[frame]
        for k in range(len(posed)):
            x, y, z = shapes[frame, k, 0], shapes[frame, k, 1], shapes[frame, k, 2]
            for axis in range(3):
                posed[k, axis] = x * r[0, axis] + y * r[1, axis] + z * r[2, axis] + t[axis]
        mean_scale = _residual(points[frame], posed, focal, centre, rest)
        for k in range(len(posed)):
            depth = CAMERA_DISTANCE - posed[k, 2]
            right, up = focal / depth * rest[k, 0], -focal / depth * rest[k, 1]
            near = (posed[k, 0] * right + posed[k, 1] * up) / depth - DEPTH_WEIGHT * mean_scale * rest[k, 2]
            x, y, z = posed[k, 0] - t[0], posed[k, 1] - t[1], posed[k, 2] - t[2]
            motion[frame, 0] += y * near - z * up
            motion[frame, 1] += z * right - x * near
            motion[frame, 2] += x * up - y * right
            motion[frame, 3] += right
            motion[frame, 4] += up
            motion[frame, 5] += near
            for axis in range(3):
                pull[frame, k, axis] = right * r[axis, 0] + up * r[axis, 1] + near * r[axis, 2]
