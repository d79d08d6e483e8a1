"""How many threads work on a batch: many side by side where kernels hold no lock, or one for the sake of the bytes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


def share_frames(work: Callable[[int, int], None], batch: int) -> None:
    """Deal the frames of a batch to as many threads as torch may use.

    Args:
        work: Called with the first frame and the distance to the next, once per thread.
        batch: Number of frames.
    """
    # Threads of our own and kernels that release the GIL, not numba's parallel loops: those abort the process
    # when it was forked (data loading workers) or when two threads render at once.
    workers = min(torch.get_num_threads(), batch)
    if workers <= 1:
        work(0, 1)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda first: work(first, workers), range(workers)))


@contextmanager
def one_thread() -> Iterator[int]:
    """Torch on one thread, giving how many it had: sums are then rounded alike wherever they are computed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
