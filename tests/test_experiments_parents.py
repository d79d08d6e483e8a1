from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.run_files import flatten
from experiments import provenance
from experiments.parents import load_parent, parent_of, start_from_parent
from experiments.settings import compose, nest, save_settings
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.digest import sha256
from media.errors import InputError


def make_lstm(seed: int, hidden_size: int = 8, members: int = 1) -> Audio2PoseLSTM:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    person = [rng.uniform(0.5, 2, size).astype(np.float32) for size in (64, 64, 6, 6, 64, 12, 12)]
    return Audio2PoseLSTM(*person, encoder_channels=4, feature_size=8, hidden_size=hidden_size, members=members)


def make_gan(seed: int) -> MemoryGAN:
    torch.manual_seed(seed)
    gan = MemoryGAN(
        similarity_threshold=0.7, channels=2, full_channels=2, discriminator_channels=2, memory_slots=5, seed=seed
    )
    gan.memory.write(
        torch.nn.functional.normalize(torch.randn(3, 512), dim=1),
        torch.nn.functional.normalize(torch.randn(3, 512), dim=1),
        torch.arange(3),
    )
    return gan


def save(module: torch.nn.Module, run: Path, stage: str) -> Path:
    place = run / "checkpoints" / stage
    place.mkdir(parents=True)
    torch.save({"state_dict": module.state_dict()}, place / "last.ckpt")
    return run


def test_weights_come_from_the_parent_and_scales_from_the_person(tmp_path):
    parent, child = make_lstm(0), make_lstm(1)
    own = {name: getattr(child, name).clone() for name in child.person_buffers}
    load_parent(child, save(parent, tmp_path, "audio2pose"), "audio2pose")
    for name, value in child.state_dict().items():
        expected = own[name] if name in own else parent.state_dict()[name]
        assert torch.equal(value, expected), name


def test_the_memory_comes_along(tmp_path):
    parent, child = make_gan(0), make_gan(1)
    load_parent(child, save(parent, tmp_path, "memory_gan"), "memory_gan")
    for name, value in parent.state_dict().items():
        assert torch.equal(child.state_dict()[name], value), name
    frames = torch.rand(2, 3, 64, 64) * 2 - 1
    assert torch.equal(child.retrieve(frames), parent.retrieve(frames))


def test_speakers_of_the_parents_corpus_are_nobody_here(tmp_path):
    parent, child = make_gan(0), make_gan(1)
    pair = torch.nn.functional.normalize(torch.randn(2, 512), dim=1)
    parent.memory.write(pair, pair, torch.arange(2), torch.tensor([0, 4]))
    load_parent(child, save(parent, tmp_path, "memory_gan"), "memory_gan")
    assert len(child.memory) == len(parent.memory)
    assert child.memory.speakers.tolist() == [-1] * 5
    child.memory.write(pair[:1].roll(7, 1), pair[:1].roll(9, 1), torch.tensor([9]), torch.tensor([4]))
    assert child.memory.knows(torch.tensor([0, 4])).tolist() == [False, True]  # those of its own corpus come by and by


def test_a_parent_of_another_shape_is_refused_in_one_line(tmp_path):
    run = save(make_lstm(0, hidden_size=16), tmp_path, "audio2pose")
    with pytest.raises(InputError, match=r"init_from=.*audio2pose does not fit") as refusal:
        load_parent(make_lstm(1), run, "audio2pose")
    assert "\n" not in str(refusal.value)


def test_a_parent_without_the_stage_is_refused(tmp_path):
    with pytest.raises(InputError, match="no checkpoint of memory_gan"):
        load_parent(make_gan(0), tmp_path, "memory_gan")


def settings_of_small_lstm(**parents):
    small = {"audio2pose.encoder_channels": 4, "audio2pose.feature_size": 8, "audio2pose.hidden_size": 8}
    return nest(flatten(compose([])) | small | parents)


def test_init_from_is_the_parent_of_what_it_has_trained(tmp_path):
    general, both = save(make_lstm(0), tmp_path / "general", "audio2pose"), tmp_path / "both"
    save(make_gan(0), save(make_lstm(0), both, "audio2pose"), "memory_gan")
    for stage in ("audio2pose", "memory_gan"):
        assert parent_of(compose([]), stage) is None
        assert parent_of(compose([f"init_from={both}"]), stage) == both
    assert parent_of(compose([f"init_from={general}"]), "audio2pose") == general
    assert parent_of(compose([f"init_from={general}"]), "memory_gan") is None  # from scratch
    pair = compose([f"init_from_audio2pose={general}", f"init_from={both}"])
    assert (parent_of(pair, "audio2pose"), parent_of(pair, "memory_gan")) == (general, both)
    with pytest.raises(InputError, match=r"init_from=.*any stage"):
        parent_of(compose([f"init_from={tmp_path}"]), "audio2pose")
    with pytest.raises(InputError, match=r"init_from_memory_gan=.*no checkpoint of memory_gan"):
        parent_of(compose([f"init_from_memory_gan={general}"]), "memory_gan")


def test_the_parent_is_recorded_with_its_checkpoint(tmp_path):
    parent, folder = save(make_lstm(0), tmp_path / "0123456789", "audio2pose"), tmp_path / "child"
    save_settings(settings_of_small_lstm(), parent)
    folder.mkdir()
    child = make_lstm(1)
    start_from_parent(child, settings_of_small_lstm(init_from=str(parent)), folder, "audio2pose")
    assert torch.equal(child.network.head.weight, make_lstm(0).network.head.weight)
    checkpoint = parent / "checkpoints/audio2pose/last.ckpt"
    expected = {"audio2pose": {"run": "0123456789", "checkpoint_sha256": sha256(checkpoint)}}
    assert provenance.read(folder)["parents"] == expected


@pytest.mark.parametrize(("theirs", "alone"), [(1, True), (2, False)])
def test_networks_that_do_not_start_from_the_parent_are_recorded(tmp_path, theirs, alone):
    parent, folder = save(make_lstm(0, members=theirs), tmp_path / "0123456789", "audio2pose"), tmp_path / "child"
    save_settings(settings_of_small_lstm(**{"audio2pose.members": theirs}), parent)
    folder.mkdir()
    settings = settings_of_small_lstm(**{"init_from": str(parent), "audio2pose.members": 2})
    start_from_parent(make_lstm(1, members=2), settings, folder, "audio2pose")
    assert provenance.read(folder)["parents"]["audio2pose"].get("first_member_alone", False) == alone


def test_other_networks_are_refused_by_the_names_of_settings(tmp_path):
    parent = save(make_lstm(0, hidden_size=16), tmp_path, "audio2pose")
    save_settings(settings_of_small_lstm(**{"audio2pose.hidden_size": 16}), parent)
    with pytest.raises(InputError, match=r"add audio2pose\.hidden_size=16$"):
        start_from_parent(make_lstm(1), settings_of_small_lstm(init_from=str(parent)), tmp_path, "audio2pose")
