"""The ways from a tracked video to geometry, by name (`face.reconstruction`)."""

from collections.abc import Callable

import numpy as np

from face.camera import Camera
from face.models.morphable_model import MorphableModel
from face.reconstructors.closed_form import Geometry, fit_geometry

RECONSTRUCTIONS: dict[str, Callable[[np.ndarray, np.ndarray, MorphableModel, Camera, int], Geometry]] = {
    "closed_form": fit_geometry
}
