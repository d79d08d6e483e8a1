"""What a reconstruction works from, and what it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from face.camera import Camera
from face.crop import Crop


@dataclass(frozen=True)
class Footage:
    """A tracked video.

    Attributes:
        landmarks: (T, 468, 3) in pixels of the source, y down, z in the unit of x, smaller = nearer.
        confidence: (T,) of the tracker, 0 for bridged frames.
        training_frames: Number of frames at the start that may decide what is one for the video.
        crop: The square of the source that the result refers to.
        frames: Opens the source: its uint8 (H, W, 3) frames from the first on.
    """

    landmarks: np.ndarray
    confidence: np.ndarray
    training_frames: int
    crop: Crop
    frames: Callable[[], Iterable[np.ndarray]]

    @property
    def camera(self) -> Camera:
        """The camera of the crop."""
        return Camera(self.crop.size)


@dataclass(frozen=True)
class Geometry:
    """Shape and pose of one face through a video.

    Attributes:
        identity: float32 (80,) one for the video, from the training frames.
        expression: float32 (T, 64).
        angles: float32 (T, 3) pitch, yaw, roll in radians.
        translation: float32 (T, 3) decimetres.
        error: float32 (T,) mean distance of the projected vertices from the landmarks / distance of the outer eye
            corners, before a tilt of the landmarks is given back.
        texture: float32 (80,) one for the video, from a reconstruction that finds it too.
        illumination: float32 (27,) likewise.
    """

    identity: np.ndarray
    expression: np.ndarray
    angles: np.ndarray
    translation: np.ndarray
    error: np.ndarray
    texture: np.ndarray | None = None
    illumination: np.ndarray | None = None
