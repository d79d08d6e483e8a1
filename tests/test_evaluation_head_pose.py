"""HS against scipy's Wasserstein distance and closed forms: equal, shifted, two Gaussians."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm, wasserstein_distance

from evaluation import head_pose
from evaluation.head_pose import (
    AXES,
    HeadPoseSimilarity,
    head_pose_ceiling,
    head_pose_floor,
    head_pose_similarity,
)


def angles(frames: int, seed: int, spread: float = 6.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(frames, 3, generator=generator) + torch.tensor([3.0 * seed, -2.0, 0.5])


def test_doctests() -> None:
    assert doctest.testmod(head_pose).failed == 0


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
    assert head_pose_ceiling(poses) == head_pose_similarity(poses[:40], poses[40:])
    assert head_pose_ceiling(poses, centred=True)["hs"] > head_pose_ceiling(poses)["hs"]


def test_floor_is_the_mean_over_other_people() -> None:
    poses, others = angles(40, seed=0), [angles(40, seed=1), angles(70, seed=2)]
    scores = [head_pose_similarity(other, poses, centred=True) for other in others]
    floor = head_pose_floor(poses, others, centred=True)
    for key, value in floor.items():
        assert value.item() == pytest.approx((scores[0][key] + scores[1][key]).item() / 2, abs=1e-6)


@pytest.mark.parametrize(("means", "spreads"), [((0, 5), (6, 6)), ((0, 0), (3, 8)), ((-4, 3), (5, 5))])
def test_two_gaussians_are_as_far_apart_as_theory_says(means, spreads) -> None:
    """W1 of Gaussians is the distance of their means if they are alike, |difference of sigma| sqrt(2/pi) if centred."""
    shares = (np.arange(4000) + 0.5) / 4000
    sides = [torch.from_numpy(norm(m, s).ppf(shares)).expand(3, -1).T for m, s in zip(means, spreads, strict=True)]
    expected = (
        abs(means[1] - means[0]) if spreads[0] == spreads[1] else abs(spreads[1] - spreads[0]) * np.sqrt(2 / np.pi)
    )
    fine = head_pose_similarity(*sides, bin_width=0.05)
    assert fine["w1_yaw"].item() == pytest.approx(expected, abs=0.02)
    assert head_pose_similarity(*sides)["w1_yaw"].item() == pytest.approx(expected, abs=0.1)
    pooled = np.ptp(torch.cat(sides)[:, 0].numpy())
    assert fine["hs"].item() == pytest.approx(1 - expected / pooled, abs=0.002)


def test_centring_takes_a_constant_away_exactly() -> None:
    poses = angles(400, seed=0).double()
    moved = poses + torch.tensor([4.0, 0.0, -7.5])
    scores = head_pose_similarity(moved, poses, centred=True)
    assert scores["hs"].item() == pytest.approx(1, abs=1e-6)
    other = angles(217, seed=2, spread=4.0).double()
    scores = head_pose_similarity(moved, other, centred=True)
    for axis, name in enumerate(AXES):
        ours, true = (np.floor(side[:, axis].numpy() - side[:, axis].numpy().mean() + 0.5) for side in (moved, other))
        assert scores[f"w1_{name}"].item() == pytest.approx(wasserstein_distance(ours, true), abs=1e-5)


def test_bins_and_normaliser_can_be_chosen() -> None:
    generated, reference = angles(300, seed=1), angles(217, seed=2, spread=4.0)
    wide = head_pose_similarity(generated, reference, bin_width=5.0)
    for axis, name in enumerate(AXES):
        ours, true = (5 * np.floor(side[:, axis].double().numpy() / 5 + 0.5) for side in (generated, reference))
        assert wide[f"w1_{name}"].item() == pytest.approx(wasserstein_distance(ours, true), abs=1e-5)
    degrees = np.mean([head_pose_similarity(generated, reference)[f"w1_{name}"].item() for name in AXES])
    full = head_pose_similarity(generated, reference, normaliser="full")["hs"].item()
    assert full == pytest.approx(1 - degrees / 360, abs=1e-6)
    assert head_pose_similarity(generated, reference, normaliser=90)["hs"].item() == pytest.approx(
        1 - degrees / 90, abs=1e-6
    )
    metric = HeadPoseSimilarity(centred=True, bin_width=2.0, normaliser=90)
    metric.update(generated, reference)
    expected = head_pose_similarity(generated, reference, centred=True, bin_width=2.0, normaliser=90)
    assert metric.compute() == expected
    with pytest.raises(ValueError, match="unknown HS normaliser 'range'"):
        head_pose_similarity(generated, reference, normaliser="range")
    with pytest.raises(ValueError, match="bin width"):
        HeadPoseSimilarity(bin_width=0)


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


def test_another_array_library_is_not_started(tmp_path: Path) -> None:
    for name in ("jax", "tensorflow", "cupy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('it would take the memory of the GPU')")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POT_BACKEND")}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = "from evaluation.head_pose import head_pose_similarity"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
