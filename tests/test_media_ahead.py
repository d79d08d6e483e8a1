"""Iterators that run ahead in a thread, against the same iterators without one."""

import threading
import time

import pytest

from media.ahead import ahead


def test_items_come_in_order_and_whole():
    assert list(ahead(range(1000), 3)) == list(range(1000))
    assert list(ahead([], 2)) == []
    assert list(ahead([None, None])) == [None, None]


def test_they_are_made_in_another_thread_at_most_so_many_ahead():
    made, threads = [], set()

    def items():
        for k in range(50):
            made.append(k)
            threads.add(threading.get_ident())
            yield k

    for taken, item in enumerate(ahead(items(), 4)):
        assert item == taken
        time.sleep(0.002)
        assert len(made) <= taken + 7  # taken, four waiting, one in hand, one begun
    assert threads
    assert threading.get_ident() not in threads


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("broken")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="broken"):
        next(taken)


@pytest.mark.parametrize("count", [1, 4])
def test_leaving_early_ends_the_thread_and_closes_the_iterator(count):
    closed = threading.Event()

    def items():
        try:
            yield from iter(int, 1)  # zeros for ever
        finally:
            closed.set()

    before = threading.active_count()
    taken = ahead(items(), count)
    assert next(taken) == 0
    taken.close()
    assert closed.wait(2)
    assert threading.active_count() == before
