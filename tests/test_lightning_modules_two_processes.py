"""Two processes see the same memory, and learn what one process learns from the same samples.

Run as a script, this file is one of the processes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from lightning_modules.memory_gan import MemoryGAN


class Frames(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        rendered = torch.rand(3, 3, 16, 16, generator=generator) * 2 - 1
        person = torch.Generator().manual_seed(100 + index % 3)
        return {
            "rendered": rendered,
            "target": rendered[-1] * 0.9,
            "identity": functional.normalize(torch.randn(16, generator=person), dim=0),
            "index": torch.tensor(index),
        }


def train(folder, processes):
    torch.manual_seed(0)
    module = MemoryGAN(
        similarity_threshold=0.8,
        channels=8,
        levels=2,
        full_channels=8,
        discriminator_channels=4,
        discriminator_layers=1,
        identity_size=16,
        spatial_size=32,
        memory_slots=4,
        learning_rate=1e-3,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=folder,
    )
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    part = Subset(Frames(), range(rank, 8, processes))  # as the data modules deal samples out
    trainer.fit(module, DataLoader(part, batch_size=4 // processes))
    torch.save(module.state_dict(), Path(folder) / f"{processes}-{trainer.global_rank}.pt")


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        command = [sys.executable, __file__, str(tmp_path), str(processes)]
        subprocess.run(command, check=True, env=environment, timeout=250)
    one, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1"))
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        if value.is_floating_point():
            # sums in another order; Adam amplifies their rounding where a gradient is small
            torch.testing.assert_close(
                first[name], value, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: name + text
            )
        else:
            assert torch.equal(first[name], value), name
    assert first["memory.source"].tolist() != [-1, -1, -1, -1]


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]))
