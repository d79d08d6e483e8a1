"""LMD against a naive loop, its invariances and units."""

import doctest
import math

import pytest
import torch

from evaluation import landmark_distance as module
from evaluation.landmark_distance import LandmarkDistance, landmark_distance


@pytest.fixture(scope="module")
def points() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = 60 + 120 * torch.rand(7, 68, 2, generator=generator)
    return reference + 4 * torch.randn(7, 68, 2, generator=generator), reference


def naive(generated: torch.Tensor, reference: torch.Tensor, first: int = 48) -> list[tuple[float, float]]:
    """(pixels, outer-eye distances) of each frame, written as loops over plain numbers."""
    values = []
    count = 68 - first
    for ours, true in zip(generated.tolist(), reference.tolist(), strict=True):
        centre_ours = [sum(p[axis] for p in ours[first:]) / count for axis in (0, 1)]
        centre_true = [sum(p[axis] for p in true[first:]) / count for axis in (0, 1)]
        total = 0.0
        for i in range(first, 68):
            dx = (ours[i][0] - centre_ours[0]) - (true[i][0] - centre_true[0])
            dy = (ours[i][1] - centre_ours[1]) - (true[i][1] - centre_true[1])
            total += math.hypot(dx, dy)
        eyes = math.hypot(true[36][0] - true[45][0], true[36][1] - true[45][1])
        values.append((total / count, total / count / eyes))
    return values


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0


def test_equals_a_naive_loop_in_both_units(points) -> None:
    expected = naive(*points)
    assert landmark_distance(*points).tolist() == pytest.approx([iod for _, iod in expected], rel=1e-6)
    half = landmark_distance(*points, unit="px128", size=256).tolist()
    assert half == pytest.approx([pixels / 2 for pixels, _ in expected], rel=1e-6)


def test_whole_face_equals_a_naive_loop_over_all_points(points) -> None:
    expected = naive(*points, first=0)
    got = landmark_distance(*points, region="face").tolist()
    assert got == pytest.approx([iod for _, iod in expected], rel=1e-6)
    moved = points[0] + torch.tensor([11.0, -5.0])
    assert landmark_distance(moved, points[1], region="face").tolist() == pytest.approx(got, rel=1e-5)


def test_frames_without_a_face_are_counted(points) -> None:
    generated, reference = points
    lost = generated.clone()
    lost[2] = torch.nan
    metric = LandmarkDistance(unit="px128")
    metric.update(lost[:4], reference[:4])
    metric.update(lost[4:], reference[4:])
    assert int(metric.lost) == 1
    expected = [pixels / 2 for k, (pixels, _) in enumerate(naive(*points)) if k != 2]
    assert metric.compute().item() == pytest.approx(sum(expected) / 6, rel=1e-6)


def test_only_the_shape_of_the_mouth_counts(points) -> None:
    generated, reference = points
    elsewhere = generated.clone()
    elsewhere[:, :48] = 0.0
    elsewhere += torch.tensor([11.0, -5.0])
    torch.testing.assert_close(landmark_distance(elsewhere, reference), landmark_distance(generated, reference))


def test_iod_does_not_depend_on_the_size_of_the_picture(points) -> None:
    generated, reference = (side.double() for side in points)
    torch.testing.assert_close(landmark_distance(3 * generated, 3 * reference), landmark_distance(generated, reference))
    torch.testing.assert_close(
        landmark_distance(3 * generated, 3 * reference, unit="px128", size=768),
        landmark_distance(generated, reference, unit="px128", size=256),
    )


def test_metric_is_the_mean_over_frames(points) -> None:
    generated, reference = points
    metric = LandmarkDistance()
    metric.update(generated[:2], reference[:2])
    metric.update(generated[2:], reference[2:])
    assert metric.compute().item() == pytest.approx(sum(iod for _, iod in naive(*points)) / 7, rel=1e-6)


def test_wrong_shapes_and_units_are_refused(points) -> None:
    generated, reference = points
    with pytest.raises(ValueError, match=r"\(T, 68, 2\)"):
        landmark_distance(generated[:1], reference)
    with pytest.raises(ValueError, match=r"\(T, 68, 2\)"):
        landmark_distance(generated[:, :20], reference[:, :20])
    with pytest.raises(ValueError, match="unknown LMD unit 'px'"):
        landmark_distance(generated, reference, unit="px")
    with pytest.raises(ValueError, match="unknown LMD region 'lips'"):
        landmark_distance(generated, reference, region="lips")
