from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.parents import load_parent
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.errors import InputError


def make_lstm(seed: int, hidden_size: int = 8) -> Audio2PoseLSTM:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    person = [rng.uniform(0.5, 2, size).astype(np.float32) for size in (64, 64, 6, 6, 64, 12, 12)]
    return Audio2PoseLSTM(*person, encoder_channels=4, feature_size=8, hidden_size=hidden_size)


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


def test_a_parent_of_another_shape_is_refused_in_one_line(tmp_path):
    run = save(make_lstm(0, hidden_size=16), tmp_path, "audio2pose")
    with pytest.raises(InputError, match=r"init_from=.*audio2pose does not fit") as refusal:
        load_parent(make_lstm(1), run, "audio2pose")
    assert "\n" not in str(refusal.value)


def test_a_parent_without_the_stage_is_refused(tmp_path):
    with pytest.raises(InputError, match="no checkpoint of memory_gan"):
        load_parent(make_gan(0), tmp_path, "memory_gan")
