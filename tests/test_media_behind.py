import threading
import time

import pytest

from media.behind import behind


def test_calls_are_made_in_order_by_another_thread():
    made: list[tuple[int, int]] = []
    with behind(3) as later:
        for k in range(20):
            later(lambda k=k: made.append((k, threading.get_ident())))
    assert [k for k, _ in made] == list(range(20))
    assert {thread for _, thread in made} != {threading.get_ident()}
    assert len({thread for _, thread in made}) == 1


def test_no_more_wait_than_asked_for():
    gate, handed = threading.Event(), []

    def hand_over() -> None:
        with behind(2) as later:
            for k in range(5):
                later(gate.wait, 10)
                handed.append(k)

    thread = threading.Thread(target=hand_over)
    thread.start()
    deadline = time.monotonic() + 10
    while len(handed) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    thread.join(0.2)
    assert handed == [0, 1]  # the third waits for the first, which waits for the gate
    gate.set()
    thread.join(10)
    assert handed == [0, 1, 2, 3, 4]


def test_an_error_is_raised_at_the_end_or_before():
    with pytest.raises(ZeroDivisionError), behind(2) as later:
        later(lambda: 1 / 0)
    failed, handed = threading.Event(), []

    def fail() -> None:
        failed.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), behind(99) as later:  # noqa: PT012 - where it is raised is the question
        later(fail)
        failed.wait(10)
        time.sleep(0.1)
        later(handed.append, "one more")
        handed.append("and on")
    assert handed == []


def test_leaving_by_an_exception_drops_what_is_not_begun():
    gate, begun, made = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        gate.wait(10)
        made.append("first")

    def leave() -> None:
        with behind(9) as later:
            later(first)
            later(made.append, "second")
            begun.wait(10)
            threading.Timer(0.2, gate.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert made == ["first"]
