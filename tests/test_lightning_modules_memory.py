import numpy as np
import pytest
import torch
from torch.nn import functional

from lightning_modules.networks.memory import IdentityMemory, smooth_features


def unit(generator, *shape):
    return functional.normalize(torch.randn(*shape, generator=generator), dim=-1)


def people(generator, count, samples, spread=0.15):
    """Identity features of a few people: samples of one person lie close together."""
    centres = unit(generator, count, 16)
    who = torch.randint(count, (samples,), generator=generator)
    return functional.normalize(centres[who] + spread * torch.randn(samples, 16, generator=generator) / 4, dim=1)


class NaiveMemory:
    """The rules of memory writing as loops over plain lists."""

    def __init__(self, slots, threshold, noise, seed):
        self.slots, self.threshold, self.noise, self.seed = slots, threshold, noise, seed
        self.items, self.count, self.cases = [], 0, []

    def write(self, query, value, index, speaker):
        best, best_score = None, -2.0
        for item in self.items:
            score = float(np.dot(item["key"], query))
            if score > best_score:
                best, best_score = item, score
        for item in self.items:
            item["age"] += 1
        if best is not None and float(np.dot(best["value"], value)) > self.threshold:
            key = best["key"] + query
            best["key"], best["age"] = key / np.sqrt((key**2).sum()), 0
            self.cases.append("average")
        elif len(self.items) < self.slots:
            self.items.append({"key": query, "value": value, "age": 0, "source": index, "speaker": speaker})
            self.cases.append("fill")
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.count)
            noise = (torch.rand(self.slots, generator=generator).numpy() * 2 - 1) * self.noise
            ages = [item["age"] + float(extra) for item, extra in zip(self.items, noise, strict=True)]
            oldest = ages.index(max(ages))
            self.items[oldest] = {"key": query, "value": value, "age": 0, "source": index, "speaker": speaker}
            self.cases.append("replace")
        self.count += 1


def make_memory(slots=6, threshold=0.8, **keywords):
    return IdentityMemory(slots, 8, 16, similarity_threshold=threshold, **keywords)


def test_write_equals_plain_loops_in_every_branch():
    generator = torch.Generator().manual_seed(0)
    queries, values = unit(generator, 80, 8), people(generator, 12, 80)
    speakers = torch.randint(100, 200, (80,), generator=generator)
    memory, naive = make_memory(seed=3), NaiveMemory(6, 0.8, 4.0, 3)
    for start in range(0, 80, 5):
        part = slice(start, start + 5)
        memory.write(queries[part], values[part], torch.arange(start, start + 5), speakers[part])
    for index in range(80):
        naive.write(queries[index].numpy(), values[index].numpy(), index, int(speakers[index]))
    assert min(naive.cases.count(case) for case in ("average", "fill", "replace")) >= 3
    np.testing.assert_allclose(memory.keys.numpy(), np.stack([item["key"] for item in naive.items]), atol=1e-6)
    np.testing.assert_array_equal(memory.values.numpy(), np.stack([item["value"] for item in naive.items]))
    assert memory.age.tolist() == [item["age"] for item in naive.items]
    assert memory.source.tolist() == [item["source"] for item in naive.items]
    assert memory.speakers.tolist() == [item["speaker"] for item in naive.items]
    assert int(memory.written) == 80
    assert len(memory) == 6


def test_batches_write_like_single_samples():
    generator = torch.Generator().manual_seed(1)
    queries, values, index = unit(generator, 40, 8), people(generator, 9, 40), torch.arange(40)
    one, many = make_memory(), make_memory()
    many.write(queries, values, index)
    for i in range(40):
        one.write(queries[i : i + 1], values[i : i + 1], index[i : i + 1])
    for name, value in one.state_dict().items():
        assert torch.equal(value, many.state_dict()[name]), name


def test_age_noise_can_spare_the_oldest_slot():
    def replaced(noise):
        memory = make_memory(slots=8, threshold=0.99, age_noise=noise)
        generator = torch.Generator().manual_seed(2)
        memory.write(unit(generator, 40, 8), unit(generator, 40, 16), torch.arange(40))
        return sorted(memory.source.tolist())

    assert replaced(0.0) == list(range(32, 40))  # first in, first out
    assert replaced(4.0) != list(range(32, 40))


def test_retrieve_finds_the_nearest_filled_slot():
    generator = torch.Generator().manual_seed(3)
    memory = make_memory(slots=50, threshold=0.9999)
    queries, values = unit(generator, 20, 8), unit(generator, 20, 16)
    memory.write(queries, values, torch.arange(100, 120))
    probes = unit(generator, 30, 8)
    found = memory.retrieve(probes)
    for probe, value, slot, similarity in zip(
        probes, found.values, found.slots.tolist(), found.similarity.tolist(), strict=True
    ):
        scores = [float(probe @ query) for query in queries]
        assert slot == scores.index(max(scores))
        assert similarity == pytest.approx(max(scores), abs=1e-6)
        assert torch.equal(value, values[slot])


def test_empty_slots_are_never_found():
    memory = make_memory(slots=10)
    with pytest.raises(RuntimeError, match="memory is empty"):
        memory.retrieve(torch.eye(8)[:1])
    memory.write(-torch.eye(8)[:1], torch.eye(16)[:1], torch.tensor([5]))
    # the only stored key is opposite to the probe: an empty slot (score 0) would be nearer
    found = memory.retrieve(torch.eye(8)[:1])
    assert found.slots.tolist() == [0]
    assert found.similarity.item() == pytest.approx(-1.0)
    loss = memory.triplet_loss(torch.eye(8)[:1], torch.eye(16)[:1])
    assert loss.item() == 0.0  # empty slots are no negatives either


def test_a_similar_person_whose_neighbour_is_another_gets_a_slot_of_their_own():
    memory = make_memory()
    generator = torch.Generator().manual_seed(6)
    values = unit(generator, 2, 16)
    memory.write(torch.eye(8)[:2], values, torch.tensor([10, 11]))
    # near the key of slot 0 but of the person of slot 1: that person's slot is not the nearest, so it stays as it is
    query = functional.normalize(torch.tensor([[1.0, 0.3, 0, 0, 0, 0, 0, 0]]), dim=1)
    memory.write(query, values[1:], torch.tensor([12]))
    assert memory.source.tolist() == [10, 11, 12, -1, -1, -1]
    assert torch.equal(memory.keys[:3], torch.cat([torch.eye(8)[:2], query]))
    assert torch.equal(memory.retrieve(query).values, values[1:])


def test_top_k_may_be_larger_than_what_is_there():
    memory, more = filled_by_hand(), filled_by_hand()
    more.top_k = 100
    memory.top_k = 4  # all that are filled, of 5 slots
    query, value = torch.tensor([[np.cos(1.0), np.sin(1.0)]], dtype=torch.float32), torch.tensor([[1.0, 0.0]])
    assert more.triplet_loss(query, value).item() == memory.triplet_loss(query, value).item() > 0


def test_speakers_are_unknown_unless_somebody_says():
    memory = make_memory()
    memory.write(torch.eye(8)[:1], torch.eye(16)[:1], torch.tensor([3]))
    memory.write(torch.eye(8)[1:2], torch.eye(16)[1:2], torch.tensor([4]), torch.tensor([7]))
    assert memory.speakers.tolist() == [-1, 7, -1, -1, -1, -1]


def test_only_speakers_that_were_named_are_known():
    memory = make_memory()
    assert memory.knows(torch.tensor([0, -1])).tolist() == [False, False]
    memory.write(torch.eye(8)[:2], torch.eye(16)[:2], torch.tensor([3, 4]), torch.tensor([7, 0]))
    assert memory.knows(torch.tensor([7, -1, 5, 0])).tolist() == [True, False, False, True]
    memory.forget_speakers()
    assert memory.knows(torch.tensor([7, -1, 5, 0])).tolist() == [False] * 4
    assert len(memory) == 2


def test_a_state_from_before_speakers_loads_strictly():
    old, new = make_memory(), make_memory()
    old.write(torch.eye(8)[:2], torch.eye(16)[:2], torch.arange(2))
    state = old.state_dict()
    del state["speakers"]
    wrapped = torch.nn.ModuleDict({"memory": new})
    wrapped.load_state_dict({f"memory.{name}": value for name, value in state.items()}, strict=True)
    assert torch.equal(new.keys, old.keys)
    assert new.speakers.tolist() == [-1] * 6
    with pytest.raises(RuntimeError, match="age"):
        wrapped.load_state_dict({f"memory.{name}": value for name, value in state.items() if name != "age"})


def filled_by_hand():
    memory = IdentityMemory(5, 2, 2, similarity_threshold=0.5, top_k=3, margin=0.3)
    angles = torch.tensor([0.0, 0.2, 0.4, 2.0])  # of the keys
    memory.keys[:4] = torch.stack([angles.cos(), angles.sin()], 1)
    memory.values[:4] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    memory.filled[:4] = True
    return memory


def test_triplet_loss_by_hand():
    memory = filled_by_hand()
    angle = torch.tensor([0.1, 0.25])
    queries = torch.stack([angle.cos(), angle.sin()], 1)
    values = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # query 0: positives at 0.1 and 0.3 rad, negative at 0.1; query 1: positives at 0.25 and 0.15, negative at 0.05
    expected = (0.3 + max(0.0, np.cos(0.05) - np.cos(0.15) + 0.3)) / 2
    assert memory.triplet_loss(queries, values).item() == pytest.approx(expected, abs=1e-6)


def test_samples_without_a_positive_or_a_negative_have_no_loss_and_no_gradient():
    memory = filled_by_hand()
    queries = torch.tensor([[1.0, 0.0]], requires_grad=True)
    unknown = functional.normalize(torch.tensor([[-1.0, -1.0]]), dim=1)  # similar to nobody stored
    memory.triplet_loss(queries, unknown).backward()
    assert torch.equal(queries.grad, torch.zeros(1, 2))

    memory.values[:4] = torch.tensor([1.0, 0.0])  # everybody stored is the same person
    loss = memory.triplet_loss(queries, torch.tensor([[1.0, 0.0]]))
    assert loss.item() == 0.0
    memory.filled.zero_()
    assert memory.triplet_loss(queries, unknown).item() == 0.0


def test_triplet_loss_looks_at_the_top_k_alone():
    memory = filled_by_hand()
    query, value = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # nearest: slot 0 (negative), then slot 1 (positive)
    assert memory.triplet_loss(query, value).item() == pytest.approx(1 - np.cos(0.2) + 0.3, abs=1e-6)
    memory.top_k = 1
    assert memory.triplet_loss(query, value).item() == 0.0


def test_triplet_gradient_is_that_of_the_two_keys():
    memory = filled_by_hand()
    query = torch.tensor([[np.cos(0.25), np.sin(0.25)]], dtype=torch.float32, requires_grad=True)
    memory.triplet_loss(query, torch.tensor([[1.0, 0.0]])).backward()
    torch.testing.assert_close(query.grad[0], memory.keys[1] - memory.keys[2])


def test_smooth_features_is_a_centred_mean_of_unit_length():
    features = unit(torch.Generator().manual_seed(4), 40, 12)
    smooth = smooth_features(features, 7)
    for t in range(40):
        mean = features[max(0, t - 3) : t + 4].mean(0)
        torch.testing.assert_close(smooth[t], mean / mean.norm())
    assert torch.equal(smooth_features(features[:1]), smooth_features(features[:1], 1))
    with pytest.raises(ValueError, match="odd"):
        smooth_features(features, 4)


def test_a_second_of_context_on_both_sides_is_enough():
    features = unit(torch.Generator().manual_seed(5), 90, 12)
    whole = smooth_features(features)
    piece = smooth_features(features[20:75])[10:45]
    torch.testing.assert_close(whole[32:63], piece[2:33], rtol=0, atol=1e-6)


@pytest.mark.parametrize("keywords", [{"slots": 0}, {"threshold": 1.0}, {"top_k": 0}])
def test_impossible_settings_are_refused(keywords):
    with pytest.raises(ValueError, match=r"memory needs|similarity_threshold"):
        make_memory(**keywords)
