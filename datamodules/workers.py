"""Who does a long list of equal tasks: this process, processes beside it, or a Ray cluster.

All are called alike, `workers(work, items, lost)`, and give the results in any order. A worker that dies (killed, out
of memory, a decoder that crashes) takes nothing with it: its item is given to another, and only an item that has cost
three workers is given up.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

ATTEMPTS = 3  # ours: a machine that is short of memory kills at random, so one death says little of the item


class Workers(Protocol):
    """What all have in common."""

    def __call__(
        self, work: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item, str], Result]
    ) -> Iterator[Result]:
        """Do the work on every item.

        Args:
            work: A function of a module, so that other processes find it. An error that it raises ends everything.
            items: What it is done on; they can be pickled.
            lost: Gives the result of an item that no worker survived, from the item and the last one's end.

        Yields:
            A result per item, in the order they come.
        """
        ...


def in_this_process(
    work: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item, str], Result]
) -> Iterator[Result]:
    """Do the work here, one item after the other (`Workers`); a crash ends it."""
    for item in items:
        yield work(item)


def usable_cores() -> int:
    """Processor cores that this process may use, as the system or a Slurm job allows it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Worker:
    """A process, and what it is at work on: the item's number, None if it is idle."""

    process: BaseProcess
    pipe: Connection
    at: int | None = None

    def give(self, item: Any) -> None:
        with suppress(OSError):  # it has died; reading from it will say so
            self.pipe.send(item)

    def end(self) -> str:
        """How the process ended, for a person."""
        self.process.join()
        status = self.process.exitcode or 0
        return f"signal {-status}" if status < 0 else f"exit status {status}"


class LocalWorkers:
    """Processes on this machine, each on one thread.

    Args:
        processes: How many; 0 for as many as there are usable cores.
    """

    def __init__(self, processes: int = 0) -> None:
        self.processes = processes or usable_cores()

    def __call__(
        self, work: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item, str], Result]
    ) -> Iterator[Result]:
        """See `Workers`."""
        waiting = list(range(len(items)))[::-1]
        deaths = dict.fromkeys(waiting, 0)
        workers: list[_Worker] = []
        try:
            while waiting or _at_work(workers):
                while len(workers) < min(self.processes, len(waiting) + _at_work(workers)):
                    workers.append(_start(work))
                for worker in workers:
                    if worker.at is None and waiting:
                        worker.at = waiting.pop()
                        worker.give(items[worker.at])
                for worker, number in _answering(workers):
                    worker.at = None
                    try:
                        result, error = worker.pipe.recv()
                    except (EOFError, OSError):
                        workers.remove(worker)
                        deaths[number] += 1
                        if deaths[number] < ATTEMPTS:
                            waiting.append(number)
                        else:
                            yield lost(items[number], worker.end())
                        continue
                    if error is not None:
                        raise error
                    yield result
        finally:
            for worker in workers:
                if worker.at is not None:
                    worker.process.kill()
                worker.pipe.close()  # the others end by themselves
            for worker in workers:
                worker.process.join()


def _at_work(workers: Sequence[_Worker]) -> int:
    return sum(worker.at is not None for worker in workers)


def _answering(workers: Sequence[_Worker]) -> list[tuple[_Worker, int]]:
    """The workers that have an answer or died, once there are any, and what they were at work on."""
    busy = [(worker, worker.at) for worker in workers if worker.at is not None]
    ready = wait([worker.pipe for worker, _ in busy])
    return [(worker, at) for worker, at in busy if worker.pipe in ready]


def _start(work: Callable[[Any], Any]) -> _Worker:
    # A fork would copy locks of threads that it does not copy (torch, FFmpeg), and wait for them for ever.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()  # so that its end is seen here
    return _Worker(process, ours)


def _serve(work: Callable[[Any], Any], pipe: Connection) -> None:
    """The life of a worker: it ends when the first process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends the others
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            try:
                answer: tuple[Any, Exception | None] = (work(item), None)
            except Exception as error:  # raised again by the first process
                answer = (None, error)
            pipe.send(answer)
