"""Files of the layout of `BFM_model_front.mat` that hold no Basel face: made up from what everybody may have."""

from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.io import loadmat, savemat
from scipy.sparse.linalg import splu

from face.landmarks import KEY_POINTS_68
from face.models.registry import load_face_model

DEEP3D = Path(__file__).parents[2] / "shared/data/deep3d_coefficients"
AWAY = (0.3, -0.2, 5.0)  # decimetres; the mean shape of the file is not centred, the reader has to do it


def basel_file(path: Path, **changes: np.ndarray) -> Path:
    """The embedded face in the Basel layout: about 7,000 vertices, eyes open, landmarks unknown."""
    model = load_face_model("facemesh")

    def columns(basis: object) -> np.ndarray:
        values = np.asarray(basis, np.float64)  # (K, V, 3)
        return np.stack([component.reshape(-1) for component in values], axis=1)

    fields = {
        "meanshape": (model.mean_shape.numpy() + AWAY).reshape(1, -1),
        "meantex": 255 * model.mean_texture.numpy().reshape(1, -1),
        "idBase": columns(model.identity_basis),
        "exBase": columns(model.expression_basis),
        "texBase": 255 * columns(model.texture_basis),
        "tri": model.triangles.numpy() + 1.0,
        "keypoints": np.array(KEY_POINTS_68)[None] + 1.0,
    }
    savemat(path, {name: value for name, value in (fields | changes).items() if value is not None})
    return path


def official_mesh_file(path: Path) -> Path:
    """Deep3D's own mesh of 35,709 vertices, bent through its 68 mean key points; the bases are noise."""
    info, points = loadmat(DEEP3D / "facemodel_info.mat"), loadmat(DEEP3D / "similarity_Lm3D_all.mat")["lm"]
    triangles, count = info["tri"].astype(int) - 1, info["point_buf"].shape[0]
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    joined = sparse.coo_array((np.ones(len(sides)), sides.T), (count, count)).tocsr()
    joined = ((joined + joined.T) > 0).astype(float)
    laplacian = (sparse.diags_array(joined.sum(axis=1)) - joined).tocsr()
    fixed, target = np.zeros(count), np.zeros((count, 3))
    key_points = info["keypoints"].ravel().astype(int) - 1
    fixed[key_points], target[key_points] = 1e3, 1e3 * points
    mean = splu((laplacian @ laplacian + sparse.diags_array(fixed)).tocsc()).solve(target)
    rng = np.random.default_rng(0)
    bases = {
        name: scale * rng.standard_normal((3 * count, size), np.float32)
        for name, size, scale in (("idBase", 80, 1e-3), ("exBase", 64, 1e-3), ("texBase", 80, 1.0))
    }
    texture = np.full((1, 3 * count), 150, np.float32)
    fields = {name: value for name, value in info.items() if not name.startswith("_")}
    savemat(path, fields | bases | {"meanshape": mean.reshape(1, -1).astype(np.float32), "meantex": texture})
    return path
