"""The terms of the two objectives (Eq. 2 and Eq. 4) as functions of tensors, each a scalar, in fp32 or more."""

import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.precision import at_least_fp32


def weighted_sum(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Add the terms of an objective.

    Args:
        losses: name -> () tensor.
        weights: name -> factor; a term of weight 0 is left out, so that it costs no backward pass.

    Returns:
        () tensor.

    Raises:
        ValueError: A loss has no weight of its name, or none has a weight above 0.
    """
    missing = sorted(set(losses) - set(weights))
    if missing:
        raise ValueError(f"no weight for the loss {', '.join(missing)}; weights given: {', '.join(sorted(weights))}")
    terms = [weights[name] * loss for name, loss in losses.items() if weights[name] != 0]
    if not terms:
        raise ValueError("every loss has weight 0: nothing to train on")
    return torch.stack(terms).sum()


def continuity(sequence: Tensor) -> Tensor:
    r"""Inter-frame continuity, the last term of Eq. 2.

    .. math:: \mathbb{E}\Big[\sum_{t=0}^{T-2} \lVert x^{(t+1)} - x^{(t)} \rVert_2^2\Big]

    A sum over time and dimensions, a mean over the batch: it weighs more in longer windows (original code: T = 16).

    Args:
        sequence: (B, T, D).

    Returns:
        () tensor, 0 for T = 1.
    """
    return at_least_fp32(sequence).diff(dim=1).square().sum(dim=(1, 2)).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r"""What D minimises in Eq. 4-5: :math:`-\mathbb{E}[\log D(r, g)] - \mathbb{E}[\log(1 - D(r, G(r, f)))]`.

    Args:
        real_logits: D before its sigmoid for true frames, any shape (one number per patch).
        fake_logits: The same for refined frames.
    """
    # log D = -softplus(-x), log(1 - D) = -softplus(x): stable for logits of any size
    real, fake = at_least_fp32(real_logits), at_least_fp32(fake_logits)
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_adversarial_loss(fake_logits: Tensor) -> Tensor:
    r"""What G minimises of the adversarial game: :math:`-\mathbb{E}[\log D(r, G(r, f))]`.

    The non-saturating form (Goodfellow et al. 2014) in place of Eq. 4's :math:`\log(1 - D)`, whose gradient vanishes
    while D still wins.

    Args:
        fake_logits: D before its sigmoid for refined frames, any shape.
    """
    return functional.softplus(-at_least_fp32(fake_logits)).mean()


def generator_losses(
    fake_logits: Tensor, frame: Tensor, attention: Tensor, target: Tensor, weight: Tensor | None = None
) -> dict[str, Tensor]:
    """The terms of what G minimises (Eq. 4), not yet weighted.

    Args:
        fake_logits: D before its sigmoid for the refined frames, any shape.
        frame: (B, 3, H, W) refined frames.
        attention: (B, 1, H, W) in [0, 1].
        target: (B, 3, H, W) true frames.
        weight: (B, 1, H, W) weight of each pixel in the L1 term.

    Returns:
        Scalars `adversarial`, `l1`, `attention` and `smoothness`.
    """
    return {
        "adversarial": generator_adversarial_loss(fake_logits),
        "l1": reconstruction_loss(frame, target, weight),
        "attention": attention_loss(attention),
        "smoothness": smoothness_loss(attention),
    }


def reconstruction_loss(frame: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference, the L1 term of Eq. 4.

    Args:
        frame: (B, 3, H, W) refined frame.
        target: (B, 3, H, W) true frame.
        weight: (B, 1, H, W) weight of each pixel; the mean is taken over the weights, frame by frame, so
            that a frame counts alike whatever else is in the batch or in the process.
    """
    difference = (at_least_fp32(frame) - at_least_fp32(target)).abs().mean(dim=1, keepdim=True)
    if weight is None:
        return difference.mean()
    return ((difference * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))).mean()


def attention_loss(attention: Tensor, eps: float = 1e-8) -> Tensor:
    r"""‖A‖₂ of Eq. 4 as a root mean square over pixels, mean over the batch.

    .. math:: \sqrt{\tfrac{1}{HW} \sum_{ij} A_{ij}^2 + \epsilon}

    The plain norm is 128 at A = 0.5 and 256 x 256 px, more than all other terms together, and would collapse A to 0.

    Args:
        attention: (B, 1, H, W) in [0, 1].
        eps: Inside the root, which has no gradient at 0.
    """
    return (at_least_fp32(attention).square().mean(dim=(1, 2, 3)) + eps).sqrt().mean()


def smoothness_loss(attention: Tensor) -> Tensor:
    """Sum of the squared differences of neighbouring pixels (Eq. 4, last term), mean over the batch.

    Args:
        attention: (B, 1, H, W).
    """
    attention = at_least_fp32(attention)
    vertical = attention.diff(dim=2).square().sum(dim=(1, 2, 3))
    horizontal = attention.diff(dim=3).square().sum(dim=(1, 2, 3))
    return (vertical + horizontal).mean()
