"""Two processes learn from a corpus what one learns, and validate on each clip once, though the clips are three.

Run as a script, this file is one of the processes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from datamodules.lrw import LRWDataModule
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from tests.prepared_corpus import write_corpus

LENGTHS = {"train/anna/1": 9, "train/bert/1": 11, "val/anna/1": 12, "val/bert/1": 10, "val/cora/1": 14}


class Witness(pl.Callback):
    """Notes what was trained on, by its expression or its number, and what was validated on."""

    def __init__(self):
        self.trained, self.validated = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        self.trained.append([round(float(value), 5) for value in marks(batch)])

    def on_validation_batch_end(self, trainer, module, outputs, batch, number, loader=0):
        self.validated.append([round(float(value), 5) for value in marks(batch)])


def marks(batch):
    return batch["index"] if "index" in batch else batch["expression"][:, 0, 0]


def make_module(stage):
    torch.manual_seed(0)
    if stage == "memory_gan":
        return MemoryGAN(
            similarity_threshold=0.7,
            channels=8,
            levels=2,
            full_channels=8,
            discriminator_channels=4,
            discriminator_layers=1,
            spatial_size=32,
            memory_slots=8,
            learning_rate=1e-3,
        )
    ones = [torch.ones(size) for size in (64, 64, 6, 6, 64, 12, 12)]
    return Audio2PoseLSTM(*ones, encoder_channels=8, feature_size=16, hidden_size=16, dropout=0.0)


def train(prepared, stage, processes):
    data = LRWDataModule(
        prepared, stage, batch_size=4, window=8, samples_per_epoch=8 if stage == "memory_gan" else None
    )
    witness = Witness()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=DDPStrategy(find_unused_parameters=True, broadcast_buffers=False) if processes > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=2,
        logger=False,
        callbacks=[witness],
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=prepared,
    )
    trainer.fit(make_module(stage), data)
    facts = {
        "trained": witness.trained,
        "validated": witness.validated,
        "metrics": {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")},
    }
    (Path(prepared) / f"{stage}-{processes}-{trainer.global_rank}.json").write_text(json.dumps(facts))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["audio2pose", "memory_gan"])
def test_two_processes_equal_one(tmp_path, stage):
    write_corpus(tmp_path, LENGTHS)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    for processes in (1, 2):
        command = [sys.executable, __file__, str(tmp_path), stage, str(processes)]
        subprocess.run(command, check=True, env=environment, timeout=120)
    one, first, second = (json.loads((tmp_path / f"{stage}-{name}.json").read_text()) for name in ("1-0", "2-0", "2-1"))
    joined = [
        [value for pair in zip(mine, theirs, strict=True) for value in pair]
        for mine, theirs in zip(first["trained"], second["trained"], strict=True)
    ]
    assert joined == one["trained"]
    seen = [value for batch in first["validated"] + second["validated"] for value in batch]
    assert sorted(seen) == sorted(value for batch in one["validated"] for value in batch)
    assert len(seen) == 2 * 3
    assert first["metrics"] == second["metrics"]
    assert first["metrics"] == pytest.approx(one["metrics"], rel=1e-3, abs=1e-4)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], int(sys.argv[3]))
