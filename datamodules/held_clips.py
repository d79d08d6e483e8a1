"""The clips a process works on at present, and no others."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Held = TypeVar("Held")


class HeldClips(Generic[Held]):
    """What was opened of some clips; a new one takes the place of the one that was not asked for longest.

    With as many places as `clips_at_once` says, that is the clip with which the new one's lane has finished.

    Args:
        most: How many are held at a time.
    """

    def __init__(self, most: int):
        self.most = most
        self._held: OrderedDict[int, Held] = OrderedDict()

    def get(self, key: int, opened: Callable[[], Held]) -> Held:
        """What is held under a number; opened now if it is not, after another one was let go.

        Args:
            key: Number of the clip or visit.
            opened: Opens it.
        """
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        while len(self._held) >= self.most:
            self._held.popitem(last=False)
        held = self._held[key] = opened()
        return held

    def __len__(self) -> int:
        return len(self._held)

    def __getstate__(self) -> dict[str, Any]:
        """Without the clips: a process that gets this opens its own."""
        return self.__dict__ | {"_held": OrderedDict()}
