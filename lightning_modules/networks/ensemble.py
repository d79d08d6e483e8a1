"""Several mappings from sound to motion that learn side by side and speak with one voice."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.networks.recurrent_mapping import RecurrentMapping, State


class Ensemble(nn.Module):
    """Members of equal shape and unequal start, each trained on its own.

    In training the batch holds one share per member, in order (`shares`), and each sees its own. At test every member
    hears everything. What the sound decides is averaged; of the rest only the last member is asked, for it hardly
    follows from the sound, and a mean of several courses moves less than any of them.

    Args:
        members: Two or more.
        averaged: How many of the outputs, from the first on, are averaged.
    """

    def __init__(self, members: list[RecurrentMapping], averaged: int):
        super().__init__()
        self.averaged = averaged
        self.members = nn.ModuleList(members)

    def forward(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised windows (B, T, 28, 12) -> (B, T, outputs) and the states of all members, one after the other."""
        count = len(self.members)
        heard = mfcc.chunk(count) if self.training else [mfcc] * count
        states = [None] * count if state is None else list(zip(*(part.chunk(count) for part in state), strict=True))
        spoken = [member(*inputs) for member, inputs in zip(self.members, zip(heard, states, strict=True), strict=True)]
        outputs, after = zip(*spoken, strict=True)
        if self.training:
            together = torch.cat(outputs)
        else:
            mean = torch.stack(outputs)[..., : self.averaged].mean(0)
            together = torch.cat([mean, outputs[-1][..., self.averaged :]], -1)
        return together, (torch.cat([h for h, _ in after]), torch.cat([c for _, c in after]))


def make_mapping(outputs: int, averaged: int, members: int, **shape: Any) -> RecurrentMapping | Ensemble:
    """One network, or several that differ in their random start.

    Args:
        outputs: Numbers per frame.
        averaged: How many of them several networks average at test.
        members: How many networks.
        **shape: Keywords of `RecurrentMapping`.
    """
    networks = [RecurrentMapping(outputs, **shape) for _ in range(members)]
    return networks[0] if members == 1 else Ensemble(networks, averaged)


def first_encoder(network: nn.Module) -> nn.Module:
    """The encoder of the network, of the first one where there are several."""
    encoder: nn.Module = members_of(network)[0].get_submodule("encoder")
    return encoder


def members_of(network: nn.Module) -> list[nn.Module]:
    """The members of an ensemble, the first of which a general first stage becomes; else the network itself."""
    return list(network.members) if isinstance(network, Ensemble) else [network]
