"""`bfm`, the paper's face model: the Basel Face Model 2009 with the expressions of Guo et al., as Deep3D cuts it.

Its licence is personal, so the file `BFM_model_front.mat` is the user's; `python -m face.convert_bfm` makes it.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from face.coefficients import EXPRESSION_SIZE, IDENTITY_SIZE, TEXTURE_SIZE
from face.landmarks import EYES_68, INNER_LIP_CORNERS_68, INNER_MOUTH_68, MOUTH_68
from face.models.morphable_model import MorphableModel
from face.subdivision import boundary_loops, close_loop
from media.errors import InputError

_FIELDS = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints")
_POINTS = 68


def load_bfm(file: str | Path) -> MorphableModel:
    """Read a face model from `BFM_model_front.mat`.

    Args:
        file: Of Deep3D's layout (facts 4.4): `meanshape` and `meantex` (1, 3V), `idBase` (3V, 80), `exBase` (3V, 64),
            `texBase` (3V, 80), x, y, z of a vertex one after the other in decimetres, colours 0 to 255; `tri` (F, 3)
            and `keypoints` (1, 68), counted from 1. The official model has V = 35709 and F = 70789.

    Returns:
        The model on the CPU; it has no `landmark_vertices`, and its eyes are closed surfaces.

    Raises:
        InputError: If the file is missing, unreadable or of another layout.
    """
    path = Path(file).resolve()
    return MorphableModel(**_arrays(path, path.stat().st_mtime_ns if path.exists() else 0))


def read_fields(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read arrays from a MATLAB file.

    Args:
        path: The file.
        names: Fields that must be there.

    Raises:
        InputError: If it is missing, cannot be read or lacks a field.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a MATLAB file with {', '.join(names)}")
    try:
        content = loadmat(path, variable_names=list(names))
    except Exception as error:  # scipy raises what its many readers raise, without a common base
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a MATLAB file of version 5 ({reason}); copy or make it again") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(f"{path}: has no field {', '.join(missing)}; expected {', '.join(names)}")
    return {name: content[name] for name in names}


@lru_cache(maxsize=1)  # a hundred megabytes; the time of the last change tells a new file of the same name
def _arrays(path: Path, changed: int) -> dict[str, np.ndarray]:
    fields = read_fields(path, _FIELDS)
    _check(path, fields)
    # Deep3D's origin is the mean of the vertices (facts 4.3).
    mean = fields["meanshape"].reshape(-1, 3).astype(np.float64)
    mean -= mean.mean(axis=0)
    triangles = fields["tri"].astype(np.int64) - 1
    points = fields["keypoints"].ravel().astype(np.int64) - 1
    return {
        "mean_shape": mean,
        "identity_basis": _basis(fields["idBase"]),
        "expression_basis": _basis(fields["exBase"]),
        "mean_texture": fields["meantex"].reshape(-1, 3) / np.float64(255),
        "texture_basis": _basis(fields["texBase"]) / np.float32(255),
        "triangles": triangles,
        "mouth_triangles": mouth_membrane(mean, triangles, points),
        "landmark_vertices": np.zeros(0, np.int64),
        "key_point_vertices": points,
        "lip_vertices": points[MOUTH_68],
        "lid_vertices": points[EYES_68],
    }


def mouth_membrane(mean: np.ndarray, triangles: np.ndarray, key_points: np.ndarray) -> np.ndarray:
    """Close the opening between the lips: the boundary of the mesh that runs nearest to the inner lips.

    Args:
        mean: (V, 3) decimetres.
        triangles: int (F, 3).
        key_points: (68,) vertices of dlib's points.

    Returns:
        int64 (M, 3), wound like the mesh around it; none if the mesh has no boundary.
    """
    loops = boundary_loops(triangles)
    if not loops:
        return np.zeros((0, 3), np.int64)
    lips = mean[key_points[INNER_MOUTH_68]]
    loop = min(loops, key=lambda loop: _distances(lips, mean[loop]).min(axis=1).mean())
    corners = mean[key_points[list(INNER_LIP_CORNERS_68)]]
    right, left = _distances(corners, mean[loop]).argmin(axis=1)
    return close_loop(loop, loop[right], loop[left])


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - others[None], axis=-1)


def _basis(columns: np.ndarray) -> np.ndarray:
    """(3V, K) -> float32 (K, V, 3)."""
    return np.ascontiguousarray(columns.T, np.float32).reshape(columns.shape[1], -1, 3)


def _check(path: Path, fields: dict[str, np.ndarray]) -> None:
    """Hold all shapes against the number of vertices, and all indices against it."""
    size = fields["meanshape"].size
    expected = {
        "meanshape": (1, 3 * (size // 3)),
        "meantex": (1, size),
        "idBase": (size, IDENTITY_SIZE),
        "exBase": (size, EXPRESSION_SIZE),
        "texBase": (size, TEXTURE_SIZE),
        "tri": (len(fields["tri"]), 3),
        "keypoints": (1, _POINTS),
    }
    remedy = "make it again with python -m face.convert_bfm"
    for name, shape in expected.items():
        found = fields[name].shape
        if found != shape:
            raise InputError(f"{path}: {name} has shape {found} instead of {shape}; {remedy}")
    for name in ("tri", "keypoints"):
        low, high = int(fields[name].min(initial=1)), int(fields[name].max(initial=1))
        if low < 1 or high > size // 3:
            raise InputError(f"{path}: {name} names vertices {low} to {high} of 1 to {size // 3}; {remedy}")
