import pytest

from datamodules.sampling import EpochSampler


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
def test_every_sample_goes_to_exactly_one_process(world_size):
    samplers = [EpochSampler(11, 0, rank, world_size) for rank in range(world_size)]
    dealt = [list(sampler) for sampler in samplers]
    assert sorted(index for part in dealt for index in part) == list(range(11))
    assert [len(sampler) for sampler in samplers] == [len(part) for part in dealt]
