"""Gauss-Newton for landmarks under the perspective camera: pose and linear coefficients of many frames at once."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from face.camera import CAMERA_DISTANCE, Camera

_CHUNK = 64  # frames linearised at once: bounds the memory to about 50 MB and stays in the cache
_STEPS = 5  # at most; two or three suffice from the similarity
_SETTLED = 1e-4  # radians and decimetres, a tenth of what one pixel of noise does to the pose
_DEPTH_WEIGHT = 0.3  # ours: weight of the network's depth, which is an opinion, against x and y, which are seen


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

    def angles(self) -> np.ndarray:
        """(T, 3) pitch, yaw, roll in radians, the inverse of `face.camera.rotation_matrix`."""
        turn = self.rotation
        pitch = np.arctan2(turn[:, 1, 2], turn[:, 2, 2])
        yaw = np.arcsin(np.clip(-turn[:, 0, 2], -1, 1))
        return np.stack([pitch, yaw, np.arctan2(turn[:, 0, 1], turn[:, 0, 0])], -1)


@dataclass(frozen=True)
class LandmarkFit:
    """The least-squares problem: weighted landmarks under one camera.

    Attributes:
        points: (T, N, 3) landmarks in pixels, y down, z relative depth in the unit of x, smaller = nearer.
        camera: The camera of the pictures.
    """

    points: np.ndarray
    camera: Camera

    def __getitem__(self, frames: slice | np.ndarray) -> "LandmarkFit":
        return LandmarkFit(self.points[frames], self.camera)

    def similarity_pose(self, shape: np.ndarray) -> Pose:
        """Pose from the similarity between a shape and the landmarks in three dimensions (Umeyama 1991).

        Args:
            shape: (N, 3) or (T, N, 3) decimetres.
        """
        target = self.points * [1.0, -1.0, -1.0]
        shape_centre, target_centre = shape.mean(-2, keepdims=True), target.mean(1, keepdims=True)
        a, b = shape - shape_centre, target - target_centre
        left, strength, right = np.linalg.svd(a.swapaxes(-1, -2) @ b)
        sign = np.ones((len(target), 3))
        sign[:, 2] = np.sign(np.linalg.det(left @ right))  # no mirror images
        rotation = (left * sign[:, None]) @ right
        scale = (strength * sign).sum(-1) / (a**2).sum((-1, -2))  # pixels per decimetre
        depth = self.camera.focal / scale
        offset = target_centre[:, 0, :2] - [self.camera.centre, -self.camera.centre]
        centre = np.concatenate([offset / scale[:, None], (CAMERA_DISTANCE - depth)[:, None]], 1)
        return Pose(rotation, centre - (shape_centre @ rotation)[:, 0])

    def residual(self, shape: np.ndarray, pose: Pose) -> np.ndarray:
        """(T, N, 3) landmarks less projection in pixels, depth weighted and relative to the mean of the face."""
        posed = shape @ pose.rotation + pose.translation[:, None]
        projected = self.camera.project(posed)
        depth = projected[..., 2]
        mean = depth.mean(1, keepdims=True)
        projected[..., 2] = (depth - mean) * (self.camera.focal / mean)
        residual = self.points - projected
        residual[..., 2] -= residual[..., 2].mean(1, keepdims=True)
        residual[..., 2] *= _DEPTH_WEIGHT
        return residual

    def distances(self, shape: np.ndarray, pose: Pose) -> np.ndarray:
        """(T, N) pixels between landmarks and projection in the picture."""
        return np.linalg.norm(self.residual(shape, pose)[..., :2], axis=-1)

    def derivative(self, shape: np.ndarray, pose: Pose) -> np.ndarray:
        """(T, N, 3, 3) change of the (weighted) projection with a movement of the posed vertices."""
        posed = shape @ pose.rotation + pose.translation[:, None]
        depth = CAMERA_DISTANCE - posed[..., 2]
        scale = self.camera.focal / depth
        slope = np.zeros((*depth.shape, 3, 3))
        slope[..., 0, 0], slope[..., 0, 2] = scale, scale * posed[..., 0] / depth
        slope[..., 1, 1], slope[..., 1, 2] = -scale, -scale * posed[..., 1] / depth
        slope[..., 2, 2] = -_DEPTH_WEIGHT * self.camera.focal / depth.mean(1, keepdims=True)
        return slope

    def normal_equations(
        self, shape: np.ndarray, pose: Pose, basis: np.ndarray, with_pose: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Linearise about a shape and a pose.

        Args:
            shape: (T, N, 3) decimetres.
            pose: Of T frames.
            basis: (K, N, 3) directions in which the shape may move.
            with_pose: Put three rotations and three shifts before the K coefficients.

        Returns:
            Matrices (T, P, P) and right-hand sides (T, P), P = K or K + 6.
        """
        slope = self.derivative(shape, pose)
        in_model = (slope @ pose.rotation.swapaxes(1, 2)[:, None]).astype(np.float32)  # (T, N, 3, 3)
        frames, count = slope.shape[:2]
        # (N, T*3, 3) @ (N, 3, K): one matrix product per landmark
        moved = in_model.transpose(1, 0, 2, 3).reshape(count, -1, 3) @ basis.transpose(1, 2, 0).astype(np.float32)
        jacobian = moved.reshape(count, frames, 3, -1).transpose(1, 0, 2, 3)
        if with_pose:
            jacobian = np.concatenate([_pose_derivative(slope, shape @ pose.rotation), jacobian], -1)
        jacobian = jacobian.copy()
        jacobian[:, :, 2] -= jacobian[:, :, 2].mean(1, keepdims=True)
        rows = jacobian.reshape(frames, count * 3, -1)
        residual = self.residual(shape, pose).reshape(frames, -1, 1).astype(np.float32)
        columns = rows.swapaxes(1, 2)
        return (columns @ rows).astype(np.float64), (columns @ residual)[..., 0].astype(np.float64)

    def solve(
        self, shape: np.ndarray, basis: np.ndarray, prior: float, pose: Pose, start: np.ndarray, with_pose: bool = True
    ) -> tuple[Pose, np.ndarray]:
        """Pose and coefficients of every frame by itself.

        Args:
            shape: (N, 3) decimetres, where all coefficients are 0.
            basis: (K, N, 3) directions in units of their standard deviations.
            prior: Pixels of deviation over all landmarks together that weigh as much as one standard deviation.
            pose: Start.
            start: (T, K) coefficients to start from.
            with_pose: False keeps the pose.

        Returns:
            The pose and the coefficients (T, K).
        """
        parts = [slice(first, first + _CHUNK) for first in range(0, len(self.points), _CHUNK)]
        solved = [self[p]._solve_part(shape, basis, prior, pose[p], start[p], with_pose) for p in parts]
        rotation = np.concatenate([part.rotation for part, _ in solved])
        translation = np.concatenate([part.translation for part, _ in solved])
        return Pose(rotation, translation), np.concatenate([coefficients for _, coefficients in solved])

    def _solve_part(
        self, shape: np.ndarray, basis: np.ndarray, prior: float, pose: Pose, coefficients: np.ndarray, with_pose: bool
    ) -> tuple[Pose, np.ndarray]:
        free = 6 if with_pose else 0
        weights = np.concatenate([np.zeros(free), np.full(len(basis), prior**2)])
        for _ in range(_STEPS):
            moved = shape + np.tensordot(coefficients, basis, 1)
            matrix, right = self.normal_equations(moved, pose, basis, with_pose)
            right[:, free:] -= prior**2 * coefficients
            step = np.linalg.solve(matrix + np.diag(weights), right[..., None])[..., 0]
            coefficients = coefficients + step[:, free:]
            if with_pose:
                turn = Rotation.from_rotvec(step[:, :3]).as_matrix().swapaxes(1, 2)
                pose = Pose(pose.rotation @ turn, pose.translation + step[:, 3:6])
            if not with_pose or np.abs(step[:, :6]).max() < _SETTLED:
                break
        return pose, coefficients


def _pose_derivative(slope: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """(T, N, 3, 6) change of the projection with rotations about x, y, z after the present one, and with shifts."""
    x, y, z = np.moveaxis(turned, -1, 0)
    nothing = np.zeros_like(x)
    axes = [[nothing, -z, y], [z, nothing, -x], [-y, x, nothing]]  # axis x vertex
    spin = np.stack([np.stack(axis, -1) for axis in axes], -1)
    return np.concatenate([slope @ spin, slope], -1).astype(np.float32)
