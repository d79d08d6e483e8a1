from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from face import landmarks
from face.models.registry import load_face_model
from face.subdivision import boundary_loops

DATA = Path(__file__).parents[2] / "shared/data"


@pytest.fixture(scope="module")
def mean_face() -> np.ndarray:
    return load_face_model().mean_shape[: landmarks.COUNT].double().numpy()


def test_the_rings_are_the_open_boundaries_of_the_mesh() -> None:
    model = load_face_model()
    loops = boundary_loops(model.triangles.numpy())
    coarse = [{v for v in loop if v < landmarks.COUNT} for loop in loops]
    rings = [landmarks.OUTLINE, landmarks.INNER_LIPS, landmarks.RIGHT_EYE, landmarks.LEFT_EYE]
    assert sorted(map(sorted, coarse)) == sorted(map(sorted, rings))


@pytest.mark.parametrize("ring", ["OUTLINE", "INNER_LIPS", "OUTER_LIPS", "RIGHT_EYE", "LEFT_EYE"])
def test_rings_run_clockwise_in_a_picture(ring: str, mean_face: np.ndarray) -> None:
    x, y = mean_face[list(getattr(landmarks, ring)), :2].T
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2  # counter-clockwise positive, y up
    assert area < 0


def test_right_lies_at_smaller_x(mean_face: np.ndarray) -> None:
    for right, left in ((landmarks.RIGHT_EYE, landmarks.LEFT_EYE), (landmarks.RIGHT_BROW, landmarks.LEFT_BROW)):
        assert mean_face[list(right), 0].max() < 0 < mean_face[list(left), 0].min()
    right, left = landmarks.MOUTH_CORNERS
    assert mean_face[right, 0] < 0 < mean_face[left, 0]


def test_key_points_are_symmetric_and_in_order(mean_face: np.ndarray) -> None:
    points = mean_face[list(landmarks.KEY_POINTS_68)]
    assert len(set(landmarks.KEY_POINTS_68)) == 68
    # dlib's points 0-16, 17-26, 31-35 run from the right to the left of the face, each pair mirrored.
    for part in (slice(0, 17), slice(17, 27), slice(31, 36)):
        x, y, z = points[part].T
        assert (np.diff(x[: len(x) // 2 + 1]) > 0).all() or part.start == 0
        np.testing.assert_allclose(x, -x[::-1], atol=1e-3)
        np.testing.assert_allclose((y, z), (y[::-1], z[::-1]), atol=1e-3)
    assert points[:17, 1].argmin() == 8  # the chin
    assert points[:, 2].argmax() == 30  # the nose tip
    assert (np.diff(points[27:31, 1]) < 0).all()


def test_mouth_opening_does_not_see_pose_and_size() -> None:
    rng = np.random.default_rng(0)
    face = rng.normal(size=(468, 3))
    upper, lower = face[13], face[14]
    expected = np.sqrt(((upper - lower) ** 2).sum()) / np.sqrt(((face[33] - face[263]) ** 2).sum())
    turned = 7.0 * face @ Rotation.from_euler("xyz", [0.3, -0.5, 0.1]).as_matrix() + rng.normal(size=3)
    both = np.stack([face, turned])
    np.testing.assert_allclose(landmarks.mouth_opening(both), [expected, expected])
    torch.testing.assert_close(landmarks.mouth_opening(torch.tensor(both)), torch.tensor([expected, expected]))


def test_five_points_are_eye_centres_nose_and_mouth_corners(mean_face: np.ndarray) -> None:
    five = landmarks.five_points(mean_face)
    np.testing.assert_allclose(five[0], (mean_face[33] + mean_face[133]) / 2)
    np.testing.assert_allclose(five[1], (mean_face[263] + mean_face[362]) / 2)
    np.testing.assert_allclose(five[2:], mean_face[[4, 61, 291]])
    torch.testing.assert_close(landmarks.five_points(torch.tensor(mean_face)), torch.tensor(five))


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
def test_key_points_lie_where_deep3d_has_them(mean_face: np.ndarray) -> None:
    from scipy.io import loadmat

    from face.build_facemesh import similarity

    reference = loadmat(DATA / "deep3d_coefficients/similarity_Lm3D_all.mat")["lm"]
    points = mean_face[list(landmarks.KEY_POINTS_68)]
    scale, rotation, shift = similarity(points[17:], reference[17:])
    distance = np.linalg.norm(scale * points @ rotation + shift - reference, axis=1)
    eyes = np.linalg.norm(reference[36] - reference[45])
    assert distance[17:].mean() < 0.04 * eyes
    # The jaw is the rim of each model, and the rims differ in depth: only its course in the picture is compared.
    flat = (scale * points @ rotation + shift - reference)[:17, :2]
    assert np.linalg.norm(flat, axis=1).mean() < 0.08 * eyes
