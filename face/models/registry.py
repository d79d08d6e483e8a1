"""The face models by name (`face.model`)."""

import hashlib
from collections.abc import Callable

from face.models.facemesh import FILE, load_facemesh
from face.models.morphable_model import MorphableModel
from media.errors import InputError


def model_version(name: str = "facemesh") -> str:
    """SHA-256 of the file a face model is read from: coefficients of one version mean nothing to another.

    Raises:
        InputError: no model of that name.
    """
    if name not in FACE_MODELS:
        raise InputError(f"unknown face model '{name}': expected one of {', '.join(FACE_MODELS)}")
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


def load_face_model(name: str = "facemesh") -> MorphableModel:
    """Load a face model by its name in `FACE_MODELS`.

    Args:
        name: `facemesh`, the embedded model.

    Returns:
        The model on the CPU.

    Raises:
        InputError: no model of that name.
    """
    if name not in FACE_MODELS:
        raise InputError(f"face.model is {name!r}; known models: {', '.join(sorted(FACE_MODELS))}")
    return FACE_MODELS[name]()


FACE_MODELS: dict[str, Callable[[], MorphableModel]] = {"facemesh": load_facemesh}
