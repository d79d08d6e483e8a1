"""How much a head moves, against numpy."""

import doctest

import numpy as np
import pytest
import torch

from evaluation import head_motion
from evaluation.head_motion import HeadMotionRatio, head_motion_ratio
from tests.test_evaluation_head_pose import angles


def test_doctests() -> None:
    assert doctest.testmod(head_motion).failed == 0


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
