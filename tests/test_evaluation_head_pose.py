"""HS against scipy's Wasserstein distance and closed forms; head movement against numpy."""

import doctest

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from evaluation import head_pose
from evaluation.head_pose import (
    AXES,
    HeadMotionRatio,
    HeadPoseSimilarity,
    angle_histogram,
    head_motion_ratio,
    head_pose_ceiling,
    head_pose_similarity,
)


def angles(frames: int, seed: int, spread: float = 6.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(frames, 3, generator=generator) + torch.tensor([3.0 * seed, -2.0, 0.5])


def test_doctests() -> None:
    assert doctest.testmod(head_pose).failed == 0


def test_histogram_equals_numpy_with_bins_centred_on_whole_degrees() -> None:
    poses = angles(300, seed=1)
    for axis in range(3):
        expected, _ = np.histogram(poses[:, axis].double().numpy(), bins=np.arange(-180.5, 181.5))
        np.testing.assert_array_equal(angle_histogram(poses)[axis], expected)


def test_equals_scipy_on_sequences_of_different_length() -> None:
    generated, reference = angles(300, seed=1), angles(217, seed=2, spread=4.0)
    scores = head_pose_similarity(generated, reference)
    shares = []
    for axis, name in enumerate(AXES):
        ours, true = (np.floor(poses[:, axis].double().numpy() + 0.5) for poses in (generated, reference))
        distance = wasserstein_distance(ours, true)
        assert scores[f"w1_{name}"].item() == pytest.approx(distance, abs=1e-5)
        shares.append(distance / np.ptp(np.concatenate([ours, true])))
    assert scores["hs"].item() == pytest.approx(1 - np.mean(shares), abs=1e-6)


def test_identical_is_1_and_disjoint_constants_are_0() -> None:
    poses = angles(50, seed=0)
    assert head_pose_similarity(poses, poses[torch.randperm(50)])["hs"].item() == 1.0
    left, right = torch.full((5, 3), -8.0), torch.full((9, 3), 3.0)
    scores = head_pose_similarity(left, right)
    assert scores["hs"].item() == 0.0
    assert scores["w1_yaw"].item() == 11.0
    # neighbouring bins less than a degree apart stay within [0, 1] too
    assert head_pose_similarity(torch.full((5, 3), 0.4), torch.full((5, 3), 0.6))["hs"].item() == 0.0


def test_a_shifted_distribution_moves_by_its_shift() -> None:
    poses = angles(400, seed=0)
    scores = head_pose_similarity(poses + torch.tensor([4.0, 0.0, -7.0]), poses)
    assert [scores[f"w1_{axis}"].item() for axis in AXES] == pytest.approx([4.0, 0.0, 7.0], abs=1e-5)


def test_metric_sees_one_video_in_any_pieces() -> None:
    generated, reference = angles(90, seed=1), angles(120, seed=2)
    metric = HeadPoseSimilarity()
    metric.update(generated[:60], reference[:10])
    metric.update(generated[60:], reference[10:])
    for key, value in head_pose_similarity(generated, reference).items():
        assert metric.compute()[key].item() == pytest.approx(value.item(), abs=1e-6)


def test_ceiling_is_the_similarity_of_the_halves() -> None:
    poses = torch.cat([angles(40, seed=0), angles(41, seed=1)])
    assert head_pose_ceiling(poses) == head_pose_similarity(poses[:40], poses[40:])["hs"]


def test_motion_ratio_equals_numpy() -> None:
    generated, reference = angles(60, seed=1, spread=2.0), angles(80, seed=2)
    variances = [poses.double().numpy().var(axis=0).sum() for poses in (generated, reference)]
    expected = np.sqrt(variances[0] / variances[1])
    assert head_motion_ratio(generated, reference).item() == pytest.approx(expected, rel=1e-6)
    metric = HeadMotionRatio()
    metric.update(generated[:11], reference[:30])
    metric.update(generated[11:], reference[30:])
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)


def test_motion_ratio_of_fixed_heads() -> None:
    still, moving = torch.full((30, 3), 7.3), angles(30, seed=1)
    assert head_motion_ratio(still, moving).item() == 0.0
    assert head_motion_ratio(still, still - 1).item() == 1.0
    assert head_motion_ratio(moving, still).item() == float("inf")


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (torch.zeros(4, 2), r"\(T, 3\)"),
        (torch.full((4, 3), 200.0), "180"),
        (torch.full((4, 3), float("nan")), "not a number"),
        (torch.zeros(0, 3), "at least one frame"),
    ],
)
def test_wrong_angles_are_refused(poses: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head_pose_similarity(poses, torch.zeros(3, 3))
