"""The bootstrap interval of a mean: closed form, coverage, edges."""

import math

import numpy as np
import pytest

from evaluation import intervals
from evaluation.intervals import mean


def test_interval_of_many_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).exponential(2.0, 4000)
    estimate = mean(values.tolist())
    half = 1.959964 * values.std() / math.sqrt(len(values))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.05 * half)
    assert estimate.n == 4000


def test_interval_of_two_values_ends_at_them() -> None:
    """Of two values a quarter of the resamples is each alone, so the 95 % of the middle reach both."""
    assert mean([1.0, 3.0]) == intervals.Estimate(2.0, 1.0, 3.0, 2)


def test_interval_holds_the_truth_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_RESAMPLES", 999)
    rng = np.random.default_rng(2)
    held = [(e := mean(rng.normal(5, 1, 30).tolist())).low <= 5 <= e.high for _ in range(400)]
    assert 0.90 <= np.mean(held) <= 0.98


def test_few_constant_and_missing_values() -> None:
    one = mean([4.0])
    assert (one.value, one.n) == (4.0, 1)
    assert math.isnan(one.low)
    assert mean([2.0, 2.0, 2.0]) == intervals.Estimate(2.0, 2.0, 2.0, 3)
    assert mean([1.0, math.nan, 3.0]).n == 2
    assert math.isnan(mean([]).value)
    assert mean([]).n == 0


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(3).normal(size=7).tolist()
    assert mean(values) == mean(values)
