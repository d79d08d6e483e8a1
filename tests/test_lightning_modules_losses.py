import math

import pytest
import torch

from lightning_modules import losses


def test_continuity_is_a_sum_over_time_and_a_mean_over_the_batch():
    sequence = torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for b in range(3):
        for t in range(6):
            for d in range(6):
                expected += float(sequence[b, t + 1, d] - sequence[b, t, d]) ** 2 / 3
    assert losses.continuity(sequence).item() == pytest.approx(expected, rel=1e-5)
    ramp = torch.arange(16.0).view(1, 16, 1).expand(1, 16, 6)
    assert losses.continuity(ramp).item() == 15 * 6
    assert losses.continuity(sequence[:, :1]).item() == 0


def test_adversarial_losses_are_the_logarithms_of_eq_4():
    logits = torch.tensor([[-2.0, 0.5], [3.0, -0.1]])
    probability = [1 / (1 + math.exp(-x)) for x in logits.flatten().tolist()]
    real = -sum(math.log(p) for p in probability) / 4
    fake = -sum(math.log(1 - p) for p in probability) / 4
    assert losses.discriminator_loss(logits, logits).item() == pytest.approx(real + fake, rel=1e-6)
    assert losses.generator_adversarial_loss(logits).item() == pytest.approx(real, rel=1e-6)
    assert losses.discriminator_loss(torch.tensor([1e4]), torch.tensor([-1e4])).item() == 0
    assert losses.generator_adversarial_loss(torch.tensor([-1e4])).item() == 1e4  # does not saturate


def test_reconstruction_loss_is_a_mean_weighted_or_not():
    frame, target = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    target[0, :, 0, 0] = torch.tensor([0.3, 0.6, 0.9])
    assert losses.reconstruction_loss(frame, target).item() == pytest.approx(0.6 / 4)
    weight = torch.tensor([[[[3.0, 1.0], [1.0, 1.0]]]])
    assert losses.reconstruction_loss(frame, target, weight).item() == pytest.approx(0.6 * 3 / 6)
    assert losses.reconstruction_loss(frame, target, 7 * torch.ones(1, 1, 2, 2)).item() == pytest.approx(0.15)


def test_attention_loss_is_the_root_mean_square_with_a_gradient_at_zero():
    assert losses.attention_loss(torch.full((2, 1, 8, 8), 0.5)).item() == pytest.approx(0.5)
    assert losses.attention_loss(torch.full((2, 1, 64, 64), 0.5)).item() == pytest.approx(0.5)  # of any size
    mixed = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    assert losses.attention_loss(mixed).item() == pytest.approx(0.5, abs=1e-4)  # mean over the batch outside the root
    zero = torch.zeros(1, 1, 4, 4, requires_grad=True)
    losses.attention_loss(zero).backward()
    assert zero.grad.isfinite().all()


def test_smoothness_loss_equals_plain_loops():
    attention = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(1))
    expected = 0.0
    for b in range(2):
        a = attention[b, 0]
        for i in range(5):
            for j in range(4):
                if i < 4:
                    expected += float(a[i + 1, j] - a[i, j]) ** 2 / 2
                if j < 3:
                    expected += float(a[i, j + 1] - a[i, j]) ** 2 / 2
    assert losses.smoothness_loss(attention).item() == pytest.approx(expected, rel=1e-5)


def test_weighted_sum_leaves_out_what_weighs_nothing():
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(float("nan"))}
    assert losses.weighted_sum(terms, {"a": 3.0, "b": 0.0, "unused": 1.0}).item() == 6.0
    with pytest.raises(ValueError, match="no weight for the loss b"):
        losses.weighted_sum(terms, {"a": 1.0})
    with pytest.raises(ValueError, match="weight 0"):
        losses.weighted_sum(terms, {"a": 0.0, "b": 0.0})


def test_losses_are_computed_in_fp32():
    half = torch.rand(1, 1, 64, 64).bfloat16()
    for value in (
        losses.attention_loss(half),
        losses.smoothness_loss(half),
        losses.generator_adversarial_loss(half),
        losses.discriminator_loss(half, half),
        losses.reconstruction_loss(half, half),
        losses.continuity(half[0]),
    ):
        assert value.dtype == torch.float32
