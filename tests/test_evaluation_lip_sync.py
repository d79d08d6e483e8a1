"""Mouth correlation against numpy."""

import doctest

import numpy as np
import pytest
import torch

from evaluation import lip_sync
from evaluation.lip_sync import MouthCorrelation, mouth_correlation


@pytest.fixture(scope="module")
def openings() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    reference = 0.05 + 0.1 * torch.rand(200, generator=generator)
    return 0.6 * reference + 0.04 * torch.rand(200, generator=generator), reference


def test_doctests() -> None:
    assert doctest.testmod(lip_sync).failed == 0


def test_equals_numpy(openings) -> None:
    expected = np.corrcoef(*(opening.double().numpy() for opening in openings))[0, 1]
    assert 0.5 < expected < 0.95
    assert mouth_correlation(*openings).item() == pytest.approx(expected, abs=1e-6)
    metric = MouthCorrelation()
    metric.update(openings[0][:77], openings[1][:77])
    metric.update(openings[0][77:], openings[1][77:])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-6)


def test_one_for_itself_and_small_for_another_time(openings) -> None:
    _, reference = openings
    assert mouth_correlation(reference, reference).item() == pytest.approx(1.0, abs=1e-6)
    assert abs(mouth_correlation(reference.roll(60), reference).item()) < 0.25


def test_a_constant_mouth_follows_nothing(openings) -> None:
    _, reference = openings
    assert mouth_correlation(torch.full((200,), 0.1), reference).item() == 0.0


def test_wrong_shapes_are_refused(openings) -> None:
    with pytest.raises(ValueError, match=r"\(T,\)"):
        mouth_correlation(openings[0][:5], openings[1])
