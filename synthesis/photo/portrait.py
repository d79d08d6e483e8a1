"""The person of one photo: the picture, the face model fitted to it, and the camera between the two."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from face.camera import CAMERA_DISTANCE, Camera, pose_vertices
from face.crop import Crop, crop_around
from face.landmarks import CHIN
from face.models.morphable_model import MorphableModel
from face.reconstructors.closed_form import fit_geometry
from face.tracking import SMALLEST_FACE, FaceTracker
from media.errors import InputError

FOREHEAD = 10  # the topmost point of the face mesh
_LARGEST_SIDE = 1024  # pixels, ours: of the video; more only takes longer
_FACE_KEPT = 320  # pixels, ours: a large photo is not shrunk so far that its face is smaller than this
_TURNED = 35  # degrees, ours: of a face turned farther one side is hardly to be seen


@dataclass(frozen=True)
class PictureCamera:
    """The model's camera in pixels of the whole photo instead of those of the crop around the face.

    Attributes:
        crop: Around the face.
    """

    crop: Crop

    def project(self, posed: np.ndarray) -> np.ndarray:
        """(..., 3) posed points in decimetres to x, y in pixels of the photo and depth in decimetres."""
        seen = Camera(self.crop.size).project(posed)
        return np.concatenate([self.crop.to_source(seen[..., :2]), seen[..., 2:]], -1)

    def lift(self, pixels: np.ndarray) -> np.ndarray:
        """The inverse of `project`."""
        camera = Camera(self.crop.size)
        depth = pixels[..., 2:]
        offset = (self.crop.to_crop(pixels[..., :2]) - camera.centre) * depth / camera.focal
        return np.concatenate([offset * [1, -1], CAMERA_DISTANCE - depth], -1)


@dataclass(frozen=True)
class Portrait:
    """A face in a photo.

    Attributes:
        picture: (H, W, 3) uint8; both sides are even.
        camera: From posed points to pixels of the picture.
        identity: float32 (80,) α.
        expression: float32 (64,) β.
        angles: float32 (3,) pitch, yaw, roll in radians.
        translation: float32 (3,) decimetres.
    """

    picture: np.ndarray
    camera: PictureCamera
    identity: np.ndarray
    expression: np.ndarray
    angles: np.ndarray
    translation: np.ndarray

    def shape(self, model: MorphableModel, expression: np.ndarray | None = None) -> np.ndarray:
        """(V, 3) float64 vertices before their pose, with the photo's expression or another (64,)."""
        beta = np.float32(self.expression if expression is None else expression)
        return model.shape(torch.from_numpy(self.identity)[None], torch.from_numpy(beta)[None])[0].double().numpy()

    def posed(self, shape: np.ndarray) -> np.ndarray:
        """Points (..., V, 3) of the model's space as the head is held in the photo."""
        return pose_vertices(shape, self.angles.astype(np.float64), self.translation.astype(np.float64))

    def height(self, pixels: np.ndarray) -> float:
        """Pixels from the forehead to the chin, of projected vertices (V, 2 or 3)."""
        return float(np.linalg.norm(pixels[FOREHEAD, :2] - pixels[CHIN, :2]))


def fit_portrait(picture: np.ndarray, name: str, model: MorphableModel) -> Portrait:
    """Find the one face of a photo and fit the face model to it.

    Args:
        picture: (H, W, 3) uint8.
        name: Of the photo, for messages.
        model: Whose vertices are the tracked landmarks.

    Raises:
        InputError: If there is no face or a second one, or it is too small or turned too far.
    """
    tracker = FaceTracker()
    face = tracker.find(picture)
    if face is None:
        raise InputError(f"{name}: no face is seen in it; give a photo of one person who faces the camera")
    if face.side < SMALLEST_FACE:
        raise InputError(
            f"{name}: its face is {face.side:.0f} px large, at least {SMALLEST_FACE:.0f} px are needed; "
            "give a larger photo"
        )
    if tracker.second(picture, face) is not None:
        raise InputError(f"{name}: two faces are seen in it; crop it to one person")
    picture, scale = _reduced(picture, face.side)
    crop = crop_around(face.landmarks[None] * scale)
    landmarks = crop.to_crop(face.landmarks[None] * scale)
    # no tilt is given back: the photo is cut where its landmarks are, and turned from where it is
    geometry = fit_geometry(landmarks, np.ones(1), model, Camera(crop.size), 1)
    turned = math.degrees(abs(float(geometry.angles[0, 1])))
    if turned > _TURNED:
        raise InputError(
            f"{name}: its face is turned by {turned:.0f} degrees, at most {_TURNED} can be animated; "
            "give a photo of a face seen from the front"
        )
    return Portrait(
        picture,
        PictureCamera(crop),
        geometry.identity,
        geometry.expression[0],
        geometry.angles[0],
        geometry.translation[0],
    )


def _reduced(picture: np.ndarray, face_side: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture in the size of the video, even for its codec, and the factors (3,) of x, y and z."""
    height, width = picture.shape[:2]
    scale = min(1.0, max(_LARGEST_SIDE / max(height, width), _FACE_KEPT / face_side))
    if scale == 1:
        return picture[: height // 2 * 2, : width // 2 * 2], np.ones(3)
    new_width, new_height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
    smaller = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.LANCZOS)
    return np.array(smaller), np.array([new_width / width, new_height / height, scale])
