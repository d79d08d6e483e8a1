"""Sharing work among the processes that `torchrun` starts; alone without it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")

_LONGEST_WAIT = timedelta(days=30)  # ours: some processes may have much longer videos than others


@contextmanager
def joined_processes() -> Iterator[int]:
    """Meet the other processes of `torchrun`, over gloo, and leave one thread to each; its number, 0 for the first."""
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield dist.get_rank() if dist.is_initialized() else 0
        return
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def own_share(items: Sequence[T]) -> Sequence[T]:
    """The items of this process: neighbours, every item in exactly one process, sizes differing by one at most.

    >>> own_share("abc")
    'abc'
    """
    if not dist.is_initialized():
        return items
    rank, count = dist.get_rank(), dist.get_world_size()
    return items[len(items) * rank // count : len(items) * (rank + 1) // count]


def gathered(items: list[T]) -> list[T]:
    """The items of all processes, in the order of the processes, in every process."""
    if not dist.is_initialized():
        return items
    parts: list[list[T]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]
