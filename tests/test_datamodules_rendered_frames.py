"""A real person rendered over the held-out frames, nothing learned: what albedo and reconstruction alone are worth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error

from datamodules.clip import Clip
from datamodules.prepare import prepare_video
from datamodules.rendered_frames import channels_last, render_clip
from face.albedo import ALBEDOS
from face.models.registry import load_face_model
from face.rendering import Renderer

VIDEO = Path(__file__).parents[2] / "shared/data/personal/yi31.mp4"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not VIDEO.exists(), reason="needs the real recording")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return prepare_video(VIDEO, tmp_path_factory.mktemp("clips"))


def decibels_inside_the_face(clip: Clip, albedo: str) -> float:
    renderer = Renderer(load_face_model())
    learned = torch.from_numpy(clip.coefficients[clip.training])
    colours = ALBEDOS[albedo](clip.frames(clip.training), learned, renderer)
    values = []
    for first in range(300, 600, 100):  # ten frames of each 100
        frames = render_clip(clip, slice(first, first + 10), renderer, colours)
        triples = zip(*map(channels_last, (frames.rendered, frames.target, frames.face_mask)), strict=True)
        for made, true, mask in triples:
            inside = mask[..., 0] > 127
            values.append(10 * np.log10(255**2 / mean_squared_error(true[inside], made[inside])))
    return float(np.mean(values))


def test_the_best_albedo_has_26_decibels_and_the_texture_model_less(clip: Clip) -> None:
    found = {name: decibels_inside_the_face(clip, name) for name in ("mean", "detailed", "low_frequency")}
    assert max(found["mean"], found["detailed"]) >= 26
    assert found["low_frequency"] < min(found["mean"], found["detailed"])
