"""Work for worker processes, in a module so that they find it."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def square(number: int) -> int:
    return number * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die_at_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def lose(number: int, end: str) -> str:
    return f"{number}: {end}"


def killed_once(marker: Path, delay: float, work: Callable[[Any], Any], item: Any) -> Any:
    """The work; the first worker to do any is killed in the middle of it."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return work(item)
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL))
    timer.start()
    work(item)
    timer.join()
    raise AssertionError("was not killed")
