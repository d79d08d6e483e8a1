"""The order in which training samples come: a function of (seed, epoch), so that a resumed run sees the same one."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """A random order per epoch that does not depend on what was drawn before, dealt out to the processes in turn.

    The order is the same for any number of processes, and so are the samples of every step: sample i of a step goes to
    process i % `world_size`. What is left after the last whole step is not used in that epoch, so that no process waits
    for another that has nothing left.

    Args:
        size: Number of samples.
        seed: The run's seed.
        rank: This process.
        world_size: Number of processes; no sample goes to two of them.
        batch_size: Samples per step, over all processes; 0 for one per process. Of fewer samples than that, one step
            is made.
    """

    def __init__(self, size: int, seed: int, rank: int = 0, world_size: int = 1, batch_size: int = 0):
        self.size, self.seed, self.rank, self.world_size = size, seed, rank, world_size
        whole = batch_size if 0 < batch_size <= size else world_size
        self.used = size // whole * whole
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Lightning calls this before every epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)
        return iter(order[self.rank : self.used : self.world_size].tolist())

    def __len__(self) -> int:
        return len(range(self.rank, self.used, self.world_size))


def dealt_once(size: int, rank: int, world_size: int) -> range:
    """The samples of one process in an evaluation: every sample is on exactly one process, in order.

    A process may get one less than another, or none; padding them would count samples twice.
    """
    return range(rank, size, world_size)
