"""The landmark network's second looks, and how it is cut into parts."""

import numpy as np
import pytest
from scipy import ndimage

from face.assets import tracker_assets
from face.draw_portraits import Painter
from face.landmark_net import LandmarkNet, _patch, _region
from face.landmarks import mouth_opening
from face.network import TfliteNetwork, parts_of
from face.random_faces import Expression, random_person


@pytest.fixture(scope="module")
def net() -> LandmarkNet:
    return LandmarkNet(tracker_assets().landmarks)


def lid_opening(points: np.ndarray) -> float:
    return float(np.mean([np.linalg.norm(points[a] - points[b]) for a, b in ((159, 145), (386, 374))]))


def test_parts_compute_what_the_whole_computes() -> None:
    model = tracker_assets().detector.read_bytes()
    picture = np.random.default_rng(0).uniform(-1, 1, (128, 128, 3)).astype(np.float32)
    whole = TfliteNetwork(model)(picture)
    names = sorted(whole)
    assert len(names) == 2
    for name, part in zip(names, parts_of(model, [("input", [name]) for name in names]), strict=True):
        assert len(part) < len(model) + 1000
        found = TfliteNetwork(part)(picture)
        assert list(found) == [name]
        np.testing.assert_allclose(found[name], whole[name], atol=1e-4)


def test_a_part_between_unknown_tensors_is_refused() -> None:
    with pytest.raises(ValueError, match="no tensor nowhere"):
        parts_of(tracker_assets().detector.read_bytes(), [("input", ["nowhere"])])


def test_lips_and_lids_close(net: LandmarkNet) -> None:
    blink = Expression(lids=(0.05, 0.05))
    wide = Expression(gap_upper=0.05, gap_lower=0.15, jaw_drop=0.17, upper_teeth=0.3)
    seen = []
    for number in range(1, 9):
        rng = np.random.default_rng(number)
        painter = Painter(random_person(rng))
        seen.append([net(painter.portrait(state, rng)).points for state in (Expression(), blink, wide)])
    rest, closed, spoken = zip(*seen, strict=True)
    assert max(map(mouth_opening, rest)) < 0.03
    assert np.median(list(map(mouth_opening, spoken))) > 0.15  # in some lights a drawn mouth is not taken for open
    assert np.median([lid_opening(b) / lid_opening(a) for a, b in zip(rest, closed, strict=True)]) < 0.4


def test_the_second_look_moves_lips_and_shuts_eyes_alone(net: LandmarkNet, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    picture = Painter(random_person(rng)).portrait(Expression(lids=(0.2, 0.2), gap_lower=0.1, jaw_drop=0.1), rng)
    points = net(picture).points
    monkeypatch.setattr(net, "_second", [])
    first = net(picture).points
    move = points - first
    assert not move[:, 2].any()
    assert not move[[105, 334, 50, 280, 4, 152]].any()  # brows, cheeks, nose, chin
    assert np.abs(move[[13, 14, 159, 386]]).max() > 0.5
    for upper, lower, ends in ((159, 145, (33, 133)), (386, 374, (362, 263))):
        along = first[ends[1], :2] - first[ends[0], :2]
        np.testing.assert_allclose(move[[upper, lower, *ends], :2] @ along, 0, atol=1e-9)


def test_a_patch_is_upright_and_holds_its_points_with_a_margin() -> None:
    rng = np.random.default_rng(2)
    angle = 0.5
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = rng.uniform([-6, -2], [6, 2], (40, 2)) @ turn + [24, 22]
    axes, corner = _region(points, 3 * turn[0])
    steps = (points - corner) @ np.linalg.inv(axes)
    low, high = steps.min(0), steps.max(0)
    np.testing.assert_allclose(high - low, 16 / 1.5)
    np.testing.assert_allclose((high + low) / 2, 8)
    np.testing.assert_allclose(axes[0] / np.linalg.norm(axes[0]), turn[0])


def test_features_are_interpolated_as_by_scipy() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(48, 48, 5)).astype(np.float32)
    axes, corner = np.array([[1.1, 0.4], [-0.3, 0.9]]), np.array([12.3, 9.7])
    places = np.arange(16)[:, None, None] * axes[1] + np.arange(16)[:, None] * axes[0] + corner
    expected = [ndimage.map_coordinates(features[..., c], places.transpose(2, 0, 1)[::-1], order=1) for c in range(5)]
    np.testing.assert_allclose(_patch(features, axes, corner), np.stack(expected, -1), atol=1e-5)
