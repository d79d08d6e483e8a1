"""Workers of a Ray cluster, or of one that Ray starts on this machine; `pip install -e ".[ray]"` brings it."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence

import torch

from datamodules.workers import ATTEMPTS, Item, Result, usable_cores
from media.errors import InputError

_AHEAD = 4  # ours: tasks per core that wait at the cluster, so that no core waits for this process


def _require_listener(address: str) -> None:
    """Find out in seconds what Ray itself tries for minutes; addresses of other forms (`auto`) are left to it."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


class RayWorkers:
    """The cores of the cluster that RAY_ADDRESS names, or without one of this machine, one task each.

    The workers see the same files under the same paths, and have the project installed.

    Args:
        processes: Of a cluster that is started here; 0 for as many as there are usable cores.

    Raises:
        InputError: If Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, processes: int = 0) -> None:
        try:
            import ray
        except ImportError:
            raise InputError('launch=ray needs Ray, which is not installed: pip install -e ".[ray]"') from None
        self._ray = ray
        if not ray.is_initialized():
            self._join(processes)

    def _join(self, processes: int) -> None:
        address = os.environ.get("RAY_ADDRESS")
        try:
            if address:
                _require_listener(address)
                self._ray.init(address=address, log_to_driver=False)
            else:
                self._ray.init(num_cpus=processes or usable_cores(), include_dashboard=False, log_to_driver=False)
        except Exception as error:  # Ray raises bare ones, too, as of a machine too busy to start it
            reason = str(error).strip().partition("\n")[0]
            raise InputError(
                f"launch=ray: no Ray cluster at {address or 'this machine'} ({reason}); check RAY_ADDRESS and, where "
                "the cluster asks for tokens, RAY_AUTH_MODE=token"
            ) from error

    def __call__(
        self, work: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item, str], Result]
    ) -> Iterator[Result]:
        """See `datamodules.workers.Workers`."""
        ray = self._ray

        def task(item: Item) -> Result:
            torch.set_num_threads(1)
            return work(item)

        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(task)
        room = max(1, int(_AHEAD * ray.cluster_resources().get("CPU", 1)))
        running: dict[object, Item] = {}
        waiting = iter(items)
        try:
            while True:
                for item in waiting:
                    running[remote.remote(item)] = item
                    if len(running) >= room:
                        break
                if not running:
                    return
                (done,), _ = ray.wait(list(running), num_returns=1)
                item = running.pop(done)
                try:
                    result = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                    result = lost(item, type(error).__name__)
                yield result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
