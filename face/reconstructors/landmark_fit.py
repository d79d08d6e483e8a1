"""Least squares of landmarks under the perspective camera: pose and linear coefficients of many frames at once.

A Gauss-Newton iteration with the exact gradient. In the normal matrix the part of the coefficients is that of a weak
perspective, for which it is a combination of matrices that do not depend on the frame; as the depth of a face varies
by 5 % this costs two or three more steps and saves nine tenths of the work of each. The matrix of a frame's start
serves all its steps. The gradient is computed in double precision, the matrix in single: an iteration that has settled
stands where the gradient is 0, whatever the matrix.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from face.camera import CAMERA_DISTANCE, Camera
from face.reconstructors.landmark_forces import DEPTH_WEIGHT, forces, residuals
from media.threads import one_thread

_CHUNK = 32  # frames solved at once: their matrices stay in the cache
MOST_STEPS = 10  # in practice four to six
# Ours: a frame is done after a step below so many standard deviations, radians, decimetres. What then lacks [607 frames
# of one person]: 0.003 deviations of identity on average, 0.04 at most, where frames differ by 0.19; 0.003 of
# expression, 0.05 at most; 0.014 degrees at most.
_SETTLED = 0.1


@dataclass(frozen=True)
class Pose:
    """Where T faces stand.

    Attributes:
        rotation: (T, 3, 3), a vertex turns as v @ R.
        translation: (T, 3) decimetres.
    """

    rotation: np.ndarray
    translation: np.ndarray

    def __getitem__(self, frames: slice | np.ndarray) -> "Pose":
        return Pose(self.rotation[frames], self.translation[frames])

    def copy(self) -> "Pose":
        """One that may be changed."""
        return Pose(self.rotation.copy(), self.translation.copy())

    def angles(self) -> np.ndarray:
        """(T, 3) pitch, yaw, roll in radians, the inverse of `face.camera.rotation_matrix`."""
        turn = self.rotation
        pitch = np.arctan2(turn[:, 1, 2], turn[:, 2, 2])
        yaw = np.arcsin(np.clip(-turn[:, 0, 2], -1, 1))
        return np.stack([pitch, yaw, np.arctan2(turn[:, 0, 1], turn[:, 0, 0])], -1)

    def turned_by(self, vectors: np.ndarray) -> np.ndarray:
        """(T, 3, 3) rotations followed by turns about axes (T, 3) of the camera, as long as the angles."""
        return self.rotation @ Rotation.from_rotvec(vectors).as_matrix().swapaxes(1, 2)


@dataclass(frozen=True)
class LinearShape:
    """Shapes of N points that depend linearly on K coefficients with a normal prior.

    Attributes:
        centre: (N, 3) decimetres, the shape where all coefficients are 0; or (T, N, 3), one for each frame.
        basis: (K, N, 3) decimetres per standard deviation.
        prior: Deviation of all landmarks together, in pixels, that weighs as much as one standard deviation.
    """

    centre: np.ndarray
    basis: np.ndarray
    prior: float

    def at(self, coefficients: np.ndarray) -> np.ndarray:
        """(T, N, 3) shapes of coefficients (T, K)."""
        return self.centre + (coefficients @ self._flat).reshape(-1, *self.basis.shape[1:])

    @cached_property
    def _flat(self) -> np.ndarray:
        return self.basis.reshape(len(self.basis), -1)

    @cached_property
    def _flat_single(self) -> np.ndarray:
        return self._flat.astype(np.float32)

    @cached_property
    def _products(self) -> np.ndarray:
        """float32 (9, K, K) sums over the points of the products of every two coordinates."""
        products = np.einsum("kni,lnj->ijkl", self.basis, self.basis, optimize=True)
        return products.reshape(9, *[len(self.basis)] * 2).astype(np.float32)

    def project(self, forces: np.ndarray) -> np.ndarray:
        """(T, ..., K) sums over the points of the basis times vectors (T, ..., N, 3), in the vectors' precision."""
        basis = self._flat_single if forces.dtype == np.float32 else self._flat
        return forces.reshape(*forces.shape[:-2], -1) @ basis.T

    def normal_matrix(self, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """float32 (T, K, K) under a weak perspective of `scale` (T,) pixels per decimetre, with the prior."""
        weights = scale[:, None] * [1.0, 1.0, DEPTH_WEIGHT]
        stretched = (rotation * weights[:, None]).astype(np.float32)
        quadratic = stretched @ stretched.swapaxes(1, 2)
        matrix = (quadratic.reshape(-1, 9) @ self._products.reshape(9, -1)).reshape(-1, *self._products.shape[1:])
        # Depth counts relative to the mean of the face.
        depth = stretched[:, :, 2] @ (self.basis.sum(1).T / math.sqrt(self.basis.shape[1])).astype(np.float32)
        matrix -= depth[:, :, None] * depth[:, None]
        matrix[:, range(len(self.basis)), range(len(self.basis))] += np.float32(self.prior**2)
        return matrix


@dataclass(frozen=True)
class LandmarkFit:
    """Landmarks to be explained under a camera.

    Attributes:
        points: (T, N, 3) landmarks in pixels, y down, z depth in the unit of x up to an offset, smaller = nearer.
        camera: The camera of the pictures.
    """

    points: np.ndarray
    camera: Camera

    def similarity_pose(self, shape: np.ndarray) -> Pose:
        """Pose from the similarity between a shape (N, 3) and the landmarks in three dimensions (Umeyama 1991)."""
        target = self.points * [1.0, -1.0, -1.0]
        shape_centre, target_centre = shape.mean(0), target.mean(1)
        a, b = shape - shape_centre, target - target_centre[:, None]
        left, strength, right = np.linalg.svd(a.T @ b)
        sign = np.ones((len(target), 3))
        sign[:, 2] = np.sign(np.linalg.det(left @ right))  # no mirror images
        rotation = (left * sign[:, None]) @ right
        scale = (strength * sign).sum(-1) / (a**2).sum()  # pixels per decimetre
        offset = target_centre[:, :2] - [self.camera.centre, -self.camera.centre]
        depth = CAMERA_DISTANCE - self.camera.focal / scale
        centre = np.concatenate([offset / scale[:, None], depth[:, None]], 1)
        return Pose(rotation, centre - shape_centre @ rotation)

    def distances(self, shape: np.ndarray, pose: Pose) -> np.ndarray:
        """(T, N) pixels between landmarks and projection in the picture."""
        return np.linalg.norm(residuals(self.points, _place(shape, pose), self.camera)[..., :2], axis=-1)

    def linearize(self, shapes: LinearShape, coefficients: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Normal equations for the coefficients with the pose as it is.

        Returns:
            Matrices float32 (T, K, K) and right-hand sides float64 (T, K), the prior included.
        """
        scale = self._scale(_place(shapes.at(coefficients), pose))
        return shapes.normal_matrix(pose.rotation, scale), self._gradient(shapes, coefficients, pose)[:, 6:]

    @one_thread()  # torch counts its threads by the thread that calls it; the bytes must not depend on the cores
    def solve(
        self, shapes: LinearShape, pose: Pose, coefficients: np.ndarray, steps: int = MOST_STEPS
    ) -> tuple[Pose, np.ndarray]:
        """Pose and coefficients of every frame by itself.

        Args:
            shapes: What the coefficients mean.
            pose: Start of T frames.
            coefficients: (T, K) start.
            steps: At most so many.

        Returns:
            The pose and the coefficients (T, K).
        """
        found, solved = pose.copy(), coefficients.copy()
        for first in range(0, len(self.points), _CHUNK):
            left = np.arange(first, min(first + _CHUNK, len(self.points)))
            factor = torch.linalg.cholesky(torch.from_numpy(self._matrix(shapes, found[left], solved[left])))
            for _ in range(steps):
                fit, start = LandmarkFit(self.points[left], self.camera), found[left]
                step = _solved(factor, fit._gradient(shapes, solved[left], start))
                found.rotation[left] = start.turned_by(step[:, :3])
                found.translation[left] += step[:, 3:6]
                solved[left] += step[:, 6:]
                going = np.abs(step).max(1) >= _SETTLED  # each by itself: what a frame gives depends on no other
                if not going.any():
                    break
                if not going.all():  # the matrices are large
                    left, factor = left[going], factor[torch.from_numpy(going)]
        return found, solved

    def _gradient(self, shapes: LinearShape, coefficients: np.ndarray, pose: Pose) -> np.ndarray:
        """(T, 6 + K) of half the squares with respect to turn, shift and coefficients, downhill."""
        pull, motion = forces(self.points, shapes.at(coefficients), pose.rotation, pose.translation, self.camera)
        return np.concatenate([motion, shapes.project(pull) - shapes.prior**2 * coefficients], 1)

    def _matrix(self, shapes: LinearShape, pose: Pose, coefficients: np.ndarray) -> np.ndarray:
        """float32 (T, 6 + K, 6 + K) normal matrices of turn, shift and coefficients, positive definite."""
        turned = shapes.at(coefficients) @ pose.rotation
        posed = turned + pose.translation[:, None]
        scale = self._scale(posed)
        motion = _motion(self._slope(posed), turned)  # (T, N, 3, 6)
        motion[:, :, 2] -= motion[:, :, 2].mean(1, keepdims=True)
        motion = motion.astype(np.float32)
        weak = pose.rotation * (scale[:, None] * [1.0, -1.0, -DEPTH_WEIGHT])[:, None]
        rows = motion.reshape(len(motion), -1, 6)
        # The movement of each landmark in the picture, seen from the model: (T, 6, N, 3).
        mixed = shapes.project(motion.transpose(0, 3, 1, 2) @ weak.swapaxes(1, 2)[:, None].astype(np.float32))
        joint = np.empty((len(motion), 6 + len(shapes.basis), 6 + len(shapes.basis)), np.float32)
        joint[:, :6, :6], joint[:, 6:, 6:] = rows.swapaxes(1, 2) @ rows, shapes.normal_matrix(pose.rotation, scale)
        joint[:, :6, 6:], joint[:, 6:, :6] = mixed, mixed.swapaxes(1, 2)
        return joint

    def _scale(self, posed: np.ndarray) -> np.ndarray:
        """(T,) pixels per decimetre at the mean depth."""
        return self.camera.focal / (CAMERA_DISTANCE - posed[..., 2].mean(1))

    def _slope(self, posed: np.ndarray) -> np.ndarray:
        """(T, N, 3, 3) change of the weighted projection with a movement of the posed points."""
        depth = CAMERA_DISTANCE - posed[..., 2]
        scale = self.camera.focal / depth
        slope = np.zeros((*depth.shape, 3, 3))
        slope[..., 0, 0], slope[..., 0, 2] = scale, scale * posed[..., 0] / depth
        slope[..., 1, 1], slope[..., 1, 2] = -scale, -scale * posed[..., 1] / depth
        slope[..., 2, 2] = -DEPTH_WEIGHT * self._scale(posed)[:, None]
        return slope


def _solved(factor: torch.Tensor, right: np.ndarray) -> np.ndarray:
    """(T, K) solutions in single precision, from the Cholesky factors (T, K, K) of the matrices."""
    return torch.cholesky_solve(torch.from_numpy(right[..., None].astype(np.float32)), factor)[..., 0].numpy()


def _place(shape: np.ndarray, pose: Pose) -> np.ndarray:
    return shape @ pose.rotation + pose.translation[:, None]


def _motion(slope: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """(T, N, 3, 6) change of the projection with turns about the camera's axes, and with shifts."""
    motion = np.empty((*slope.shape[:-1], 6))
    x, y, z = np.moveaxis(turned[..., None, :], -1, 0)
    motion[..., 0] = slope[..., 2] * y - slope[..., 1] * z  # the cross product of each axis with the point
    motion[..., 1] = slope[..., 0] * z - slope[..., 2] * x
    motion[..., 2] = slope[..., 1] * x - slope[..., 0] * y
    motion[..., 3:] = slope
    return motion
