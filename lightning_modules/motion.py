"""What the numbers of the first stage are: sizes, the scales of a person, how much and how rightly a mouth moves."""

import numpy as np
import torch
from torch import Tensor

from evaluation.lip_sync import mouth_correlation

EXPRESSION_SIZE, POSE_SIZE, MFCC_SIZE = 64, 6, 12
Array = np.ndarray | Tensor


def checked_scale(name: str, array: Array) -> Tensor:
    """A copy in fp32 of one of `Audio2PoseLSTM.person_buffers`.

    Raises:
        ValueError: Another shape, or a scale that is not above 0.
    """
    tensor = torch.as_tensor(array).detach().to(torch.float32, copy=True)
    expected = MFCC_SIZE if name.startswith("mfcc") else POSE_SIZE if name.startswith("pose") else EXPRESSION_SIZE
    if tensor.shape != (expected,):
        raise ValueError(f"Audio2PoseLSTM: {name} should have shape ({expected},), got {tuple(tensor.shape)}")
    if name in ("expression_scale", "pose_scale", "mfcc_std") and not (tensor > 0).all():
        raise ValueError(f"Audio2PoseLSTM: {name} has to be above 0 everywhere, its least is {tensor.min():g}")
    return tensor


def movement(sequence: Tensor) -> Tensor:
    """Variance over time of (B, T, D), summed over dimensions, mean over the batch."""
    return sequence.var(dim=1, correction=0).sum(-1).mean()


def lip_sync(expression: Tensor, true: Tensor, mouth_opening: Tensor) -> Tensor:
    """Correlation of the mouth openings (64,) of two (B, T, 64), mean over the batch."""
    openings = zip(expression @ mouth_opening, true @ mouth_opening, strict=True)
    return torch.stack([mouth_correlation(mine, theirs) for mine, theirs in openings]).mean()


def noisy(mfcc: Tensor, deviation: Tensor, noise: float, shift: float) -> Tensor:
    """MFCC (B, T, 28, 12) with noise on every number, and an offset of each coefficient that is constant in a sample.

    Args:
        mfcc: Not normalised.
        deviation: (12,) of the coefficients.
        noise: Deviation of the noise, in those; 0 for none.
        shift: Deviation of the offset, in those; 0 for none.
    """
    if noise:
        mfcc = mfcc + noise * deviation * torch.randn_like(mfcc)
    if shift:
        mfcc = mfcc + shift * deviation * torch.randn_like(mfcc[:, :1, :1])
    return mfcc
