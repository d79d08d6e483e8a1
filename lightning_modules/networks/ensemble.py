"""Several mappings from sound to motion that learn side by side and speak with one voice: the mean of what they say."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.networks.recurrent_mapping import RecurrentMapping, State


class Ensemble(nn.Module):
    """Members of equal shape and unequal start, each trained on its own.

    In training the batch holds one share per member, in order (`shares`), and each sees its own. At test every member
    hears everything, and the outputs are averaged.

    Args:
        members: Two or more.
    """

    def __init__(self, members: list[RecurrentMapping]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised windows (B, T, 28, 12) -> (B, T, outputs) and the states of all members, one after the other."""
        count = len(self.members)
        heard = mfcc.chunk(count) if self.training else [mfcc] * count
        states = [None] * count if state is None else list(zip(*(part.chunk(count) for part in state), strict=True))
        spoken = [member(*inputs) for member, inputs in zip(self.members, zip(heard, states, strict=True), strict=True)]
        outputs, after = zip(*spoken, strict=True)
        together = torch.cat(outputs) if self.training else torch.stack(outputs).mean(0)
        return together, (torch.cat([h for h, _ in after]), torch.cat([c for _, c in after]))


def make_mapping(outputs: int, members: int, **shape: Any) -> RecurrentMapping | Ensemble:
    """One network, or several that differ in their random start; `shape` are the keywords of `RecurrentMapping`."""
    networks = [RecurrentMapping(outputs, **shape) for _ in range(members)]
    return networks[0] if members == 1 else Ensemble(networks)


def first_member(network: nn.Module) -> nn.Module:
    """The member that a general first stage becomes; a network that is none of an ensemble is its own."""
    return network.members[0] if isinstance(network, Ensemble) else network
