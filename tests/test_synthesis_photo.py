"""A photo as a mesh: in its own pose it is the photo, turned it neither tears nor moves its borders, its eyes shut."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.settings import compose
from face.crop import Crop
from face.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from face.models.registry import load_face_model
from media.errors import InputError
from media.photo import read_photo
from synthesis.photo.animated import AnimatedPhoto
from synthesis.photo.lids import blinks
from synthesis.photo.portrait import PictureCamera, Portrait, fit_portrait
from synthesis.photo.talker import PhotoPerformance, PhotoTalker

MODEL = load_face_model()
HEIGHT, WIDTH = 300, 260


@pytest.fixture(scope="module")
def portrait():
    """The mean face, a little turned, in front of noise of two pixels' width."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    picture = noise.repeat(2, 0).repeat(2, 1)
    angles = np.array([0.05, -0.08, 0.1], np.float32)
    camera = PictureCamera(Crop(60.0, 70.0, 150.0))
    return Portrait(
        picture, camera, np.zeros(80, np.float32), np.zeros(64, np.float32), angles, np.zeros(3, np.float32)
    )


@pytest.fixture(scope="module")
def photo(portrait):
    return AnimatedPhoto(portrait, MODEL)


def test_camera_lifts_what_it_projects(portrait):
    points = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(portrait.camera.lift(portrait.camera.project(points)), points, atol=1e-9)


def test_own_pose_is_the_photo(portrait, photo):
    drawn = photo.frame(portrait.expression, np.zeros(3))
    lips = photo.project(portrait.expression, np.zeros(3))[list(INNER_LIPS), :2]
    (left, top), (right, bottom) = (lips.min(0) - 2).astype(int), (lips.max(0) + 3).astype(int)
    difference = np.abs(drawn.astype(int) - portrait.picture).max(-1)
    difference[top:bottom, left:right] = 0  # between the lips teeth are painted
    assert difference.max() <= 2


@pytest.mark.parametrize("yaw", [-20, 20])
def test_turned_head_has_no_holes_and_still_borders(portrait, photo, yaw):
    painted = photo.paint.copy()
    photo.paint[:, :3], photo.paint[:, 3] = [0.0, 1.0, 0.0], 1.0  # all of the mesh green: a hole would show the photo
    drawn = photo.frame(portrait.expression, np.radians([0.0, yaw, 0.0]))
    photo.paint[:] = painted
    assert (np.abs(drawn.astype(int) - [0, 255, 0]) <= 1).all(), np.argwhere((drawn != [0, 255, 0]).any(-1))
    turned = photo.frame(portrait.expression, np.radians([0.0, yaw, 0.0]))
    assert np.abs(turned[-3:].astype(int) - portrait.picture[-3:]).mean() < 0.5
    moved = np.abs(turned[120:180, 90:180].astype(int) - portrait.picture[120:180, 90:180])
    assert moved.mean() > 20


def test_nose_turns_about_the_neck(portrait, photo):
    at_rest, turned = (photo.project(portrait.expression, np.array([0.0, yaw, 0.0]))[4] for yaw in (0.0, 0.3))
    # It swings about a joint 0.6 dm behind the origin, from a yaw of -0.08; nearer things look larger.
    nose = float(MODEL.mean_shape[4, 2])
    across = (nose + 0.6) * (np.sin(0.3 - 0.08) - np.sin(-0.08))
    assert turned[0] - at_rest[0] == pytest.approx(across * 1160 / (10 - nose) * 150 / 256, rel=0.05)


@pytest.mark.parametrize("ring", [RIGHT_EYE, LEFT_EYE])
def test_lids_shut(portrait, photo, ring):
    half = len(ring) // 2
    upper, lower = list(ring[1:half]), list(ring[:half:-1])  # rings run from the right corner over the upper lid
    opened, shut = (photo.project(portrait.expression, np.zeros(3), closure)[:, :2] for closure in (0.0, 1.0))
    gaps = [np.linalg.norm(points[upper] - points[lower], axis=1).mean() for points in (opened, shut)]
    assert gaps[1] < 0.25 * gaps[0]
    assert np.abs(shut - opened)[list(INNER_LIPS)].max() == 0


def test_blinks_are_natural():
    closure = blinks(25 * 600, seed=1)
    shut = np.flatnonzero(closure == 1)
    pauses = np.diff(shut) / 25
    assert 2.5 < pauses.mean() < 4.5
    assert pauses.min() > 1
    assert ((closure > 0).sum() / len(shut)) / 25 == pytest.approx(0.2, abs=0.01)  # seconds a blink lasts
    np.testing.assert_array_equal(closure[:500], blinks(500, seed=1))


def test_who_takes_the_frames_may_train_between_them(portrait):
    talker = PhotoTalker(portrait, MODEL, SimpleNamespace(eval=lambda: None))
    performance = PhotoPerformance(np.zeros((2, 64), np.float32), np.zeros((2, 3)), np.zeros(2))
    modes = [(frame.shape, torch.is_inference_mode_enabled()) for frame in talker.full_frames(performance)]
    assert modes == [((HEIGHT, WIDTH, 3), False)] * 2


def test_no_face_is_refused():
    with pytest.raises(InputError, match=r"wall\.png: no face"):
        fit_portrait(np.full((200, 200, 3), 128, np.uint8), "wall.png", MODEL)


def test_photo_is_read_as_it_is_seen(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0] = [255, 0, 0]
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright by turning it clockwise
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    seen = read_photo(tmp_path / "turned.png")
    assert seen.shape == (6, 4, 3)
    np.testing.assert_array_equal(seen[0, 3], [255, 0, 0])
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.jpg: cannot be read as a picture"):
        read_photo(tmp_path / "text.jpg")


def test_settings_ask_for_photo_and_speech():
    with pytest.raises(InputError, match=r"data\.image=PHOTO"):
        compose(["experiment=photo", "generate.audio=a.wav"])
    with pytest.raises(InputError, match=r"generate\.audio=SPEECH"):
        compose(["experiment=photo", "data.image=a.jpg"])
