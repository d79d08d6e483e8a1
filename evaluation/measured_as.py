"""How scores were measured, kept beside them so that tables compare like with like."""

from typing import Any

from evaluation.compare import DEFAULTS, ScoreSettings
from evaluation.measure import SIZE
from media.video import FPS

LANDMARKS = "468 of the face mesh, 68 in dlib's order"


def measured_as(settings: ScoreSettings = DEFAULTS) -> dict[str, Any]:
    """Frame rate, crop, landmarks and the options of HS.

    Args:
        settings: That the scores were made with.
    """
    return {
        "fps": FPS,
        "crop_px": SIZE,
        "landmarks": LANDMARKS,
        "hs_bin_width": settings.bin_width,
        "hs_normaliser": settings.normaliser,
    }
