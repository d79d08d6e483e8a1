"""A DataLoader of clips whose workers keep to one core each, and refuse damaged clips in one line."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from datamodules.windows import Batch
from media.errors import InputError


class ClipLoader(DataLoader[Batch]):
    """Loads batches of clips' samples.

    Args:
        samples: What is loaded from.
        batch_size: Samples per batch of this process.
        sampler: Numbers of the samples, in their order; their last incomplete batch counts as well.
        workers: Loading processes, started anew in each epoch.
        start: How they are started, `fork` or `spawn`; None: as the system does.
    """

    def __init__(
        self, samples: Dataset[Batch], batch_size: int, sampler: Iterable[int], workers: int, start: str | None = None
    ):
        super().__init__(
            samples,
            batch_size,
            sampler=sampler,
            num_workers=workers,
            multiprocessing_context=start,
            worker_init_fn=_keep_to_one_core if workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches.

        Raises:
            InputError: If a clip is damaged, without the worker's traceback.
        """
        try:
            yield from super().__iter__()
        except InputError as error:
            # torch raises a worker's error again, its message replaced by the worker's traceback
            last = re.findall(r"InputError: (.*)$", str(error).rstrip())
            raise InputError(last[-1] if last else str(error)) from None


def _keep_to_one_core(worker: int) -> None:
    """Threads of numpy are as many in a worker as anywhere, unlike those of torch, and slow MFCC down ten times."""
    threadpool_limits(1, "blas")
