"""A run and its face model."""

import json
from pathlib import Path

import pytest

from experiments.person import FACE_VERSION, require_same_face
from experiments.settings import compose
from face.models.registry import model_version
from media.errors import InputError


def test_a_run_of_another_face_model_is_not_gone_on_with(tmp_path: Path) -> None:
    settings = compose([])
    require_same_face(tmp_path, settings)  # nothing there yet
    path = tmp_path / "preparation.json"
    path.write_text(json.dumps({FACE_VERSION: model_version("facemesh")}))
    require_same_face(tmp_path, settings)
    path.write_text(json.dumps({FACE_VERSION: "0" * 64}))
    with pytest.raises(InputError, match="another version of the face model facemesh") as refused:
        require_same_face(tmp_path, settings)
    assert "\n" not in str(refused.value)
