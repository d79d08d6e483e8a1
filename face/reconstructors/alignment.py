"""The picture that Deep3D's regressor sees: scaled and moved so that the face lies in its middle, not turned."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIZE = 224  # pixels, Deep3D
_PIXELS_PER_DECIMETRE = 102.0  # Deep3D (facts 4.1)

# Deep3D's mean places of the eyes, the nose tip and the mouth corners (facts 4.1); decimetres, the smaller x first
_MEAN_FACE = np.array(
    [
        [-0.3115, 0.2904, 0.1338],
        [0.3098, 0.2897, 0.1318],
        [0.0033, -0.0462, 0.5524],
        [-0.2522, -0.3813, 0.2241],
        [0.2485, -0.3813, 0.2224],
    ]
)


@dataclass(frozen=True)
class Alignment:
    """How one frame becomes the regressor's picture.

    Attributes:
        width: Of the frame, pixels.
        height: Of the frame, pixels.
        scaled_width: Of the frame after scaling, whole pixels.
        scaled_height: Of the frame after scaling, whole pixels.
        left: First column of the picture in the scaled frame; may lie outside it.
        top: First row of the picture in the scaled frame; may lie outside it.
    """

    width: int
    height: int
    scaled_width: int
    scaled_height: int
    left: int
    top: int

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """Scale with a bicubic kernel and cut; black beyond the frame.

        Args:
            frame: uint8 (H, W, 3).

        Returns:
            uint8 (224, 224, 3).
        """
        scaled = Image.fromarray(frame).resize((self.scaled_width, self.scaled_height), Image.Resampling.BICUBIC)
        return np.asarray(scaled.crop((self.left, self.top, self.left + SIZE, self.top + SIZE)))

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the picture to pixels of the frame.

        Args:
            points: (..., 2) x right, y down, pixel centres at .5.

        Returns:
            (..., 2) of the same kind.
        """
        scale = np.array([self.width / self.scaled_width, self.height / self.scaled_height])
        return (points + np.array([self.left, self.top])) * scale


def align(points: np.ndarray, width: int, height: int) -> Alignment:
    """Deep3D's alignment protocol, its truncations included (facts 4.1).

    Args:
        points: (5, 2) eyes, nose tip, mouth corners in pixels of the frame, pixel centres at .5
            (`face.landmarks.five_points`).
        width: Of the frame.
        height: Of the frame.
    """
    place, scale = weak_perspective(points, height)
    shrink = _PIXELS_PER_DECIMETRE / scale
    # at least one pixel, however far the points are from a face
    scaled_width, scaled_height = max(1, int(width * shrink)), max(1, int(height * shrink))
    left = int(scaled_width / 2 - SIZE / 2 + (place[0] - width / 2) * shrink)
    top = int(scaled_height / 2 - SIZE / 2 + (height / 2 - place[1]) * shrink)
    return Alignment(width, height, scaled_width, scaled_height, left, top)


def weak_perspective(points: np.ndarray, height: int) -> tuple[np.ndarray, float]:
    """Where the origin of the mean face lies and how large it is ("POS", facts 4.1).

    Args:
        points: (5, 2) in pixels of the frame, pixel centres at .5.
        height: Of the frame.

    Returns:
        (2,) pixels, y up and pixel centres at whole numbers as Deep3D counts; and pixels per decimetre.
    """
    seen = np.stack([points[:, 0] - 0.5, height - 1 - (points[:, 1] - 0.5)], axis=-1)
    # Two rows of four unknowns: the scaled first rows of a rotation, and the shift.
    rows = np.linalg.lstsq(np.column_stack([_MEAN_FACE, np.ones(5)]), seen, rcond=None)[0].T
    return rows[:, 3], float(np.linalg.norm(rows[:, :3], axis=1).mean())
