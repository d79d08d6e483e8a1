"""`facemesh`, the embedded face model: made by `face.build_facemesh` from portraits, on the mesh of the tracker."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from face.coefficients import IDENTITY_SIZE
from face.landmarks import COUNT, INNER_LIPS, KEY_POINTS_68, LEFT_EYE, LIPS, RIGHT_EYE
from face.models.morphable_model import MorphableModel
from face.subdivision import membrane, subdivide

FILE = Path(__file__).with_name("facemesh.npz")


def load_facemesh(file: Path = FILE) -> MorphableModel:
    """Subdivide the arrays of the embedded model's file: the 468 landmarks stay vertices 0 to 467."""
    return MorphableModel(**_arrays(file))


@lru_cache(maxsize=1)
def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        stored = dict(file)
    bases = {
        name: stored[f"{name}_basis"] * stored[f"{name}_step"][:, None, None]
        for name in ("identity", "expression", "texture")
    }
    # the mesh is that of the mean before it made room for the modes (`face.unfolding`), which count on it
    fine = subdivide(stored["unbent_mean"], stored["triangles"])
    coarse = np.concatenate([stored["mean_shape"][None], bases["identity"], bases["expression"]])  # (145, 468, 3)
    mean, identity, expression = np.split(fine.refine(coarse.swapaxes(0, 1)).swapaxes(0, 1), [1, 1 + IDENTITY_SIZE])
    return {
        "mean_shape": mean[0],
        "identity_basis": identity,
        "expression_basis": expression,
        "mean_texture": stored["mean_texture"] / np.float64(np.iinfo(np.uint16).max),
        "texture_basis": bases["texture"],
        "triangles": fine.triangles,
        "mouth_triangles": membrane(fine, INNER_LIPS),
        "landmark_vertices": np.arange(COUNT),
        "key_point_vertices": np.array(KEY_POINTS_68),
        "lip_vertices": np.array(LIPS),
        "lid_vertices": np.array(RIGHT_EYE + LEFT_EYE),
    }
