"""Distances of movement spectra against a spectrum written as sums, and against movements whose distance is known."""

import doctest

import numpy as np
import pytest
import torch

from evaluation import motion_spectra
from evaluation.motion_spectra import JITTER, MotionSpectraDistance, motion_spectra_distance


def wander(frames: int, seed: int, size: float = 5.0) -> torch.Tensor:
    """Smooth random angles (frames, 3) in degrees."""
    steps = torch.randn(frames + 20, 3, generator=torch.Generator().manual_seed(seed))
    return size * steps.unfold(0, 21, 1).mean(dim=2)


def naive(generated: torch.Tensor, reference: torch.Tensor, order: int) -> float:
    """Windows of 50 frames every 25, Fourier sums, power, weights: as the definition says."""
    window = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / 50) for n in range(50)])
    frequencies = np.arange(1, 26) * 0.5
    waves = np.exp(-2j * np.pi * frequencies[:, None] * np.arange(50) / 25)

    def spectrum(values: np.ndarray) -> np.ndarray:
        for _ in range(order):
            values = (values[1:] - values[:-1]) * 25
        parts = [values[k : k + 50] for k in range(0, len(values) - 49, 25)]
        power = [np.abs(waves @ ((part - part.mean()) * window)) ** 2 for part in parts]
        density = np.mean(power, axis=0) / (25 * (window**2).sum())
        density[:-1] *= 2  # the other half of the circle, but for the last frequency, which has none
        return density

    total = 0.0
    for axis in range(3):
        ours, real = (spectrum(side[:, axis].double().numpy()) for side in (generated, reference))
        still = 2 * JITTER**2 / 25 * (2 * 25 * np.sin(np.pi * frequencies / 25)) ** (2 * order)
        level = np.abs(10 * np.log10((ours + still) / (real + still)))
        total += ((ours + real) * level).sum() / (ours + real).sum()
    return total / 3


def test_doctests() -> None:
    assert doctest.testmod(motion_spectra).failed == 0


@pytest.mark.parametrize(("of", "order"), [("velocity", 1), ("acceleration", 2)])
def test_equals_the_definition_on_videos_of_different_length(of: str, order: int) -> None:
    generated, reference = wander(200, seed=1), wander(333, seed=2, size=8.0)
    expected = naive(generated, reference, order)
    assert expected > 1
    assert motion_spectra_distance(generated, reference, of).item() == pytest.approx(expected, rel=1e-5)


def test_twice_the_movement_is_6_db_and_none_is_far() -> None:
    real = wander(300, seed=1, size=50.0)
    assert motion_spectra_distance(2 * real, real).item() == pytest.approx(20 * np.log10(2), abs=0.05)
    still = motion_spectra_distance(torch.zeros(300, 3), real).item()
    assert 20 < still < 80
    assert motion_spectra_distance(torch.zeros(300, 3), torch.ones(300, 3)).item() == 0


def test_jitter_of_the_tracker_costs_little_and_trembling_much_in_acceleration() -> None:
    real = wander(300, seed=1, size=20.0)
    noise = torch.randn(300, 3, generator=torch.Generator().manual_seed(3))
    jittery = motion_spectra_distance(real + 0.03 * noise, real).item()
    assert jittery < 0.5
    trembling = [motion_spectra_distance(real + noise, real, of).item() for of in ("velocity", "acceleration")]
    assert trembling[1] > trembling[0] > 1


def test_where_a_head_looks_does_not_count() -> None:
    real = wander(120, seed=1)
    assert motion_spectra_distance(real + 30, real).item() == pytest.approx(0, abs=1e-4)


def test_metric_is_the_mean_over_videos_and_short_ones_have_no_value() -> None:
    metric = MotionSpectraDistance()
    pairs = [(wander(60, seed=s), wander(70, seed=s + 10)) for s in range(3)]
    for pair in [*pairs, (wander(7, seed=1), wander(70, seed=2))]:
        metric.update(*pair)
    expected = np.mean([motion_spectra_distance(*pair).item() for pair in pairs])
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, 3\)"):
        motion_spectra_distance(torch.zeros(20, 2), torch.zeros(20, 3))
    with pytest.raises(ValueError, match="unknown motion 'speed'"):
        motion_spectra_distance(torch.zeros(20, 3), torch.zeros(20, 3), "speed")
