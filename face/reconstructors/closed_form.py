"""From landmarks to shape and pose in closed form: no regressor, hundreds of frames per second, smooth in time.

Landmarks correspond to vertices of the morphable face, so identity (one per video), expression and pose (per frame)
are a least-squares problem under the perspective camera. Pose and expression of a frame are solved together, the
identity from the training frames together, in turns. Unit-normal priors on the coefficients keep what the landmarks do
not determine at the mean face.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from face.camera import Camera, rotation_matrix
from face.coefficients import EXPRESSION_SIZE, IDENTITY_SIZE
from face.landmarks import COUNT, KEY_POINTS_68, OUTER_EYES, mouth_opening
from face.models.morphable_model import MorphableModel
from face.reconstructors.geometry import Geometry
from face.reconstructors.landmark_fit import LandmarkFit, LinearShape, Pose
from face.reconstructors.smoothing import parts_between_cuts, smooth, trust_by_fit

# Ours: the deviation of all landmarks together, in pixels of a 256 px crop, that weighs as much as one standard
# deviation of a coefficient. Half the value gains 1 % of mouth opening and costs half as much noise again in the weak
# coefficients; twice the value loses 2 % of mouth and 6 % of eye opening.
_EXPRESSION_PRIOR = 0.5
_IDENTITY_PRIOR = 0.5
# Ours: one frame says less; people are told apart best so (equal error rate of frames of 21 people 0.075, else 0.096).
_SINGLE_FRAME_PRIOR = 1.0
_REFERENCE_SIZE = 256  # pixels, of the crop that the priors refer to
_ROUNDS = 3  # ours: turns of pose and expression against identity; the error no longer changes after two
_STEPS_PER_ROUND = 5  # ours: the next round goes on from there, with a matrix of its own
_IDENTITY_FRAMES = 100  # ours: spread over the training part; more frames change the identity by less than its noise
# Ours: weights of the squared second difference. Half of a movement of 5 Hz passes in the pose, where the landmarks'
# noise begins to exceed head movement; nearly all of one of 8 Hz passes in the expression, for fast lips.
_POSE_SMOOTHING = 0.5
_EXPRESSION_SMOOTHING = 0.05
# Ours: degrees by which the tracker's network tilts the whole mesh back per unit of mouth opening. The value is best on
# six recordings against Deep3D's pitch (0.65 degrees instead of 0.71); on films of embedded faces, whose pose is known,
# 8 leaves 0.67 of 0.88 degrees, 12 would 0.63.
_TILT_PER_OPENING = 8.0
_BATCH = 1600  # frames in double precision at once, 18 MB
_GOOD_FIT = 1.0  # pixels of a 256 px crop, ours: what landmarks differ by from any face of the model


@dataclass(frozen=True)
class _Face:
    """The model at the vertices that are tracked; float64, decimetres.

    Attributes:
        tracked: (N,) which of the 468 landmarks they are.
        mean: (N, 3).
        identity: (80, N, 3).
        expression: (64, N, 3).
    """

    tracked: np.ndarray
    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray


def _tracked_face(model: MorphableModel) -> _Face:
    """All 468 landmarks where the model knows them, otherwise the 68 key points, which every model has."""
    if len(model.landmark_vertices):
        tracked, vertices = np.arange(COUNT), model.landmark_vertices
    else:
        tracked, vertices = np.array(KEY_POINTS_68), model.key_point_vertices

    def at_vertices(values: object) -> np.ndarray:
        return np.asarray(values, np.float64)[..., vertices.numpy(), :]

    return _Face(
        tracked, at_vertices(model.mean_shape), at_vertices(model.identity_basis), at_vertices(model.expression_basis)
    )


def mesh_tilt(landmarks: np.ndarray) -> np.ndarray:
    """How far the tracker has tilted the mesh of a face because its mouth is open, to be given back in `fit_geometry`.

    Args:
        landmarks: (T, 468, 3) of the tracker, any unit.

    Returns:
        (T,) pitch in radians.
    """
    return np.radians(_TILT_PER_OPENING) * mouth_opening(np.asarray(landmarks, np.float64))


def fit_geometry(
    landmarks: np.ndarray,
    confidence: np.ndarray,
    model: MorphableModel,
    camera: Camera,
    training_frames: int,
    tilt: np.ndarray | None = None,
) -> Geometry:
    """Identity of a video, expression and pose of its frames, in closed form.

    Nothing flows from the held-out frames to the training frames: the identity comes from the training frames, and
    smoothing and bridging stay within each part. A frame whose landmarks fit no face, such as a blurred one, follows
    its neighbours.

    Args:
        landmarks: (T, 468, 3) in pixels of the crop, y down, z in the unit of x, smaller = nearer.
        confidence: (T,) of the tracker; frames with 0 were bridged and get what lies between their neighbours.
        model: The morphable face.
        camera: The camera of the crop.
        training_frames: Number of frames at the start that determine the identity.
        tilt: (T,) radians by which the pitch of the landmarks falls short of the face's (`mesh_tilt`); None for none.

    Raises:
        ValueError: The shapes do not fit, or no training frame shows a face.
    """
    _check(landmarks, confidence, training_frames)
    face = _tracked_face(model)
    points = np.asarray(landmarks)[:, face.tracked]
    seen = np.asarray(confidence) > 0
    identity = _fit_identity(points[:training_frames][seen[:training_frames]], face, camera)
    shape = face.mean + np.tensordot(identity, face.identity, 1)
    shapes = LinearShape(shape, face.expression, _EXPRESSION_PRIOR * camera.size / _REFERENCE_SIZE)
    solved = [_fit_frames(part, shapes, camera) for part in np.split(points, [training_frames])]
    placed, expression = (np.concatenate(parts) for parts in zip(*solved, strict=True))

    parts = parts_between_cuts(landmarks, seen, training_frames)
    alone = _distances(points, shapes, expression, placed, camera)
    trust = trust_by_fit(alone, seen, parts, _GOOD_FIT * camera.size / _REFERENCE_SIZE)
    placed = smooth(placed, seen, parts, _POSE_SMOOTHING, trust)
    # Not solved again under the smoothed pose: the expression would take over the jitter that smoothing took away.
    expression = smooth(expression, seen, parts, _EXPRESSION_SMOOTHING, trust)

    distance = _distances(points, shapes, expression, placed, camera)
    if tilt is not None:  # last: what is given back is no failure of the fit
        extra = smooth(tilt[:, None], seen, parts, _POSE_SMOOTHING, trust)[:, 0]
        placed = _pitched(placed, shape.mean(0) + expression @ face.expression.mean(1), extra)
    eyes = np.linalg.norm(landmarks[:, OUTER_EYES[1]] - landmarks[:, OUTER_EYES[0]], axis=-1)
    return Geometry(
        *(a.astype(np.float32) for a in (identity, expression, placed[:, :3], placed[:, 3:], distance / eyes))
    )


def _pitched(placed: np.ndarray, centres: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Poses (T, 6) with more pitch (T,), radians, about the centres (T, 3) of their faces."""
    turned = placed.copy()
    turned[:, 0] += pitch
    change = rotation_matrix(placed[:, :3]) - rotation_matrix(turned[:, :3])
    turned[:, 3:] += (centres[:, None] @ change)[:, 0]
    return turned


def _distances(
    points: np.ndarray, shapes: LinearShape, expression: np.ndarray, placed: np.ndarray, camera: Camera
) -> np.ndarray:
    """(T,) mean distance of the landmarks from the vertices in the picture, pixels."""
    return np.concatenate(
        [
            fit.distances(shapes.at(expression[part]), _pose(placed[part])).mean(1)
            for part, fit in _batches(points, camera)
        ]
    )


def _batches(points: np.ndarray, camera: Camera) -> Iterator[tuple[slice, LandmarkFit]]:
    """The landmarks of some frames at a time: in double precision those of an hour would take gigabytes."""
    for first in range(0, len(points), _BATCH):
        part = slice(first, first + _BATCH)
        yield part, LandmarkFit(np.asarray(points[part], np.float64), camera)


def _pose(placed: np.ndarray) -> Pose:
    return Pose(rotation_matrix(placed[:, :3]), placed[:, 3:])


def identity_per_frame(
    landmarks: np.ndarray, confidence: np.ndarray, model: MorphableModel, camera: Camera
) -> np.ndarray:
    """Identity of every frame by itself, for the identity feature; expression and pose are solved beside it.

    Args:
        landmarks: (T, 468, 3) in pixels of the crop.
        confidence: (T,) of the tracker; bridged frames (0) take over the identity of the last frame before them, so
            that no frame depends on a later part.
        model: The morphable face.
        camera: The camera of the crop.

    Returns:
        float32 (T, 80).
    """
    _check(landmarks, confidence, len(landmarks))
    face = _tracked_face(model)
    basis = np.concatenate([face.identity, face.expression])
    shapes = LinearShape(face.mean, basis, _SINGLE_FRAME_PRIOR * camera.size / _REFERENCE_SIZE)
    _, coefficients = _fit_frames(np.asarray(landmarks)[:, face.tracked], shapes, camera)
    seen = np.flatnonzero(np.asarray(confidence) > 0)
    last = seen[np.searchsorted(seen, np.arange(len(landmarks)), side="right").clip(1) - 1]
    return coefficients[last, :IDENTITY_SIZE].astype(np.float32)


def _check(landmarks: np.ndarray, confidence: np.ndarray, training_frames: int) -> None:
    if landmarks.ndim != 3 or landmarks.shape[1:] != (COUNT, 3) or confidence.shape != landmarks.shape[:1]:
        raise ValueError(
            f"expected landmarks (T, {COUNT}, 3) and confidence (T,), found {landmarks.shape} and {confidence.shape}"
        )
    if not 0 < training_frames <= len(landmarks) or not (confidence[:training_frames] > 0).any():
        raise ValueError(
            f"training_frames = {training_frames} of {len(landmarks)} must hold at least one frame with confidence > 0"
        )


def _fit_frames(points: np.ndarray, shapes: LinearShape, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Angles and translation (T, 6) and coefficients (T, K) of frames, each by itself."""
    placed, coefficients = np.zeros((len(points), 6)), np.zeros((len(points), len(shapes.basis)))
    for part, fit in _batches(points, camera):
        pose, coefficients[part] = fit.solve(shapes, fit.similarity_pose(shapes.centre), coefficients[part])
        placed[part] = np.concatenate([pose.angles(), pose.translation], 1)
    return placed, coefficients


def _fit_identity(points: np.ndarray, face: _Face, camera: Camera) -> np.ndarray:
    """(80,) identity that explains the face at rest: the median over the frames once expression and pose are out.

    The expression is shifted to a median of zero before each identity step. What all frames share is thereby put down
    to the person as far as the identity basis reaches, and only the rest to the expression.
    """
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), _IDENTITY_FRAMES)).astype(int)]
    fit, scale = LandmarkFit(np.asarray(chosen, np.float64), camera), camera.size / _REFERENCE_SIZE
    identity, shape = np.zeros(IDENTITY_SIZE), face.mean
    pose = fit.similarity_pose(shape)
    expression = np.zeros((len(chosen), EXPRESSION_SIZE))
    for _ in range(_ROUNDS):
        expressions = LinearShape(shape, face.expression, _EXPRESSION_PRIOR * scale)
        pose, expression = fit.solve(expressions, pose, expression, _STEPS_PER_ROUND)
        expression = expression - np.median(expression, 0)
        identities = LinearShape(face.mean + expressions.at(expression) - shape, face.identity, _IDENTITY_PRIOR * scale)
        matrix, right = fit.linearize(identities, np.tile(identity, (len(chosen), 1)), pose)
        identity = identity + np.linalg.solve(matrix.mean(0), right.mean(0))
        shape = face.mean + np.tensordot(identity, face.identity, 1)
    return identity
