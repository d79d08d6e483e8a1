"""A clip of which one frame is known, against the face it was drawn from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.clip import Clip
from datamodules.single_frame import known_from_one_frame, nearest_seen_frame
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, TEXTURE, TRANSLATION
from face.models.registry import load_face_model
from tests.prepared_corpus import write_clip
from tests.test_datamodules_clip import make_clip

FRAME = 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Eight frames drawn from coefficients, with the landmarks that these project to."""
    drawn = write_clip(tmp_path_factory.mktemp("clip") / "clip", 8, 0, pictures=True)
    model, chi = load_face_model(), drawn.coefficients
    shape = model.shape(torch.from_numpy(chi[:, IDENTITY]), torch.from_numpy(chi[:, EXPRESSION]))
    vertices = shape[:, model.landmark_vertices].double().numpy()
    points = Camera(256).project(pose_vertices(vertices, chi[:, ANGLES], chi[:, TRANSLATION]))
    mean = points[..., 2].mean(1, keepdims=True)
    points[..., 2] = (points[..., 2] - mean) * Camera(256).focal / mean
    return dataclasses.replace(drawn, landmarks=points.astype(np.float32), confidence=np.ones(8, np.float32))


def test_nothing_of_other_frames_reaches_what_a_person_keeps(clip) -> None:
    """Landmarks of all other frames become another face: identity, texture and light of the known frame stay."""
    model = load_face_model()
    other = clip.landmarks.copy()
    others = np.arange(len(clip)) != FRAME
    other[others] = other[others] * np.float32(1.1) + np.random.default_rng(1).normal(0, 3, other[others].shape)
    one = known_from_one_frame(clip, FRAME, model).coefficients
    two = known_from_one_frame(dataclasses.replace(clip, landmarks=other.astype(np.float32)), FRAME, model).coefficients
    assert one.shape == clip.coefficients.shape
    for kept in (IDENTITY, TEXTURE, ILLUMINATION):
        assert (one[:, kept] == one[0, kept]).all()
        np.testing.assert_array_equal(one[:, kept], two[:, kept])
    assert not np.allclose(one[others][:, EXPRESSION], two[others][:, EXPRESSION])


def test_the_nearest_frame_with_a_face(tmp_path: Path) -> None:
    clip = make_clip(tmp_path, 20, 20)
    confidence = np.ones(20, np.float32)
    confidence[13:16] = 0
    clip = dataclasses.replace(clip, confidence=confidence)
    assert nearest_seen_frame(clip, 5) == 5
    assert nearest_seen_frame(clip, 14) == 12
    assert nearest_seen_frame(clip, 15) == 16
    assert nearest_seen_frame(clip, 99) == 19
