"""The samples of a step, of all processes, in an order that does not depend on how many processes there are."""

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor


def in_global_order(module: pl.LightningModule, index: Tensor, *features: Tensor) -> tuple[Tensor, ...]:
    """Every sample of this step, sorted by its index.

    Lightning does not synchronise buffers under manual optimisation; what every process writes from these is the same.

    Args:
        module: Being trained.
        index: (B,) int64 indices of this process's samples in the data set. Each process has equally many.
        features: (B, ...) of those samples; no gradient flows through them.

    Returns:
        The indices and then each of the features, (processes * B, ...).
    """
    with torch.no_grad():
        samples = [as_dealt(module, tensor.detach()) for tensor in (index, *features)]
        order = samples[0].argsort(stable=True)
        return tuple(tensor[order] for tensor in samples)


def as_dealt(module: pl.LightningModule, tensor: Tensor) -> Tensor:
    """(B, ...) of every process to (processes * B, ...), in the order of a batch of one process with all samples.

    The data modules deal a batch out in turn: its sample i is on process i % n.
    """
    if module.trainer.world_size == 1:
        return tensor
    gathered: Any = module.all_gather(tensor)
    flat: Tensor = gathered.transpose(0, 1).flatten(0, 1)
    return flat


def first_samples(module: pl.LightningModule, batches: Iterable[dict[str, Tensor]], name: str, count: int) -> Tensor:
    """One entry of the first samples of all processes, whole batches until there are `count` of them or no more.

    As training gets them, which `module.on_after_batch_transfer` has a part in.
    """
    samples: list[Tensor] = []
    for batch in batches:
        moved = {name: batch[name].to(module.device)}
        samples += as_dealt(module, module.on_after_batch_transfer(moved, 0)[name])
        if len(samples) >= count:
            break
    return torch.stack(samples)
