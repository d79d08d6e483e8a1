"""A run and its face model."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import person
from experiments.fit import make_audio2pose, person_statistics
from experiments.person import (
    FACE_VERSION,
    filmed_mouths,
    person_renderer,
    prepare,
    prepared_by_first_process,
    require_same_face,
    scored_part,
)
from experiments.settings import compose
from face.models.registry import load_face_model, model_version
from face.rendering import Renderer
from media.errors import InputError
from tests.sphere_face import SphereFace
from tests.test_datamodules_clip import make_clip


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


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Settings of a video that was moved since its clip was made, 2 s of which are learned from."""
    (tmp_path / "clip").mkdir()
    clip = make_clip(tmp_path / "clip", total=150, training=50)
    clip.save()
    moved = tmp_path / "moved.mp4"
    monkeypatch.setattr(person, "prepare_video", lambda *_, **__: replace(clip, source=moved))
    settings = compose(["experiment=personal", f"data.video={moved}", "fit.memory_gan.validation_seconds=0.4"])
    return settings, moved


def test_the_clip_of_a_run_knows_where_the_video_lies_now(tmp_path, prepared) -> None:
    settings, moved = prepared
    assert prepare(settings, tmp_path).source == moved
    assert prepared_by_first_process(tmp_path).source == moved
    facts = json.loads((tmp_path / "preparation.json").read_text())
    del facts["source"]  # of a run made before it was noted
    (tmp_path / "preparation.json").write_text(json.dumps(facts))
    assert prepared_by_first_process(tmp_path).source == Path("somebody.mp4")


def test_a_cache_in_the_home_folder_is_found_there(tmp_path, prepared, monkeypatch) -> None:
    settings, _ = prepared
    prepare_video, places = person.prepare_video, []
    monkeypatch.setattr(person, "prepare_video", lambda video, cache, **_: places.append(cache) or prepare_video())
    monkeypatch.setenv("HOME", str(tmp_path))
    settings["data"]["cache"] = "~/x"
    prepare(settings, tmp_path)
    assert places == [tmp_path / "x" / "clips"]


def test_albedo_comes_from_frames_with_a_face_wherever_they_are(tmp_path, monkeypatch) -> None:
    clip = make_clip(tmp_path, total=300, training=250)
    bridged = np.ones(300, bool)
    bridged[[4, 242]] = False  # of a hundred frames evenly chosen neither is one
    pictures, seen = np.arange(250), []
    monkeypatch.setattr(type(clip), "frames", lambda clip, part: pictures[part])
    monkeypatch.setattr(person, "Renderer", lambda *_: None)
    monkeypatch.setitem(person.ALBEDOS, "detailed", lambda frames, *_: seen.extend(frames))
    settings = compose(["face.albedo=detailed"])
    person_renderer(settings, replace(clip, bridged=bridged))
    assert seen == [4, 242]


def test_mouths_are_those_of_the_frames_that_may_be_shown(tmp_path, monkeypatch) -> None:
    clip = make_clip(tmp_path, total=80, training=60)
    bridged = np.zeros(80, bool)
    bridged[7] = True
    monkeypatch.setattr(
        type(clip), "frames", lambda clip, part: np.zeros((part.stop - part.start, 32, 32, 3), np.uint8)
    )
    given = []
    monkeypatch.setattr(person, "FilmedMouths", lambda *arguments: given.append(arguments))
    clip, filmed = replace(clip, bridged=bridged), compose(["face.mouth_interior=filmed"])
    filmed_mouths(filmed, clip, Renderer(SphereFace(), size=32), 50)
    (_, coefficients, frames, usable, brightness), *_ = given
    assert brightness == 1
    assert len(coefficients) == len(frames) == len(usable) == 50
    assert np.flatnonzero(~usable).tolist() == [7]
    for interior, share in (("dimmed", 0.5), ("filmed", 1.0)):
        filmed_mouths(compose([f"face.mouth_interior={interior}"]), clip, Renderer(SphereFace(), size=32), 50)
        assert given[-1][-1] == share
    assert filmed_mouths(compose([]) | {"face": filmed["face"] | {"mouth_interior": "black"}}, clip, None, 50) is None
    with pytest.raises(InputError, match=r"face\.mouth_interior=black"):
        filmed_mouths(filmed, clip, Renderer(SphereFace(mouth=False), size=32), 50)


def test_both_stages_have_something_to_learn_from(tmp_path, prepared) -> None:
    settings, _ = prepared
    settings["fit"]["memory_gan"]["validation_seconds"] = 2.0
    with pytest.raises(InputError, match=r"fit\.memory_gan\.validation_seconds=2 leaves nothing"):
        prepare(settings, tmp_path)


def test_a_constant_sound_divides_nothing_by_zero(tmp_path) -> None:
    model = load_face_model()
    clip = make_clip(tmp_path, total=30, training=20)
    statistics = person_statistics(replace(clip, mfcc=np.ones_like(clip.mfcc)), model)
    assert statistics["mfcc_std"].max() == 0
    assert make_audio2pose(compose([]), model, statistics).mfcc_std.min() > 0
