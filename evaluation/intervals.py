"""Estimates with their 95 % intervals."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
_RESAMPLES = 9999  # scipy's default; the ends of an interval then move in the third digit
_BATCH_VALUES = 10_000_000  # resampled values in memory at a time: 80 MB


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; nan where there is none.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        n: Observations behind it.
    """

    value: float
    low: float
    high: float
    n: int


def share(count: int, n: int) -> Estimate:
    """The share of `count` in `n` answers, with Wilson's interval.

    >>> [round(end, 3) for end in (share(269, 600).low, share(269, 600).high)]
    [0.409, 0.488]
    """
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    interval = stats.binomtest(count, n).proportion_ci(LEVEL, method="wilson")
    return Estimate(count / n, float(interval.low), float(interval.high), n)


def mean_score(scores: Mapping[str, Sequence[float]]) -> Estimate:
    """The mean of all scores, with a bootstrap interval over participants.

    The scores of one person go together (some people are strict), so people are drawn, not scores.

    Args:
        scores: Of every participant.

    Returns:
        The mean; no interval for fewer than two participants.
    """
    sums = np.array([sum(values) for values in scores.values()], float)
    counts = np.array([len(values) for values in scores.values()], float)
    n = int(counts.sum())
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return Estimate(mean, np.nan, np.nan, n)
    interval = stats.bootstrap(
        (sums, counts),
        lambda total, number, axis: total.sum(axis) / number.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),  # the same answers give the same table
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), n)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of observations that do not depend on each other, with a bootstrap interval.

    The interval is of percentiles, which with few observations is too narrow [of normal ones it holds the truth in
    75 % of cases for 3, 88 % for 8, 94 % for 20]; `n` says how many there were.

    Args:
        values: One per person, seed or clip; those that are nan could not be measured and are left out.

    Returns:
        The mean; no interval for fewer than two.
    """
    there = np.array([value for value in values if value == value], float)
    if len(there) < 2:
        return Estimate(float(there[0]) if len(there) else np.nan, np.nan, np.nan, len(there))
    interval = stats.bootstrap(
        (there,),
        np.mean,
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=max(1, _BATCH_VALUES // len(there)),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),  # the same runs give the same table
    ).confidence_interval
    return Estimate(float(there.mean()), float(interval.low), float(interval.high), len(there))


def correlation(x: Sequence[float], y: Sequence[float]) -> Estimate:
    """Pearson's r of pairs, with Fisher's interval.

    Args:
        x: Numbers.
        y: As many.

    Returns:
        r; nan for fewer than three pairs or where one side is constant, no interval for three.
    """
    n = len(x)
    if n < 3:
        return Estimate(np.nan, np.nan, np.nan, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)  # nan says it
        result = stats.pearsonr(x, y)
    if n == 3 or np.isnan(result.statistic):
        return Estimate(float(result.statistic), np.nan, np.nan, n)
    interval = result.confidence_interval(LEVEL)
    return Estimate(float(result.statistic), float(interval.low), float(interval.high), n)
