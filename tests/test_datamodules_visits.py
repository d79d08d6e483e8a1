import math
import pickle
import weakref

import numpy as np
import pytest

from datamodules.held_clips import HeldClips
from datamodules.visits import Visits, VisitSampler, clips_at_once

COUNTS = np.array([14, 1, 29, 0, 15, 16, 100, 14, 31])


def test_visits_are_nearly_equal_stretches_of_one_clip():
    visits = Visits.cut(COUNTS, 15)
    owner = np.repeat(np.arange(len(COUNTS)), COUNTS)
    covered = []
    for first, count in zip(visits.first, visits.count, strict=True):
        assert 0 < count <= 15
        assert len(set(owner[first : first + count])) == 1
        covered += range(first, first + count)
    assert covered == list(range(COUNTS.sum()))
    for clip, total in enumerate(COUNTS):
        lengths = visits.count[owner[visits.first] == clip]
        assert len(lengths) == math.ceil(total / 15)
        assert not len(lengths) or max(lengths) - min(lengths) <= 1
    assert [visits.of(sample) for sample in (0, 13, 14, 15)] == [0, 0, 1, 2]


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_an_epoch_of_visits_has_every_sample_once_but_for_the_remainder(world_size):
    total = int(COUNTS.sum())
    samplers = [VisitSampler(Visits.cut(COUNTS, 15), 3, rank, world_size, batch_size=8) for rank in range(world_size)]
    left_out = set()
    for epoch in (0, 2):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        dealt = [list(sampler) for sampler in samplers]
        assert {len(part) for part in dealt} == {total // 8 * 8 // world_size} == {len(samplers[0])}
        drawn = [draw for part in dealt for draw in part]
        assert {draw // total for draw in drawn} == {epoch}
        assert len(set(drawn)) == len(drawn) == total // 8 * 8
        left_out.add(frozenset(range(total)) - {draw % total for draw in drawn})
    assert len(left_out) == 2


def global_batches(seed, epoch, world_size, batch_size=8, **settings):
    parts = []
    for rank in range(world_size):
        sampler = VisitSampler(Visits.cut(COUNTS, 15), seed, rank, world_size, batch_size, **settings)
        list(sampler)
        sampler.set_epoch(epoch)
        parts.append(list(sampler))
    return np.stack(parts, axis=1).reshape(-1, batch_size)


def test_the_batches_of_visits_depend_on_seed_and_epoch_alone():
    one = global_batches(0, 1, 1)
    np.testing.assert_array_equal(one, global_batches(0, 1, 2))
    np.testing.assert_array_equal(one, global_batches(0, 1, 8))
    assert not np.array_equal(one, global_batches(1, 1, 1))
    assert not np.array_equal(one % COUNTS.sum(), global_batches(0, 2, 1) % COUNTS.sum())


def test_a_shorter_epoch_has_other_clips_each_time():
    drawn = [set((global_batches(0, epoch, 1, samples_per_epoch=43) % COUNTS.sum()).ravel()) for epoch in range(6)]
    assert {len(samples) for samples in drawn} == {40}
    assert len(set.union(*drawn)) > 100


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 4, 8])
@pytest.mark.parametrize("world_size", [1, 2])
def test_a_worker_opens_each_visit_once_and_holds_few(workers, world_size):
    """Every worker, given its batches in order, opens little more than the visits of its lanes, with the least room."""
    visits = Visits.cut(np.full(400, 29), 15)
    most, opened = clips_at_once(4 // world_size, workers), []
    for rank in range(world_size):
        batches = np.array(list(VisitSampler(visits, 0, rank, world_size, 4))).reshape(-1, 4 // world_size)
        for worker in range(max(workers, 1)):
            held = HeldClips(most)
            for sample in batches[worker :: max(workers, 1)].ravel():
                held.get(visits.of(int(sample)), lambda: opened.append(1))
                assert len(held) <= most
    # lanes begin within visits; as many workers as do not divide eight open visits again
    again = 1 if workers in (0, 1, 2, 4, 8) else workers
    assert len(opened) <= again * (len(visits.first) + 8 * 4)


def test_a_clip_is_let_go_before_the_next_is_opened():
    class Clip:
        pass

    held, seen = HeldClips(2), []

    def opened():
        assert sum(reference() is not None for reference in seen) <= 1
        clip = Clip()
        seen.append(weakref.ref(clip))
        return clip

    for key in (0, 1, 0, 2, 3, 0, 3):
        held.get(key, opened)
    assert len(seen) == 5
    assert [reference() is not None for reference in seen] == [False, False, False, True, True]
    assert len(pickle.loads(pickle.dumps(HeldClips(2)))) == 0
