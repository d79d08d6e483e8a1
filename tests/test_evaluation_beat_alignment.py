"""Beat alignment against loops over beats, a head that nods in time, and chance."""

import doctest
import math

import numpy as np
import pytest
import torch

from evaluation import beat_alignment as module
from evaluation.beat_alignment import BeatAlignment, beat_alignment, head_beats


def wander(frames: int, seed: int) -> torch.Tensor:
    """Smooth random angles (frames, 3) in degrees."""
    steps = torch.randn(frames + 20, 3, generator=torch.Generator().manual_seed(seed))
    return 20 * steps.unfold(0, 21, 1).mean(dim=2)


def naive(beats: list[int], sound: list[float]) -> float:
    total = 0.0
    for frame in beats:
        nearest = min(abs(frame / 25 - time) for time in sound)
        total += math.exp(-(nearest**2) / (2 * 0.05**2))
    return total / len(beats)


def test_doctests() -> None:
    assert doctest.testmod(module).failed == 0


def test_equals_loops_over_the_beats_and_all_shifts() -> None:
    angles = wander(150, seed=1)
    sound = sorted(np.random.default_rng(0).uniform(0, 6, 12).tolist())
    beats = head_beats(angles).tolist()
    assert len(beats) > 5
    scores = beat_alignment(angles, torch.tensor(sound, dtype=torch.float64))
    assert scores["beat_align"].item() == pytest.approx(naive(beats, sound), abs=1e-6)
    shifted = [naive([(frame + shift) % 150 for frame in beats], sound) for shift in range(150)]
    assert scores["beat_align_chance"].item() == pytest.approx(np.mean(shifted), abs=1e-6)


def test_a_head_that_rests_on_the_beats_scores_1_and_between_them_0() -> None:
    time = torch.arange(200) / 25
    nod = torch.stack([10 * torch.cos(2.5 * torch.pi * time), 0 * time, 0 * time], dim=1)
    on_beats = torch.arange(1, 20) * 0.4
    assert beat_alignment(nod, on_beats)["beat_align"].item() == pytest.approx(1, abs=0.02)
    assert beat_alignment(nod, on_beats + 0.2)["beat_align"].item() < 0.05


def test_a_fixed_head_has_no_beats_and_silence_no_value() -> None:
    assert beat_alignment(torch.full((60, 3), 4.0), torch.tensor([1.0]))["beat_align"].item() == 0
    jitter = 0.001 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    assert len(head_beats(jitter)) == 0
    assert beat_alignment(wander(60, seed=1), torch.empty(0))["beat_align"].isnan()


def test_metric_is_the_mean_over_videos() -> None:
    videos = [(wander(90, seed=s), torch.arange(1, 6) * 0.5) for s in range(3)]
    metric = BeatAlignment()
    for video in videos:
        metric.update(*video)
    expected = np.mean([beat_alignment(*video)["beat_align"].item() for video in videos])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, 3\)"):
        beat_alignment(torch.zeros(20), torch.tensor([1.0]))
    with pytest.raises(ValueError, match=r"\(M,\)"):
        beat_alignment(torch.zeros(20, 3), torch.zeros(3, 1))
