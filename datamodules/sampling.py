"""Which samples come when and in which process.

In training the order is a function of (seed, epoch), so that a resumed run sees the same one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler


def process_place(trainer: pl.Trainer | None) -> tuple[int, int]:
    """The number of this process in a training, and how many there are; without a Trainer it is the only one."""
    return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)


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


def evaluation_loader(
    dataset: Dataset[Any],
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    loader: Callable[..., DataLoader[Any]] = DataLoader,
) -> Any:
    """Batches of the samples that fall to one process in an evaluation: all in order, every one on one process alone.

    A process may get one sample less than another, or none; padding them would count samples twice.

    Args:
        dataset: With a length.
        batch_size: Of one process.
        rank: This process.
        world_size: Number of processes.
        loader: Called with the dataset, `batch_size` and `sampler`.
    """
    size = len(dataset)  # type: ignore[arg-type]
    batches = loader(dataset, batch_size, sampler=range(rank, size, world_size))
    return batches if size >= world_size else WithoutLength(batches)


class WithoutLength:
    """A loader that does not tell its length.

    A process whose loader has length 0 is taken out of the evaluation by Lightning, and the others then wait for it
    forever where they add up their results.

    Args:
        loader: Maybe empty.
    """

    def __init__(self, loader: DataLoader[Any]):
        self.loader, self.dataset = loader, loader.dataset

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)
