"""Work behind: what is handed over is done in a thread of its own, in order, while whoever hands it over goes on."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


@contextmanager
def behind(count: int) -> Iterator[Callable[..., None]]:
    """Give a function that calls others later, in another thread.

    Encoding leaves Python's lock, so a second core gets work. The counterpart of `media.ahead`.

    Args:
        count: How many calls may be unfinished, with what they hold in memory; one more waits for the first of them.

    Yields:
        A function of what is to be called and its arguments. Leaving the block waits for all calls; an error of one is
        raised there, or by the next call after it has happened. Leaving the block by an exception drops the calls that
        have not begun.
    """
    unfinished: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(1)

    def later(work: Callable[..., Any], *arguments: Any) -> None:
        while unfinished and (len(unfinished) >= count or unfinished[0].done()):
            unfinished.popleft().result()
        unfinished.append(pool.submit(work, *arguments))

    try:
        yield later
        while unfinished:
            unfinished.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
