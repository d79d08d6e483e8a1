import numpy as np
import pytest
import torch

from face.models.registry import load_face_model
from synthesis.eyes import EyeFollower


@pytest.fixture(scope="module")
def model():
    return load_face_model("facemesh")


def movement(model, weight, difference):
    """Mean movement of a region's vertices, vertex by vertex."""
    moved = np.einsum("tk,kvc->tvc", difference, model.expression_basis.numpy())
    return (np.linalg.norm(moved, axis=-1) * weight.numpy()).sum() / weight.numpy().sum() / len(difference)


def test_lids_follow_the_background_and_lips_the_sound(model):
    rng = np.random.default_rng(0)
    spoken, filmed = rng.normal(size=(2, 40, 64)).astype(np.float32)
    mixed = EyeFollower(model)(spoken, filmed)
    before = movement(model, model.eye_weight, spoken - filmed)
    assert movement(model, model.eye_weight, mixed - filmed) < 0.3 * before
    apart = movement(model, model.mouth_weight, spoken - filmed)
    assert movement(model, model.mouth_weight, mixed - spoken) < 0.1 * apart


def test_equal_expressions_stay(model):
    spoken = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    np.testing.assert_allclose(EyeFollower(model)(spoken, spoken), spoken, atol=1e-6)


def test_the_solution_is_the_minimum(model):
    rng = np.random.default_rng(2)
    spoken, filmed = rng.normal(size=(2, 1, 64)).astype(np.float32)
    best = torch.from_numpy(EyeFollower(model)(spoken, filmed)).double()

    def cost(beta):
        total = 0.0
        for weight, wanted in ((model.eye_weight, filmed), (model.mouth_weight, spoken)):
            moved = torch.einsum("tk,kvc->vc", beta - torch.from_numpy(wanted), model.expression_basis.double())
            total += (moved.square().sum(-1) * weight / weight.sum()).sum()
        return float(total)

    for step in rng.normal(0, 0.3, (20, 1, 64)):
        assert cost(best) < cost(best + torch.from_numpy(step))
