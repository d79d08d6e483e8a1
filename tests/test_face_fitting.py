from pathlib import Path

import numpy as np
import pytest

from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, TEXTURE, TRANSLATION
from face.crop import Crop
from face.fitting import FittedFace, fit_face, geometry_coefficients, read_crops
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.reconstructors.geometry import Geometry
from face.tracking import Track, track
from media.errors import InputError
from media.video import read_frames, stream_frames
from tests.moving_photo import film, roll

FRAMES = 16


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "photo.mp4", frames=FRAMES)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


@pytest.fixture(scope="module")
def tracked(path) -> Track:
    return track(stream_frames(path), str(path))


@pytest.fixture(scope="module")
def face(path, tracked, model) -> FittedFace:
    return fit_face(path, tracked, model, slice(4, FRAMES), size=128, frames=5)


def test_crops_are_those_of_the_frames(path):
    crop, wanted = Crop(20.5, 30.0, 180.0, 64), np.array([2, 3, 9])
    frames = read_frames(path)
    np.testing.assert_array_equal(read_crops(path, crop, wanted), [crop.apply(frames[k]) for k in wanted])
    with pytest.raises(InputError, match=r"has no frame 16 \(0\.64 s\)"):
        read_crops(path, crop, np.array([3, FRAMES]))


def test_geometry_becomes_coefficients():
    rng = np.random.default_rng(0)
    identity, expression, angles, translation, error = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((80,), (3, 64), (3, 3), (3, 3), (3,))
    )
    chi = geometry_coefficients(Geometry(identity, expression, angles, translation, error))
    expected = [np.tile(identity, (3, 1)), expression, np.zeros((3, 80)), angles, np.zeros((3, 27)), translation]
    np.testing.assert_array_equal(chi, np.concatenate(expected, 1))


def test_face_of_a_stretch(face, path, tracked):
    assert face.chosen.tolist() == np.linspace(0, 11, 5).round().tolist()
    assert face.pictures.shape == (5, 128, 128, 3)
    np.testing.assert_array_equal(face.pictures, read_crops(path, face.crop, 4 + face.chosen))
    np.testing.assert_allclose(face.landmarks, face.crop.to_crop(tracked.landmarks[4:]))
    for part in (IDENTITY, TEXTURE, ILLUMINATION):
        assert np.ptp(face.coefficients[:, part], axis=0).max() == 0
        assert np.abs(face.coefficients[0, part]).max() > 0.01
    assert np.ptp(face.coefficients[:, EXPRESSION]) > 0
    assert face.coefficients[:, TRANSLATION].any()
    turned = np.degrees(face.coefficients[:, ANGLES.start + 2])
    true = np.array([roll(frame) for frame in range(4, FRAMES)])
    assert np.corrcoef(turned, true)[0, 1] > 0.97  # turning is fast here, so smoothing takes some of it
    assert face.error.mean() < 0.03


def test_a_stretch_knows_nothing_of_the_rest(path, tracked, model, face):
    """Changing the track before the stretch changes nothing in it."""
    landmarks = tracked.landmarks.copy()
    landmarks[:4] += 40
    again = fit_face(
        path, Track(landmarks, tracked.confidence, tracked.bridged), model, slice(4, FRAMES), size=128, frames=5
    )
    np.testing.assert_array_equal(again.coefficients, face.coefficients)


def test_appearance_is_fitted_to_frames_with_a_face(path, tracked, model):
    confidence = tracked.confidence.copy()
    confidence[[0, 5, 6]] = 0
    face = fit_face(path, Track(tracked.landmarks, confidence, confidence == 0), model, slice(0, 8), size=128, frames=9)
    assert face.chosen.tolist() == [1, 2, 3, 4, 7]
    with pytest.raises(InputError, match=r"shows no face from frame 5 \(0\.20 s\) to frame 7"):
        fit_face(path, Track(tracked.landmarks, confidence, confidence == 0), model, slice(5, 7))
