"""Which windows of which clips come when: at random, but each clip opened seldom and few clips open at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datamodules.sampling import EpochSampler

# Ours: turns of the lanes (see `VisitSampler`). With 1, 2, 4 or 8 workers no visit is served by two of them.
_TURNS = 8


@dataclass(frozen=True)
class Visits:
    """Stretches of samples for whose sake a clip is opened once.

    Attributes:
        first: (V,) int64 first sample of each visit, rising; together they cover all samples.
        count: (V,) int64 samples of each visit.
    """

    first: np.ndarray
    count: np.ndarray

    @classmethod
    def cut(cls, counts: np.ndarray, longest: int) -> "Visits":
        """Cut the samples of each clip into as few nearly equal stretches as are needed.

        Args:
            counts: (C,) samples of each clip, numbered through all clips.
            longest: Samples of a visit at most.
        """
        parts = -(-counts // longest)
        clip = np.repeat(np.arange(len(counts)), parts)
        part = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        inside = part * counts[clip] // parts[clip]
        first = (np.cumsum(counts) - counts)[clip] + inside
        return cls(first, np.diff(np.append(first, counts.sum())))

    def of(self, sample: int) -> int:
        """The visit that a sample belongs to."""
        return int(np.searchsorted(self.first, sample, side="right")) - 1


class VisitSampler(EpochSampler):
    """Random windows of many clips, each clip opened seldom and few clips open at a time.

    Clips are visited in random order, for some windows each (`Visits`). The visits of an epoch are laid one after the
    other, and that row is cut into as many lanes as there are places in eight batches; a batch takes the next sample
    of each lane of its turn. So the samples of a batch come from different clips, but each lane stays with its clip
    until the visit is over. Since a lane is always served by the same process, and by the same worker as long as
    their number divides eight, a worker never has to hold more clips than the lanes it serves (`clips_at_once`); the
    order itself depends on neither.

    Draws are numbered through the epochs: draw n is sample n % N of epoch n // N, where N counts all samples.

    Args:
        visits: Of all samples.
        seed: The run's seed.
        rank: This process.
        world_size: Number of processes.
        batch_size: Samples per step over all processes, among which it divides; what remains of an epoch after its
            last whole batch is left out.
        samples_per_epoch: Length of an epoch, from as many visits as it takes, others in each epoch; by default all.
    """

    def __init__(
        self,
        visits: Visits,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batch_size: int = 1,
        samples_per_epoch: int | None = None,
    ):
        total = int(visits.count.sum())
        size = min(samples_per_epoch or total, total)
        super().__init__(size - size % batch_size, seed, rank, world_size)
        self.visits, self.total, self.batch_size = visits, total, batch_size

    def __iter__(self) -> Iterator[int]:
        # one by one: as Python numbers, those of a large corpus would fill gigabytes
        return (int(draw) for draw in self.order()[self.rank :: self.world_size])

    def __len__(self) -> int:
        return self.size // self.world_size

    def order(self) -> np.ndarray:
        """The draws of all processes in this epoch, (size,) int64."""
        rng = np.random.default_rng((self.seed, self.epoch))
        chosen = rng.permutation(len(self.visits.first))
        ends = np.cumsum(self.visits.count[chosen])
        chosen = chosen[: int(np.searchsorted(ends, self.size)) + 1]
        count = self.visits.count[chosen]
        visit = np.repeat(np.arange(len(chosen)), count)
        inside = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count)
        row = (self.visits.first[chosen][visit] + inside)[np.argsort(visit + rng.random(len(visit)))]
        return self.epoch * self.total + _dealt_to_lanes(row[: self.size], self.batch_size)


def _dealt_to_lanes(row: np.ndarray, batch_size: int) -> np.ndarray:
    """Whole batches whose lanes are consecutive pieces of a row of samples."""
    batches = np.empty((len(row) // batch_size, batch_size), np.int64)
    start = 0
    for turn in range(min(_TURNS, len(batches))):
        part = batches[turn::_TURNS]
        part[:] = row[start : start + part.size].reshape(batch_size, -1).T
        start += part.size
    return batches.reshape(-1)


def clips_at_once(batch_size: int, workers: int) -> int:
    """Lanes of `VisitSampler` that one worker serves, and so the clips it has to hold.

    Args:
        batch_size: Samples per step of one process.
        workers: Loading workers of that process; with 0 it loads by itself.
    """
    return batch_size * (_TURNS // math.gcd(_TURNS, max(workers, 1)))
