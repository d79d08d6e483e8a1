"""Whether a generated file of 256 x 256 px is the crop of the face that it is taken for.

A file of that size against a reference of another may be the reference's face crop, or the whole view made small. The
size alone does not tell, but the face does: in the crop it is as large as in that of the reference.
"""

import numpy as np

from evaluation.landmark_distance import OUTER_EYE_CORNERS
from evaluation.measure import SIZE, Measurement
from media.errors import InputError

LARGEST_DIFFERENCE = 0.2  # ours: heads that come nearer change by less; a whole view made small, by half or more
NOTE = f"generated {SIZE}x{SIZE} px taken as the face crop"


def is_taken_as_crop(truth: Measurement, made: Measurement) -> bool:
    """Whether a generated file is compared whole with the face crop of its reference."""
    return (made.width, made.height) == (SIZE, SIZE) != (truth.width, truth.height)


def require_same_crop(truth: Measurement, made: Measurement, seen: np.ndarray) -> None:
    """Refuse a file that is taken as the face crop and shows the face in another size.

    Args:
        truth: The reference.
        made: The generated file.
        seen: bool (T,) frames that show a face in both; at least one does.

    Raises:
        InputError: The mean distances of the outer eye corners differ by more than 20 %.
    """
    if not is_taken_as_crop(truth, made):
        return
    ours, real = (_eye_distance(side.key_points[: len(seen)][seen]) for side in (made, truth))
    if abs(ours / real - 1) > LARGEST_DIFFERENCE:
        raise InputError(
            f"{made.path}: its {SIZE}x{SIZE} px are taken as the face crop, but its eyes are {ours:.0f} px apart and "
            f"those of {truth.path} {real:.0f} px in its crop; give the full view in another size, such as the "
            f"reference's {truth.width}x{truth.height} px, or the {SIZE}x{SIZE} px crop of the face"
        )


def _eye_distance(key_points: np.ndarray) -> float:
    """Mean distance of the outer eye corners of (T, 68, 2) points, in their pixels."""
    right, left = OUTER_EYE_CORNERS
    return float(np.linalg.norm(key_points[:, left] - key_points[:, right], axis=1).mean())
