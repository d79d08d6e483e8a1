"""Deep3D's regressor instead of a fit: every frame by itself through R-Net (paper, 3.1), on its own aligned picture.

The coefficients are kept as the network gives them, as in the original code, except for what a video has once
(identity, texture, light: the median over the training frames) and for the translation: it is solved again so that
the 68 key points stand in our crop's camera where the network saw them. Not verified against the official file.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from face.camera import CAMERA_DISTANCE, Camera, pose_vertices, rotation_matrix
from face.coefficients import ANGLES, EXPRESSION, EXPRESSION_SIZE, IDENTITY, ILLUMINATION, TEXTURE, TRANSLATION
from face.landmarks import KEY_POINTS_68, OUTER_EYES, five_points
from face.models.morphable_model import MorphableModel
from face.reconstructors import alignment
from face.reconstructors.alignment import Alignment, align
from face.reconstructors.geometry import Footage, Geometry
from face.reconstructors.r_net import RNet, load_r_net
from face.reconstructors.smoothing import bridge, parts_between_cuts

_BATCH = {"cuda": 64, "cpu": 8}  # ours: pictures at once; more are not faster
_STEPS = 10  # Gauss-Newton settles in four or five


def regress_geometry(footage: Footage, model: MorphableModel, file: Path | None) -> Geometry:
    """Coefficients of a video by R-Net.

    Nothing flows from the held-out frames to the training frames; frames in which the tracker saw no face get what
    lies between their neighbours.

    Args:
        footage: The tracked video.
        model: The face model that the network was trained with.
        file: The official checkpoint.

    Returns:
        Geometry with texture and illumination.

    Raises:
        InputError: If the checkpoint is unfit.
        ValueError: If no file is given, or no training frame shows a face.
    """
    seen = np.asarray(footage.confidence) > 0
    before = int(seen[: footage.training_frames].sum())  # of the frames with a face, those that are learned from
    if file is None or not before:
        raise ValueError("deep3d needs a file, and a training frame with confidence > 0")
    chi, alignments = _regress(load_r_net(file), footage, seen)
    once = np.median(chi[:before], axis=0)
    where = footage.crop.to_crop(_seen_in_source(model, chi, alignments))
    shapes = _key_point_shapes(model, np.tile(once[IDENTITY], (len(chi), 1)), chi[:, EXPRESSION])
    translation = solve_translation(shapes, chi[:, ANGLES], where, footage.camera)
    moving = np.concatenate([chi[:, EXPRESSION], chi[:, ANGLES], translation], axis=1)
    moving = _through_time(moving, footage, seen)
    expression, angles, translation = np.split(moving, [EXPRESSION_SIZE, EXPRESSION_SIZE + 3], axis=1)
    shapes = _key_point_shapes(model, np.tile(once[IDENTITY], (len(seen), 1)), expression)
    error = _error(pose_vertices(shapes, angles, translation), footage)
    found = (once[IDENTITY], expression, angles, translation, error, once[TEXTURE], once[ILLUMINATION])
    return Geometry(*(values.astype(np.float32) for values in found))


def solve_translation(shapes: np.ndarray, angles: np.ndarray, points: np.ndarray, camera: Camera) -> np.ndarray:
    """Where faces stand so that their points project nearest to given ones; shape and rotation stay.

    Args:
        shapes: (T, N, 3) before the pose, decimetres.
        angles: (T, 3) radians.
        points: (T, N, 2) pixels, y down.
        camera: The camera of the pixels.

    Returns:
        (T, 3) decimetres, least squares in pixels (Gauss-Newton).
    """
    turned = shapes @ rotation_matrix(angles)
    translation = _linear_translation(turned, points, camera)
    for _ in range(_STEPS):
        posed = turned + translation[:, None]
        projected = camera.project(posed)
        scale = camera.focal / projected[..., 2]
        slope = np.zeros((*scale.shape, 2, 3))
        slope[..., 0, 0], slope[..., 1, 1] = scale, -scale
        slope[..., 2] = (projected[..., :2] - camera.centre) / projected[..., 2, None]  # nearer is larger
        rows = slope.reshape(len(slope), -1, 3)
        columns = rows.swapaxes(1, 2)
        missing = (points - projected[..., :2]).reshape(len(rows), -1, 1)
        translation = translation + np.linalg.solve(columns @ rows, columns @ missing)[..., 0]
    return translation


def _linear_translation(turned: np.ndarray, points: np.ndarray, camera: Camera) -> np.ndarray:
    """(T, 3) least squares of the projection multiplied by the depth, in which it is linear; a start."""
    ray = (points - camera.centre) / camera.focal * [1, -1]  # (T, N, 2) x and y per depth
    rows = np.zeros((*ray.shape, 3))  # x + t_x = ray_x (10 - z - t_z), and the same of y
    rows[..., 0, 0] = rows[..., 1, 1] = 1
    rows[..., 2] = ray
    right = ray * (CAMERA_DISTANCE - turned[..., 2:]) - turned[..., :2]
    rows, right = rows.reshape(len(rows), -1, 3), right.reshape(len(right), -1, 1)
    columns = rows.swapaxes(1, 2)
    return np.linalg.solve(columns @ rows, columns @ right)[..., 0]


@torch.inference_mode()
def _regress(network: RNet, footage: Footage, seen: np.ndarray) -> tuple[np.ndarray, list[Alignment]]:
    """(S, 257) coefficients of the frames in which a face was seen, and their alignments."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    chi, alignments = [], []
    for batch in _aligned_batches(footage, seen, _BATCH[device]):
        alignments += [how for how, _ in batch]
        pictures = torch.from_numpy(np.stack([picture for _, picture in batch])).to(device)
        chi.append(network(pictures.permute(0, 3, 1, 2).float() / 255).double().cpu().numpy())
    return np.concatenate(chi), alignments


def _aligned_batches(footage: Footage, seen: np.ndarray, size: int) -> Iterator[list[tuple[Alignment, np.ndarray]]]:
    points = five_points(np.asarray(footage.landmarks, np.float64))[..., :2]
    batch = []
    for index, frame in zip(range(len(seen)), footage.frames(), strict=False):  # the source may go on
        if not seen[index]:
            continue
        how = align(points[index], frame.shape[1], frame.shape[0])
        batch.append((how, how.apply(frame)))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _seen_in_source(model: MorphableModel, chi: np.ndarray, alignments: list[Alignment]) -> np.ndarray:
    """(S, 68, 2) pixels of the source at which the network saw the key points."""
    shapes = _key_point_shapes(model, chi[:, IDENTITY], chi[:, EXPRESSION])
    posed = pose_vertices(shapes, chi[:, ANGLES], chi[:, TRANSLATION])
    projected = Camera(alignment.SIZE).project(posed)[..., :2]
    return np.stack([how.to_source(points) for how, points in zip(alignments, projected, strict=True)])


def _key_point_shapes(model: MorphableModel, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """(T, 68, 3) decimetres, from (T, 80) and (T, 64)."""
    at = model.key_point_vertices
    basis = torch.cat([model.identity_basis[:, at], model.expression_basis[:, at]]).double().numpy()
    mean = model.mean_shape[at].double().numpy()
    return mean + np.tensordot(np.concatenate([identity, expression], axis=1), basis, 1)


def _through_time(values: np.ndarray, footage: Footage, seen: np.ndarray) -> np.ndarray:
    """Values (S, K) of the seen frames -> (T, K) of all, bridged within the parts of the video."""
    # A part without any face holds the last values before it.
    last = np.cumsum(seen).clip(1) - 1
    parts = parts_between_cuts(footage.landmarks, seen, footage.training_frames)
    return np.concatenate([bridge(values[last[part]], seen[part]) for part in parts])


def _error(posed: np.ndarray, footage: Footage) -> np.ndarray:
    """(T,) mean distance of the projected key points from the tracked ones, in distances of the outer eye corners."""
    tracked = footage.crop.to_crop(np.asarray(footage.landmarks, np.float64))[..., :2]
    distance = np.linalg.norm(footage.camera.project(posed)[..., :2] - tracked[:, KEY_POINTS_68], axis=-1)
    return distance.mean(1) / np.linalg.norm(tracked[:, OUTER_EYES[1]] - tracked[:, OUTER_EYES[0]], axis=-1)
