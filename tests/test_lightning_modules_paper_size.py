"""One step of the networks of the size that the paper trains, with the settings that name them."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from experiments.fit import make_audio2pose, make_memory_gan
from experiments.provenance import peak_memory
from experiments.settings import compose
from face.models.registry import load_face_model


def one_step(module, sample, tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, DataLoader([sample, sample], batch_size=1 if "rendered" in sample else 2))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad) / 1e6


def test_audio2pose(tmp_path):
    settings = compose(["audio2pose=paper"])
    sizes = {"expression": 64, "opening": 1, "pose": 6, "mfcc": 12}
    statistics = {f"{name}_mean": np.zeros(size) for name, size in sizes.items()}
    statistics |= {f"{name}_std": np.ones(size) for name, size in sizes.items()}
    module = make_audio2pose(settings, load_face_model("facemesh"), statistics)
    # convolutions 2.14 M, linear layers 25.69 M, LSTM 1.58 M, output 0.02 M
    assert parameters(module) == pytest.approx(29.43, abs=0.02)
    sample = {"mfcc": torch.randn(16, 28, 12), "expression": torch.randn(16, 64), "pose": torch.randn(16, 6)}
    assert np.isfinite(one_step(module, sample, tmp_path)["train/loss"])


def test_memory_gan(tmp_path):
    before = peak_memory()  # of other tests in this process, maybe more than is reached here
    module = make_memory_gan(compose(["memory_gan=paper"]) | {"seed": 0})
    assert len(module.memory.keys) == 30_000
    assert module.generator.levels == 8
    assert parameters(module.discriminator) == pytest.approx(2.77, abs=0.02)
    sample = {
        "rendered": torch.rand(3, 3, 256, 256) * 2 - 1,
        "target": torch.rand(3, 256, 256) * 2 - 1,
        "identity": functional.normalize(torch.randn(512), dim=0),
        "index": torch.tensor(0),
    }
    values = one_step(module, sample, tmp_path)
    assert {"train/triplet", "train/discriminator", "train/adversarial", "train/l1"} <= set(values)
    assert all(np.isfinite(value) for value in values.values())
    assert module.memory.written == 2
    assert peak_memory() < max(4 * 2**30, before + 2**20)  # bytes
