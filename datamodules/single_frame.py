"""A clip of which no more than one frame is known: what a photo tells of a person (Table 2, general mapping)."""

from dataclasses import replace

import numpy as np

from datamodules.clip import Clip
from face.camera import Camera
from face.fitting import fill_appearance, geometry_coefficients
from face.models.morphable_model import MorphableModel
from face.reconstructors.closed_form import fit_geometry, mesh_tilt


def known_from_one_frame(clip: Clip, frame: int, model: MorphableModel) -> Clip:
    """The clip with identity, texture and light of one frame; expression and pose of all frames are solved with them.

    Args:
        clip: Prepared, with the landmarks of every frame.
        frame: Whose face is known; one that shows a face.
        model: The morphable face.

    Returns:
        The same clip with other coefficients. Frames that show no face get what lies between their neighbours.

    Raises:
        ValueError: The frame shows no face.
    """
    landmarks, confidence = clip.crop.to_crop(clip.landmarks), clip.confidence
    # the frame stands once more at the beginning, alone in the training part that identity is taken from
    first = slice(frame, frame + 1)
    points = np.concatenate([landmarks[first], landmarks])
    geometry = fit_geometry(
        points,
        np.concatenate([confidence[first], confidence]),
        model,
        Camera(clip.crop.size),
        training_frames=1,
        tilt=mesh_tilt(points),
    )
    coefficients = geometry_coefficients(geometry)
    fill_appearance(coefficients, clip.frames(first), np.array([0]), model, Camera(clip.crop.size))
    return replace(clip, coefficients=coefficients[1:], albedo=None)  # which is of another frame


def nearest_seen_frame(clip: Clip, frame: int) -> int:
    """The frame that shows a face and is nearest to a wanted one, the earlier of two.

    Args:
        clip: Of one person, with a face in at least one frame.
        frame: Wanted; may lie beyond the end.
    """
    seen = np.flatnonzero(clip.confidence > 0)
    return int(seen[np.abs(seen - min(frame, len(clip) - 1)).argmin()])
