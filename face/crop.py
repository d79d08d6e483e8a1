"""One square crop per video, fixed for all its frames, so that head movement stays head movement."""

import math
from dataclasses import dataclass

import numpy as np

from face.resampling import resample


@dataclass(frozen=True)
class Crop:
    """A square of the source picture and the size it is resampled to.

    Attributes:
        x: Left edge in source pixels (continuous; pixel j covers [j, j + 1)); may lie outside the picture.
        y: Upper edge in source pixels.
        side: Side of the square in source pixels.
        size: Side of the crop in its own pixels.
    """

    x: float
    y: float
    side: float
    size: int = 256  # SPEC, crop

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y) and math.isfinite(self.side) and self.side > 0):
            raise ValueError(f"Crop needs a finite corner and a positive side, got {self}.")
        if self.size < 1:
            raise ValueError(f"Crop.size must be at least 1 pixel, got {self.size}.")

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Resample the square, band-limited by a bicubic kernel; beyond the picture its edge is repeated.

        Args:
            frame: (H, W, 3) uint8.

        Returns:
            (size, size, 3) uint8.
        """
        if (self.x, self.y, self.side) == (0, 0, self.size) and frame.shape[:2] == (self.size, self.size):
            return frame.copy()  # the kernel would leave every pixel as it is
        return resample(frame, self.x, self.y, self.side, self.size)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Source pixels to crop pixels.

        Args:
            points: (..., 2) x, y, or (..., 3) x, y, z where z is in the units of x.

        Returns:
            Same shape and dtype; z is scaled, not moved.
        """
        return ((points - self._corner(points)) * (self.size / self.side)).astype(points.dtype)

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Crop pixels to source pixels, the inverse of `to_crop`.

        Args:
            points: (..., 2) x, y, or (..., 3) x, y, z where z is in the units of x.

        Returns:
            Same shape and dtype; z is scaled, not moved.
        """
        return (points * (self.side / self.size) + self._corner(points)).astype(points.dtype)

    def _corner(self, points: np.ndarray) -> np.ndarray:
        return np.array([self.x, self.y, 0.0])[: points.shape[-1]]


def crop_around(landmarks: np.ndarray, margin: float = 1.25, size: int = 256) -> Crop:
    """The square around everything a face covers in a video.

    Args:
        landmarks: (T, 468, 3) or (T, 468, 2) pixels of the source, of the training frames only.
        margin: Side of the square / longer side of the union of the face boxes (SPEC: 1.25).
        size: Side of the crop in its own pixels.

    Returns:
        The crop, centred on the union of the face boxes.

    Raises:
        ValueError: If no landmarks are given or a coordinate is not finite.
    """
    points = np.asarray(landmarks, np.float64)[..., :2].reshape(-1, 2)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError(f"crop_around needs finite landmarks (T, 468, 3), got shape {np.shape(landmarks)}.")
    low, high = points.min(0), points.max(0)
    side = float(margin * (high - low).max())
    x, y = (low + high) / 2 - side / 2
    return Crop(float(x), float(y), side, size)
