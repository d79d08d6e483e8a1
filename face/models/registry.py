"""The face models by name (`face.model`), and the files they are read from (`face.model_file`)."""

from collections.abc import Callable
from pathlib import Path

from face.licensed_files import require_basel
from face.models import facemesh
from face.models.bfm import load_bfm
from face.models.facemesh import load_facemesh
from face.models.morphable_model import MorphableModel
from media.digest import sha256
from media.errors import InputError

FACE_MODELS: dict[str, Callable[[Path], MorphableModel]] = {"facemesh": load_facemesh, "bfm": load_bfm}
_EMBEDDED = {"facemesh": facemesh.FILE}  # models that come with the project


def load_face_model(name: str = "facemesh", file: str | Path | None = None) -> MorphableModel:
    """Load a face model by its name in `FACE_MODELS`.

    Args:
        name: `facemesh`, the embedded model, or `bfm`, the paper's.
        file: The user's file of a model that does not come with the project.

    Returns:
        The model on the CPU.

    Raises:
        InputError: If there is no model of that name, or its file is missing or unfit.
    """
    path = model_file(name, file)
    return FACE_MODELS[name](path)


def model_version(name: str = "facemesh", file: str | Path | None = None) -> str:
    """SHA-256 of the file a face model is read from: coefficients of one version mean nothing to another.

    Raises:
        InputError: If there is no model of that name, or its file is missing.
    """
    return sha256(model_file(name, file))


def model_file(name: str, file: str | Path | None) -> Path:
    """The file that a face model is read from.

    Raises:
        InputError: If there is no model of that name, or its file is not given or missing.
    """
    if name not in FACE_MODELS:
        raise InputError(f"face.model is {name!r}; known models: {', '.join(sorted(FACE_MODELS))}")
    if name in _EMBEDDED:
        return _EMBEDDED[name]
    return require_basel(file)
