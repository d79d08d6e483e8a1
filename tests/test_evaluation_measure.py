"""Head angles against known poses and scipy, crops, the face mask against filled polygons."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares
from skimage.draw import polygon

from evaluation.measure import Measurement, canonical_face, head_angles, measure
from face import landmarks as mesh
from face.camera import Camera, pose_vertices
from face.crop import Crop, crop_around
from media.digest import sha256
from media.errors import InputError
from media.video import read_frames
from tests.moving_photo import film, roll

CAMERA = Camera(256)


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("square") / "crop.mp4")


@pytest.fixture(scope="module")
def measured(square: Path) -> Measurement:
    return measure(square)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    return measure(film(tmp_path_factory.mktemp("wide") / "wide.mp4", frames=6, width=480, height=320, zoom=1.2))


def seen(poses: np.ndarray, seed: int = 0) -> np.ndarray:
    """(T, 468, 3) landmarks of the canonical face in poses (T, 3) degrees, at drawn positions."""
    place = np.random.default_rng(seed).uniform(-1, 1, (len(poses), 3)) * [0.3, 0.3, 1.5]
    face = np.broadcast_to(canonical_face(), (len(poses), 468, 3))
    return CAMERA.project(pose_vertices(face, np.radians(poses), place))


def test_known_poses_are_recovered() -> None:
    poses = np.random.default_rng(1).uniform(-1, 1, (600, 3)) * [30, 45, 30]
    np.testing.assert_allclose(head_angles(seen(poses), canonical_face(), CAMERA), poses, atol=1e-4)


def test_mouth_and_eyelids_do_not_turn_the_head() -> None:
    poses = np.array([[5.0, -12.0, 3.0], [-8.0, 20.0, 0.0]])
    landmarks = seen(poses)
    landmarks[:, mesh.LIPS] += [0, 15, 0]
    landmarks[:, mesh.CHIN] += [0, 15, 0]
    landmarks[:, [159, 386]] += [0, 5, 0]  # middles of the upper lids
    np.testing.assert_allclose(head_angles(landmarks, canonical_face(), CAMERA), poses, atol=1e-4)


def test_noisy_points_give_the_least_squares_pose_that_scipy_finds() -> None:
    poses = np.array([[7.0, -25.0, 4.0]])
    landmarks = seen(poses) + np.random.default_rng(2).normal(0, 2, (1, 468, 3))
    got = head_angles(landmarks, canonical_face(), CAMERA)[0]
    face = canonical_face()
    still = {*mesh.RIGHT_EYE_CORNERS, *mesh.LEFT_EYE_CORNERS}
    moving = {*mesh.RIGHT_EYE, *mesh.LEFT_EYE, *mesh.RIGHT_BROW, *mesh.LEFT_BROW} - still
    rigid = [i for i in range(468) if face[i, 1] >= face[2, 1] and i not in moving]

    def residual(pose: np.ndarray) -> np.ndarray:
        projected = CAMERA.project(pose_vertices(face[rigid][None], pose[None, :3], pose[None, 3:]))
        return (projected[0, :, :2] - landmarks[0, rigid, :2]).ravel()

    best = least_squares(residual, np.zeros(6))
    np.testing.assert_allclose(got, np.degrees(best.x[:3]), atol=1e-3)
    assert np.abs(got - poses[0]).max() < 2.0


def test_a_photo_turned_in_its_plane_turns_the_measured_head_as_far(measured: Measurement) -> None:
    turned = np.array([roll(frame) for frame in range(len(measured))])
    np.testing.assert_allclose(measured.angles[:, 2] - measured.angles[0, 2], turned, atol=1.5)
    assert np.ptp(measured.angles[:, 2]) > 15


def test_a_256_px_square_is_taken_whole(measured: Measurement, square: Path) -> None:
    assert (measured.width, measured.height, len(measured)) == (256, 256, 20)
    assert measured.crop == Crop(0.0, 0.0, 256.0, 256)
    assert measured.sha256 == sha256(square)
    np.testing.assert_array_equal(np.stack(list(measured.frames())), read_frames(square))
    assert measured.landmarks.shape == (20, 468, 3)
    assert measured.key_points.shape == (20, 68, 2)
    assert not measured.bridged.any()
    np.testing.assert_array_equal(measured.mouth_opening, mesh.mouth_opening(measured.landmarks))


def test_anything_else_is_cropped_around_its_face(wide: Measurement) -> None:
    assert wide.crop.size == 256
    expected = crop_around(wide.crop.to_source(wide.landmarks), margin=1.25)
    np.testing.assert_allclose(
        [wide.crop.x, wide.crop.y, wide.crop.side], [expected.x, expected.y, expected.side], atol=1e-2
    )
    frame = next(wide.frames())
    assert frame.shape == (256, 256, 3)
    np.testing.assert_array_equal(frame, wide.crop.apply(read_frames(wide.path, stop=1)[0]))


def test_the_crop_of_the_reference_is_scaled_to_another_size(wide: Measurement, tmp_path: Path) -> None:
    half = measure(film(tmp_path / "half.mp4", frames=6, width=240, height=160, zoom=0.9), like=wide)
    assert (half.crop.x, half.crop.y, half.crop.side) == (wide.crop.x / 2, wide.crop.y / 2, wide.crop.side / 2)


def test_another_view_is_refused_in_one_line(wide: Measurement, tmp_path: Path) -> None:
    path = film(tmp_path / "tall.mp4", frames=2, width=200, height=300)
    with pytest.raises(InputError, match="480x320") as refusal:
        measure(path, like=wide)
    assert "200x300" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_without_a_face_is_refused_with_frame_and_time(tmp_path: Path) -> None:
    path = film(tmp_path / "grey.mp4", frames=30, change=lambda picture, _: np.full_like(picture, 90))
    with pytest.raises(InputError, match=r"frame 0 \(0\.00 s\)"):
        measure(path)


def test_face_mask_is_the_outline_with_the_mouth_and_without_the_eyes(measured: Measurement) -> None:
    points = measured.landmarks[0, :, :2].astype(np.float64)

    def filled(ring: tuple[int, ...]) -> np.ndarray:
        area = np.zeros((256, 256), dtype=bool)
        area[polygon(points[list(ring), 1] - 0.5, points[list(ring), 0] - 0.5, (256, 256))] = True
        return area

    expected = filled(mesh.OUTLINE) & ~filled(mesh.RIGHT_EYE) & ~filled(mesh.LEFT_EYE)
    mask = measured.face_mask(0)
    assert mask.shape == (256, 256)
    assert mask.dtype == bool
    assert (mask & expected).sum() / (mask | expected).sum() > 0.98
    assert mask[filled(mesh.INNER_LIPS)].all()
    assert not mask[filled(mesh.RIGHT_EYE)].all()
