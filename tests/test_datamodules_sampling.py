import pytest

from datamodules.sampling import EpochSampler, evaluation_loader


def test_the_order_depends_on_seed_and_epoch_alone():
    first, second = EpochSampler(50, seed=3), EpochSampler(50, seed=3)
    list(first)  # drawing must not advance anything
    for epoch in (0, 4):
        first.set_epoch(epoch), second.set_epoch(epoch)
        assert list(first) == list(second)
    orders = {tuple(EpochSampler(50, seed)) for seed in range(5)}
    assert len(orders) == 5
    second.set_epoch(5)
    assert list(second) != list(first)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize(("size", "batch_size", "used"), [(29, 6, 24), (29, 0, None), (5, 6, None), (24, 6, 24)])
def test_steps_are_the_same_for_any_number_of_processes(world_size, size, batch_size, used):
    dealt = [EpochSampler(size, 3, rank, world_size, batch_size) for rank in range(world_size)]
    assert len({len(sampler) for sampler in dealt}) == 1  # else one process would wait for another forever
    assert [len(sampler) for sampler in dealt] == [len(list(sampler)) for sampler in dealt]
    together = [index for step in zip(*dealt, strict=True) for index in step]
    used = used or size // world_size * world_size
    assert together == list(EpochSampler(size, 3))[:used]


@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_an_evaluation_sees_every_sample_once(world_size):
    parts = [list(evaluation_loader(range(4), 1, rank, world_size)) for rank in range(world_size)]
    assert sorted(int(batch) for part in parts for batch in part) == [0, 1, 2, 3]
    assert sum(len(batch) for batch in evaluation_loader(range(4), 3)) == 4
