"""CSIM against a loop over frames."""

import doctest

import numpy as np
import pytest
import torch

from evaluation import identity_similarity
from evaluation.identity_similarity import CSIM, csim


def test_doctests() -> None:
    assert doctest.testmod(identity_similarity).failed == 0


def test_equals_a_loop_and_lost_frames_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(5, 512, generator=generator)
    generated = reference + torch.randn(5, 512, generator=generator)
    expected = [
        float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(generated.numpy(), reference.numpy(), strict=True)
    ]
    assert csim(generated, reference).tolist() == pytest.approx(expected, abs=1e-6)
    generated[1] = torch.nan
    metric = CSIM()
    metric.update(generated[:2], reference[:2])
    metric.update(generated[2:], reference[2:])
    assert metric.compute().item() == pytest.approx(np.mean([expected[k] for k in (0, 2, 3, 4)]), abs=1e-6)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, D\)"):
        csim(torch.zeros(3, 512), torch.zeros(2, 512))
