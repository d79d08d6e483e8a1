"""Two processes learn what one process learns from the same samples, and see the same memory.

Run as a script, this file is one of the processes.
"""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from datamodules.sampling import EpochSampler, evaluation_loader
from experiments.callbacks import training_strategy
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN

ROOT = Path(__file__).parents[1]
BATCH = 4  # samples of a step, over all processes
RECORDED = 40  # frames of the recording that the regression learns by heart


class Frames(Dataset):
    """Windows of 16 px frames of four people; dark where the face mask is."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        rendered = torch.rand(3, 3, 16, 16, generator=generator) * 2 - 1
        person = torch.Generator().manual_seed(100 + index % 4)
        mask = torch.zeros(1, 16, 16)
        mask[:, : 2 + index % 9] = 1  # of another size in every frame
        return {
            "rendered": rendered,
            "target": rendered[-1] * 0.9,
            "face_mask": mask,
            "identity": functional.normalize(torch.randn(16, generator=person), dim=0),
            "index": torch.tensor(index),
            "speaker": torch.tensor(index % 4),
        }


class Speech(Dataset):
    """Stretches of sound and movement, of one length in training and of several in validation."""

    def __init__(self, size, longest=0):
        self.size, self.longest = size, longest

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        length = self.longest - 3 * index if self.longest else 6
        sizes = {"mfcc": (length, 28, 12), "expression": (length, 64), "pose": (length, 6)}
        return {name: torch.randn(*size, generator=generator) for name, size in sizes.items()}


class Recorded(pl.LightningDataModule):
    """Batches of both sets, and a recording of one person beside them."""

    def __init__(self, training, validation):
        super().__init__()
        self.train_dataloader, self.val_dataloader = (lambda: training), (lambda: validation)
        self.recording = Speech(1, RECORDED)[0]


class PlainMemoryGAN(MemoryGAN):
    """Adam divides by gradients near 0 and would make rounding visible."""

    def configure_optimizers(self):
        networks = self.spatial.project, self.discriminator, self.generator
        return [
            torch.optim.SGD(network.parameters(), rate) for network, rate in zip(networks, (1, 1e-3, 1e-4), strict=True)
        ]


class PlainLSTM(Audio2PoseLSTM):
    def configure_optimizers(self):
        return torch.optim.SGD(self.network.parameters(), 0.1)


def make_gan(kind=MemoryGAN, **keywords):
    torch.manual_seed(0)
    small = {"channels": 8, "levels": 2, "full_channels": 8, "discriminator_channels": 4, "discriminator_layers": 1}
    small |= {"identity_size": 16, "spatial_size": 32, "learning_rate": 1e-3, "average_decay": 0.9}
    memory = {"similarity_threshold": 0.8, "memory_slots": 3, "top_k": 2, "face_weight": 2.0}
    memory |= {"augmentation": {"shift": 0.1, "rotation": 10.0, "scale": 0.1}}
    return kind(**(small | memory | keywords))


def make_lstm(kind=Audio2PoseLSTM, **keywords):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    person = [rng.uniform(0.5, 2, size).astype(np.float32) for size in (64, 64, 6, 6, 64, 12, 12)]
    return kind(*person, encoder_channels=4, feature_size=8, hidden_size=8, **keywords)


JOBS = {  # name -> module, data sets of training and validation, stage, precision
    "gan_fp64": (lambda: make_gan(PlainMemoryGAN), Frames(23), Frames(5), "memory_gan", "64-true"),
    "gan_bf16": (lambda: make_gan(dropout=0.5), Frames(23), Frames(5), "memory_gan", "bf16-mixed"),
    "lstm_fp64": (lambda: make_lstm(PlainLSTM, dropout=0.0), Speech(23), Speech(3, 20), "audio2pose", "64-true"),
    "lstm_fp32": (lambda: make_lstm(mfcc_noise=0.3), Speech(23), Speech(1, 20), "audio2pose", "32-true"),
    "lstm_regression": (
        lambda: make_lstm(kernel_weight=0.6, lookahead=1),
        Speech(23),
        Speech(1, 20),
        "audio2pose",
        "32-true",
    ),
}


def train(folder, processes, accelerator):
    """Five steps of every job, as the data modules and the settings of a run would have them."""
    for name, (make, training, validation, stage, precision) in JOBS.items():
        module = make()
        settings = {"trainer": {"strategy": "auto", "devices": processes, "num_nodes": 1}}
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=processes,
            strategy=training_strategy(settings, stage),
            precision=precision,
            use_distributed_sampler=False,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
        rank = int(os.environ.get("LOCAL_RANK", "0"))
        sampler = EpochSampler(len(training), 7, rank, processes, BATCH)
        batches = DataLoader(training, BATCH // processes, sampler=sampler, drop_last=True)
        trainer.fit(module, datamodule=Recorded(batches, evaluation_loader(validation, 1, rank, processes)))
        values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        state = {key: value.cpu() for key, value in module.state_dict().items()}
        result = {"state": state, "values": values, "steps": int(module.steps)}
        torch.save(result, Path(folder) / f"{name}-{processes}-{trainer.global_rank}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_jobs(tmp_path_factory.mktemp("processes"), (1, 2), "cpu")


@pytest.fixture(scope="module")
def graphics_results(tmp_path_factory):
    """The same on graphics processors: one, and where the machine has more, two that speak NCCL."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return run_jobs(tmp_path_factory.mktemp("graphics"), range(1, min(torch.cuda.device_count(), 2) + 1), "gpu")


def run_jobs(folder, counts, accelerator):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    for processes in counts:
        command = [sys.executable, __file__, str(folder), str(processes), accelerator]
        subprocess.run(command, check=True, env=environment, timeout=250)
    return {path.stem: torch.load(path) for path in folder.iterdir()}


@pytest.mark.parametrize("job", ["gan_fp64", "lstm_fp64"])
def test_two_processes_learn_what_one_learns(results, job):
    one, two = results[f"{job}-1-0"], results[f"{job}-2-0"]
    assert one["steps"] == two["steps"] == 5
    for name, value in one["state"].items():
        if value.is_floating_point():
            assert value.dtype == torch.float64
            torch.testing.assert_close(two["state"][name], value, rtol=0, atol=1e-9, msg=lambda text, n=name: n + text)
        else:
            assert torch.equal(two["state"][name], value), name


@pytest.mark.parametrize("job", ["gan_fp64", "lstm_fp64"])
def test_graphics_processors_learn_what_processors_learn(results, graphics_results, job):
    expected = results[f"{job}-1-0"]
    runs = {name: result for name, result in graphics_results.items() if name.startswith(job)}
    assert len(runs) == (3 if torch.cuda.device_count() > 1 else 1)
    for run, result in runs.items():
        assert result["values"] == pytest.approx(expected["values"], abs=1e-6), run
        for name, value in expected["state"].items():
            message = partial("{}: {}: {}".format, run, name)
            torch.testing.assert_close(result["state"][name], value, rtol=0, atol=1e-9, msg=message)


def test_bf16_on_graphics_processors_gives_numbers(graphics_results):
    for name in ("gan_bf16-1-0", "lstm_fp32-1-0"):
        result = graphics_results[name]
        assert result["steps"] == 5
        assert all(value.isfinite().all() for value in result["state"].values()), name


def test_five_steps_did_something(results):
    """Else the tests above would hold of networks that stand still and of a memory that is never full."""
    for job, make in (("gan_fp64", make_gan), ("lstm_fp64", make_lstm)):
        before, after = make().state_dict(), results[f"{job}-2-0"]["state"]
        for name, value in before.items():
            if name.endswith("weight") and "backbone" not in name:
                assert (after[name] - value).abs().max() > 1e-6, name
    memory = results["gan_fp64-2-0"]["state"]
    assert memory["memory.written"] == 20
    assert memory["memory.filled"].all()
    order = list(EpochSampler(23, 7))[:20]
    assert set(memory["memory.source"].tolist()) - set(order[:4])  # replaced, by samples of later steps
    assert torch.equal(memory["memory.speakers"], memory["memory.source"] % 4)


@pytest.mark.parametrize("job", JOBS)
def test_both_processes_hold_the_same(results, job):
    first, second = (results[f"{job}-2-{rank}"] for rank in (0, 1))
    assert first["state"].keys() == second["state"].keys()
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert first["values"] == second["values"]


def test_both_processes_learn_the_whole_recording_by_heart(results):
    """Unlike the samples, of which each has its share; from the first weights, before any step."""
    one, two = (results[f"lstm_regression-{processes}-0"]["state"] for processes in (1, 2))
    assert one["kernel.support"].shape == (RECORDED, 2 * 8)
    names = [name for name in one if name.startswith("kernel.")]
    assert {"kernel.mean", "kernel.deviation", "kernel.weights", "kernel.trusted"} <= set(names)
    for name in names:
        assert torch.equal(two[name], one[name]), name


@pytest.mark.parametrize("job", ["gan_fp64", "lstm_fp64"])
def test_validation_counts_every_sample_once(results, job):
    one, two = results[f"{job}-1-0"]["values"], results[f"{job}-2-0"]["values"]
    assert one.keys() == two.keys()
    assert len(one) >= 4
    for name, value in one.items():
        assert two[name] == pytest.approx(value, abs=1e-6), name


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]), sys.argv[3])
