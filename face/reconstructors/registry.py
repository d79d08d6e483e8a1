"""The ways from a tracked video to geometry by name (`face.reconstruction`), and their files."""

from collections.abc import Callable
from pathlib import Path

from face.licensed_files import require_r_net
from face.models.morphable_model import MorphableModel
from face.reconstructors.closed_form import fit_geometry, mesh_tilt
from face.reconstructors.deep3d import regress_geometry
from face.reconstructors.geometry import Footage, Geometry
from media.digest import sha256
from media.errors import InputError


def _closed_form(footage: Footage, model: MorphableModel, file: Path | None) -> Geometry:
    landmarks = footage.crop.to_crop(footage.landmarks)
    tilt = mesh_tilt(landmarks)
    return fit_geometry(landmarks, footage.confidence, model, footage.camera, footage.training_frames, tilt)


RECONSTRUCTIONS: dict[str, Callable[[Footage, MorphableModel, Path | None], Geometry]] = {
    "closed_form": _closed_form,
    "deep3d": regress_geometry,
}


def reconstruction_version(name: str, file: str | Path | None, face_model: str) -> str | None:
    """SHA-256 of the file a reconstruction is read from, None for one without; refuses what cannot work.

    Args:
        name: Key of `RECONSTRUCTIONS`.
        file: The user's file (`face.reconstruction_file`).
        face_model: Key of `face.models.registry.FACE_MODELS` that it is to find coefficients of.

    Raises:
        InputError: If there is no reconstruction of that name, it finds coefficients of another face model, or its
            file is missing.
    """
    if name not in RECONSTRUCTIONS:
        raise InputError(f"face.reconstruction is {name!r}; known ones: {', '.join(sorted(RECONSTRUCTIONS))}")
    if name == "closed_form":
        return None
    return sha256(require_r_net(file, face_model))
