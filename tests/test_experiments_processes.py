"""Two processes, killed after an epoch and started again, end with the weights of two that were not.

Run as a script, this file is one of the processes.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from datamodules.sampling import EpochSampler, evaluation_loader
from experiments.callbacks import last_checkpoint, trainer_keywords
from experiments.settings import compose
from tests.test_lightning_modules_two_processes import BATCH, Frames, Speech, make_gan, make_lstm

ROOT = Path(__file__).parents[1]
EPOCHS = 3
STAGES = {
    "audio2pose": (lambda: make_lstm(mfcc_noise=0.3, dropout=0.3), Speech(13), Speech(3, 20)),
    "memory_gan": (lambda: make_gan(dropout=0.5), Frames(13), Frames(5)),
}


class Killed(pl.Callback):
    """Ends both processes as a power cut would, in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            trainer.strategy.barrier()
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder, stage, killed_in):
    """Train a stage from wherever the folder stands, in two processes."""
    make, training, validation = STAGES[stage]
    arguments = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true", "wandb.mode=disabled"]
    arguments += [f"fit.{stage}.epochs={EPOCHS}", "fit.audio2pose.collapse.after_epochs=0"]
    keywords = trainer_keywords(compose(arguments), Path(folder), stage)
    # pictures are not what this is about
    keywords["callbacks"] = [one for one in keywords["callbacks"] if type(one).__name__ != "ImageGrid"]
    trainer = pl.Trainer(**keywords | {"callbacks": [*keywords["callbacks"], Killed(killed_in)]})
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    sampler = EpochSampler(len(training), 7, rank, 2, BATCH)
    module = make()
    trainer.fit(
        module,
        DataLoader(training, BATCH // 2, sampler=sampler, drop_last=True),
        evaluation_loader(validation, 1, rank, 2),
        ckpt_path=last_checkpoint(Path(folder), stage),
        weights_only=True,
    )
    torch.save(module.state_dict(), Path(folder) / f"end-{trainer.global_rank}.pt")


def start(folder, stage, killed_in=-1):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(folder), stage, str(killed_in)]
    return subprocess.run(command, env=environment, timeout=280, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_killed_and_resumed_equals_undisturbed(tmp_path, stage):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    assert start(whole, stage).returncode == 0
    assert start(parts, stage, killed_in=2).returncode != 0
    assert not list(parts.glob("end-*"))
    saved = torch.load(last_checkpoint(parts, stage), weights_only=True)
    assert saved["epoch"] == 1  # so the third epoch was begun and is lost
    again = start(parts, stage)
    assert again.returncode == 0, again.stderr
    for rank in (0, 1):
        first, second = (torch.load(folder / f"end-{rank}.pt") for folder in (whole, parts))
        for name, value in first.items():
            assert torch.equal(second[name], value), name
    # one process writes: one file each, nothing half written
    names = sorted(str(path.relative_to(parts)) for path in parts.rglob("*") if path.is_file())
    assert names == [f"checkpoints/{stage}/last.ckpt", "end-0.pt", "end-1.pt", f"logs/{stage}/metrics.csv"]


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2], int(sys.argv[3]))
