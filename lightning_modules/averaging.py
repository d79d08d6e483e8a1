"""Running averages of weights: what is used at test wanders less than what the last steps of training left."""

import copy

import torch
from torch import nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy that is not trained itself but moved by `follow`."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the running average of a network's weights one step towards them.

    Args:
        average: A copy of `network`.
        network: What is trained.
        decay: Share of the average that stays. In the first steps less stays, so that the random start is forgotten.
        step: Steps before this one.
    """
    stays = min(decay, step / (step + 9))  # ours: over about the last tenth of the steps, until `decay` is reached
    for kept, current in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(current.to(kept.dtype), 1 - stays)
    for kept_buffer, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept_buffer.copy_(buffer)
