from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import data

from face import tracking
from face.assets import tracker_assets
from face.detection import FaceDetector, decode, make_anchors, merge, overlap
from face.landmarks import KEY_POINTS_68, MOUTH_CORNERS, NOSE_TIP, OUTER_EYES
from face.tracking import Face, FaceTracker, Looker, track
from face.warp import Square, sample
from media.errors import InputError

DATA = Path(__file__).parents[2] / "shared/data"


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A public-domain photo (E. Collins, NASA) around the head, 512 px."""
    return np.asarray(Image.fromarray(data.astronaut()[:256, 96:352]).resize((512, 512), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker()


def moved(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    return ndimage.shift(picture, (y, x, 0), order=3, mode="nearest")


def test_a_square_without_scaling_is_the_picture(portrait: np.ndarray) -> None:
    crop = sample(portrait, Square(200, 150, 64), 64)
    np.testing.assert_allclose(crop * 255, portrait[118:182, 168:232], atol=0.01)


def test_a_turned_square_agrees_with_scipy() -> None:
    smooth = ndimage.gaussian_filter(np.random.default_rng(0).random((120, 160, 3)), (3, 3, 0))
    picture = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    square = Square(81.3, 60.7, 50, 0.4)
    points = square.to_picture(np.stack(np.meshgrid(*[(np.arange(50) + 0.5) / 50] * 2), -1))
    expected = [ndimage.map_coordinates(picture[..., c] / 255, points.T[::-1] - 0.5, order=1).T for c in range(3)]
    np.testing.assert_allclose(sample(picture, square, 50), np.stack(expected, -1), atol=2e-3)


def test_shrinking_does_not_alias_and_keeps_positions() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(sample(stripes, Square(200, 200, 390), 96)) < 0.1
    ramp = np.repeat(np.repeat(np.arange(400)[None, :, None] * 0.6, 400, 0), 3, 2).astype(np.uint8)
    columns = (np.arange(100) + 0.5) * 3.5 + 25
    np.testing.assert_allclose(
        sample(ramp, Square(200, 200, 350), 100)[50, :, 0] * 255, (columns - 0.5) * 0.6, atol=0.8
    )


def test_beyond_the_picture_lies_its_edge_or_black() -> None:
    grey = np.full((60, 80, 3), 128, np.uint8)
    np.testing.assert_allclose(sample(grey, Square(0, 0, 100), 50), 128 / 255, atol=1e-6)
    black = sample(grey, Square(40, 30, 100), 50, replicate=False)
    assert black[0].max() == 0
    np.testing.assert_allclose(black[25, 15:35], 128 / 255, atol=1e-6)


def test_anchors_are_the_cell_centres_of_the_published_design() -> None:
    anchors = make_anchors()
    assert anchors.shape == (896, 2)
    np.testing.assert_allclose(anchors[[0, 1, 2, 32]], np.array([[4, 4], [4, 4], [12, 4], [4, 12]]) / 128)
    np.testing.assert_allclose(anchors[[512, 517, 518, -1]], np.array([[8, 8], [8, 8], [24, 8], [120, 120]]) / 128)


def test_boxes_are_decoded_relative_to_their_anchors() -> None:
    boxes, points = decode(np.r_[[12.8, -6.4, 25.6, 12.8], np.arange(12)][None], np.array([[0.5, 0.25]]))
    np.testing.assert_allclose(boxes, [[0.5, 0.15, 0.7, 0.25]])
    np.testing.assert_allclose(points[0, 1], [0.5 + 2 / 128, 0.25 + 3 / 128])


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6.0]])
    np.testing.assert_allclose(overlap(boxes[0], boxes), [1, 1 / 7, 0])
    assert merge([]) == []


def test_a_photo_is_tracked(portrait: np.ndarray, tracker: FaceTracker) -> None:
    face = tracker.find(portrait)
    assert face is not None
    assert face.confidence > 0.9
    right, left = face.landmarks[list(OUTER_EYES), :2]
    nose, mouth = face.landmarks[NOSE_TIP], face.landmarks[list(MOUTH_CORNERS)].mean(0)
    assert right[0] < nose[0] < left[0]
    assert max(right[1], left[1]) < nose[1] < mouth[1]
    assert nose[2] < face.landmarks[list(KEY_POINTS_68[:17]), 2].min()  # smaller z is nearer
    assert 190 < face.side < 240
    box = FaceDetector(tracker_assets().detector).detect(portrait)[0].box
    assert overlap(box, face.box[None])[0] > 0.5


def test_landmarks_follow_a_movement_of_part_of_a_pixel(portrait: np.ndarray, tracker: FaceTracker) -> None:
    still = tracker.find(portrait)
    assert still is not None
    steps = [0.0, 0.4, 0.8, 1.2, 1.6, 2.0]
    found = track([moved(portrait, x, 0) for x in steps], "photo").landmarks
    movement = (found - found[0]).mean(1)
    np.testing.assert_allclose(movement[:, 0], steps, atol=0.35)
    np.testing.assert_allclose(movement[:, 1], 0, atol=0.35)


def test_the_square_turns_with_the_face(portrait: np.ndarray, tracker: FaceTracker) -> None:
    upright, turned = tracker.find(portrait), tracker.find(ndimage.rotate(portrait, -25, reshape=False, order=1))
    assert upright is not None
    assert turned is not None
    assert np.degrees(turned.square.angle - upright.square.angle) == pytest.approx(25, abs=2)
    assert turned.square.side == pytest.approx(upright.square.side, rel=0.05)


def test_a_small_face_in_a_large_picture_is_found(portrait: np.ndarray, tracker: FaceTracker) -> None:
    picture = np.full((1600, 900, 3), 90, np.uint8)
    picture[500:756, 300:556] = portrait[::2, ::2]
    face, large = tracker.find(picture), tracker.find(portrait)
    assert face is not None
    assert large is not None
    expected = large.landmarks / 2 + [300, 500, 0]
    assert np.linalg.norm((face.landmarks - expected)[:, :2], axis=1).mean() < 2


def test_short_gaps_are_bridged_by_interpolation(portrait: np.ndarray) -> None:
    black = np.zeros_like(portrait)
    frames = [black, portrait, moved(portrait, 8, 0), black, black, black, moved(portrait, 16, 0), black]
    found = track(frames, "film.mp4")
    assert found.bridged.tolist() == [True, False, False, True, True, True, False, True]
    assert (found.confidence[found.bridged] == 0).all()
    assert (found.confidence[~found.bridged] > 0.9).all()
    first, last = found.landmarks[2], found.landmarks[6]
    for share, middle in zip((0.25, 0.5, 0.75), found.landmarks[3:6], strict=True):
        np.testing.assert_allclose(middle, first + share * (last - first), atol=1e-3)
    np.testing.assert_array_equal(found.landmarks[0], found.landmarks[1])
    np.testing.assert_array_equal(found.landmarks[7], found.landmarks[6])


def test_long_gaps_are_refused_with_frame_and_time(portrait: np.ndarray) -> None:
    black = np.zeros_like(portrait)
    with pytest.raises(InputError, match=r"no face in film.mp4 from frame 10 \(0.40 s\) on"):
        track([portrait] * 10 + [black] * 40, "film.mp4")
    with pytest.raises(InputError, match=r"no face of at least 64 px in film.mp4 from frame 0 \(0.00 s\) on"):
        track([black] * 40, "film.mp4")
    with pytest.raises(InputError, match=r"from frame 0 \(0.00 s\) on"):
        track([black] * 5, "film.mp4")
    with pytest.raises(InputError, match="holds no pictures"):
        track([], "film.mp4")


def test_a_second_face_that_stays_is_refused(portrait: np.ndarray) -> None:
    two = np.concatenate([portrait, portrait[:, ::-1]], 1)
    one = np.concatenate([portrait, np.zeros_like(portrait)], 1)
    with pytest.raises(InputError, match=r"two faces in film.mp4 from frame 25 \(1.00 s\) on"):
        track([one] * 20 + [two] * 40, "film.mp4")
    assert not track([one] * 20 + [two] * 10 + [one] * 25, "film.mp4").bridged.any()


def test_a_face_that_is_too_small_is_refused(portrait: np.ndarray) -> None:
    small = np.full((300, 300, 3), 90, np.uint8)
    small[80:208, 80:208] = np.asarray(Image.fromarray(portrait).resize((128, 128), Image.Resampling.BICUBIC))
    with pytest.raises(InputError, match=r"is 5\d px at frame 0 \(0.00 s\), at least 64 px"):
        track([small], "film.mp4")


def test_a_wild_landmark_result_is_not_followed(portrait: np.ndarray, tracker: FaceTracker) -> None:
    face = tracker.find(portrait)
    assert face is not None
    larger = Face(face.landmarks * 2, face.confidence)
    assert not tracking._plausible(larger, face, portrait)
    assert not tracking._plausible(Face(np.add(face.landmarks, [600, 0, 0]), 1.0), face, portrait)
    assert not tracking._plausible(Face(face.landmarks, 0.3), face, portrait)
    assert tracking._plausible(face, face, portrait)
    assert Looker(tracker_assets().landmarks)(np.zeros_like(portrait), face.square).confidence < 0.5


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
def test_a_small_face_of_a_real_film_is_followed() -> None:
    from media.video import read_frames

    frames = read_frames(DATA / "personal/garden_10s.mp4", 0, 30)
    found = track(frames, "garden")
    assert not found.bridged.any()
    steps = np.linalg.norm(np.diff(found.landmarks[..., :2].mean(1), axis=0), axis=-1)
    assert steps.max() < 10
