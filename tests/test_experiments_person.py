"""A run and its face model."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.person import FACE_VERSION, require_same_face, scored_part
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


@pytest.mark.parametrize(
    ("train_seconds", "heldout_from", "expected"),
    [(2, "training", (50, 150)), (2, "end", (200, 300)), (4, "end", (200, 300)), (9, "end", (225, 300))],
)
def test_the_end_of_a_video_is_judged_for_every_length(train_seconds, heldout_from, expected) -> None:
    training = 25 * train_seconds
    clip = SimpleNamespace(heldout=slice(training, 300))
    settings = {"data": {"heldout_seconds": 4.0, "heldout_from": heldout_from}}
    part = scored_part(clip, settings)
    assert (part.start, part.stop) == expected
