"""Work ahead: an iterator runs in a thread of its own, a few items before whoever takes them."""

from collections.abc import Iterable, Iterator
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_END = object()


def ahead(items: Iterable[T], count: int = 4) -> Iterator[T]:
    """Take items from an iterator in another thread, so that making the next one and using this one overlap.

    Decoding and encoding leave Python's lock, so a second core gets work.

    Args:
        items: Made in the thread, one after the other; nothing else may use the iterator meanwhile.
        count: How many may wait to be taken; bounds the memory.

    Yields:
        The items, in order. An error of the iterator is raised where its item would have come.
    """
    waiting: Queue[tuple[object, BaseException | None]] = Queue(count)
    stopped = Event()
    thread = Thread(target=_fill, args=(iter(items), waiting, stopped), daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        while thread.is_alive():  # it may be waiting for room
            while not waiting.empty():
                waiting.get_nowait()
            thread.join(0.01)


def _fill(items: Iterator[T], waiting: "Queue[tuple[object, BaseException | None]]", stopped: Event) -> None:
    try:
        for item in items:
            if stopped.is_set():
                break
            waiting.put((item, None))
        close = getattr(items, "close", None)
        if close is not None:
            close()  # a generator's files are closed in the thread that opened them
    except BaseException as error:  # raised again by whoever takes the items
        waiting.put((None, error))
        return
    waiting.put((_END, None))
