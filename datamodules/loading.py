"""A DataLoader of clips whose workers keep to one core each, and refuse damaged clips in one line."""

import multiprocessing
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from datamodules.windows import Batch
from media.errors import InputError


class ClipLoader(DataLoader[Batch]):
    """Loads batches of clips' samples.

    The workers are forked from a process of their own that holds nothing but imported modules. Forks of the training
    process would now and then hang for ever: threads of codecs and of algebra libraries are not copied, and the first
    thing that waits for one of them, be it the clean-up of a video that was read before, never ends.

    Args:
        samples: What is loaded from.
        batch_size: Samples per batch of this process.
        sampler: Numbers of the samples, in their order; their last incomplete batch counts as well.
        workers: Loading processes, started anew in each epoch.
    """

    def __init__(self, samples: Dataset[Batch], batch_size: int, sampler: Iterable[int], workers: int):
        super().__init__(
            samples,
            batch_size,
            sampler=sampler,
            num_workers=workers,
            multiprocessing_context=_clean_context() if workers else None,
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


def _clean_context() -> multiprocessing.context.BaseContext:
    """How workers start; where there is no fork, as on Windows, each imports the modules itself."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["datamodules.corpus_windows", *_beside_the_program()])
    return context


def _beside_the_program() -> list[str]:
    """What `python -m PACKAGE.NAME` has imported of its package: a worker begins by importing the program again."""
    program = getattr(sys.modules["__main__"], "__spec__", None)
    if program is None or not program.parent:
        return []
    return [name for name in sys.modules if name.startswith(f"{program.parent}.") and name != program.name]


def _keep_to_one_core(worker: int) -> None:
    """Threads of numpy are as many in a worker as anywhere, unlike those of torch, and slow MFCC down ten times."""
    threadpool_limits(1, "blas")
