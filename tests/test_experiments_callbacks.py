import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from datamodules.sampling import EpochSampler
from experiments.callbacks import (
    AtomicCheckpointIO,
    StageProgress,
    last_checkpoint,
    resolve_precision,
    trainer_keywords,
)
from experiments.image_grid import ImageGrid, label_grid
from experiments.provenance import processor_flags
from experiments.settings import compose
from experiments.tracking import read_curves
from media.errors import InputError


class Small(pl.LightningModule):
    """A network whose training draws random numbers: from dropout, and from numpy."""

    def __init__(self, delay: float = 0.0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))
        self.delay = delay

    def training_step(self, batch, batch_idx):
        time.sleep(self.delay)
        loss = self.net(batch + np.random.rand()).square().mean()  # noqa: NPY002 - the generator that is seeded
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.net(batch).square().mean())
        self.log("val/expression_variance_ratio", 1.0)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def settings(*arguments):
    return compose(["trainer.precision=32-true", "trainer.accelerator=cpu", "wandb.mode=disabled", *arguments])


def fit(folder, epochs, delay=0.0, stop_at=None):
    """Train for some epochs from wherever the folder stands, and return the weights."""
    torch.set_num_threads(1)
    data = torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(data, 4, sampler=EpochSampler(len(data), seed=0))
    pl.seed_everything(int.from_bytes(os.urandom(2)), verbose=False)  # what came before must not matter
    module = Small(delay)
    nn.init.constant_(module.net[0].weight, 0.1), nn.init.constant_(module.net[3].weight, 0.1)
    nn.init.zeros_(module.net[0].bias), nn.init.zeros_(module.net[3].bias)
    keywords = trainer_keywords(settings(f"fit.audio2pose.epochs={epochs}"), Path(folder), "audio2pose")
    if stop_at is not None:
        keywords["max_epochs"] = stop_at
    trainer = pl.Trainer(**keywords | {"log_every_n_steps": 1})
    trainer.fit(
        module, loader, DataLoader(data, 40), ckpt_path=last_checkpoint(Path(folder), "audio2pose"), weights_only=True
    )
    return {name: value.clone() for name, value in module.state_dict().items()}


def curves(folder):
    return read_curves(Path(folder) / "logs" / "audio2pose" / "metrics.csv")


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = fit(tmp_path / "whole", 4)
    fit(tmp_path / "parts", 4, stop_at=2)
    parts = fit(tmp_path / "parts", 4)
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    assert curves(tmp_path / "parts") == curves(tmp_path / "whole")
    assert len([row for row in curves(tmp_path / "whole") if "train/loss" in row]) == 40
    assert sorted(p.name for p in (tmp_path / "whole/checkpoints/audio2pose").iterdir()) == ["last.ckpt"]


def test_killed_run_repeats_at_most_an_epoch_and_ends_the_same(tmp_path):
    code = f"import sys; from tests.test_experiments_callbacks import fit; fit({str(tmp_path / 'killed')!r}, 4, 0.2)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    place = tmp_path / "killed" / "checkpoints" / "audio2pose" / "last.ckpt"
    deadline = time.monotonic() + 200
    while not place.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)  # into the second epoch
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = torch.load(place, weights_only=True)["epoch"]
    assert done < 3  # it was killed in the middle
    for name, value in fit(tmp_path / "killed", 4).items():
        assert torch.equal(value, fit_once(tmp_path)[name]), name


def fit_once(tmp_path, cache={}):  # noqa: B006 - the cache is the point
    if not cache:
        cache.update(fit(tmp_path / "reference", 4))
    return cache


def small_gan():
    from datamodules.windows import RenderedFrames, RenderedWindows
    from lightning_modules.memory_gan import MemoryGAN

    chosen = compose(
        [
            "memory_gan.levels=2",
            "memory_gan.channels=4",
            "memory_gan.full_channels=4",
            "memory_gan.discriminator_channels=4",
            "memory_gan.spatial_size=32",
            "memory_gan.memory_slots=5",
            "memory_gan.decay_fraction=0",
        ]
    )  # no decay: it would follow from the number of epochs, which differs between the parts
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(0, 256, (12, 3, 32, 32), generator=generator, dtype=torch.uint8)
    identity = nn.functional.normalize(torch.randn(12, 512, generator=generator), dim=1)
    frames = RenderedFrames(true // 2, true, torch.full_like(true[:, :1], 255), identity)
    return MemoryGAN(**chosen["memory_gan"] | {"similarity_threshold": 0.8}), RenderedWindows(frames)


def small_lstm():
    from datamodules.windows import SpeechWindows
    from lightning_modules.audio2pose import Audio2PoseLSTM

    generator = np.random.default_rng(0)
    mfcc, chi = generator.normal(size=(30, 28, 12)), generator.normal(size=(30, 257))
    ones = {name: np.ones(size) for name, size in (("expression_scale", 64), ("pose_scale", 6), ("mfcc_std", 12))}
    zeros = {name: np.zeros(size) for name, size in (("expression_mean", 64), ("pose_mean", 6), ("mfcc_mean", 12))}
    chosen = compose(["audio2pose.encoder_channels=8", "audio2pose.hidden_size=8", "audio2pose.mfcc_noise=0.1"])
    module = Audio2PoseLSTM(**ones, **zeros, mouth_opening=np.ones(64), **chosen["audio2pose"])
    return module, SpeechWindows(mfcc.astype(np.float32), chi.astype(np.float32), 16)


@pytest.mark.parametrize(("stage", "make"), [("memory_gan", small_gan), ("audio2pose", small_lstm)])
def test_both_stages_resume_to_the_last_bit(tmp_path, stage, make):
    """Networks, averages, optimisers and the memory; what initialised them before the resumption must not matter."""
    torch.set_num_threads(1)

    def fit_stage(folder, epochs, seed):
        pl.seed_everything(seed, verbose=False)
        module, data = make()
        keywords = trainer_keywords(settings(), folder, stage) | {"max_epochs": epochs}
        loader = DataLoader(data, 4, sampler=EpochSampler(len(data), seed=0), drop_last=True)
        trainer = pl.Trainer(**keywords)
        trainer.fit(module, loader, DataLoader(data, 4), ckpt_path=last_checkpoint(folder, stage), weights_only=True)
        return module.state_dict()

    whole = fit_stage(tmp_path / "whole", 3, seed=0)
    fit_stage(tmp_path / "parts", 1, seed=0)
    parts = fit_stage(tmp_path / "parts", 3, seed=1)
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_progress_without_a_terminal_is_lines_with_rate_and_losses(tmp_path, capfd):
    fit(tmp_path, 2)
    lines = [line for line in capfd.readouterr().err.splitlines() if "audio2pose" in line]
    assert len(lines) == 1  # the last epoch; others only when ten seconds have passed
    assert "epoch 2/2" in lines[0]
    assert "20/20" in lines[0]
    assert "it/s" in lines[0]
    assert "loss 0." in lines[0]


def test_progress_bar_is_one_for_the_stage(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert StageProgress("memory_gan")._lines is False


def test_failed_write_keeps_the_old_checkpoint(tmp_path):
    place = tmp_path / "last.ckpt"
    writer = AtomicCheckpointIO()
    writer.save_checkpoint({"weights": torch.zeros(3)}, place)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the nearest thing to a full disk
    try:
        with pytest.raises(InputError, match=r"cannot write .*last\.ckpt"):
            writer.save_checkpoint({"weights": torch.ones(1_000_000)}, place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert torch.equal(torch.load(place)["weights"], torch.zeros(3))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@dataclass
class Refined:
    frame: torch.Tensor
    color: torch.Tensor
    attention: torch.Tensor


class Inverting(pl.LightningModule):
    """Stands in for the generator: refines a frame into its negative, with an attention of one half."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, rendered, identity):
        frame = -rendered[:, -1]
        return Refined(frame, frame, torch.full_like(frame[:, :1], 0.5))

    def retrieve(self, frames):
        return torch.zeros(len(frames), 512)

    def training_step(self, batch, batch_idx):
        return self.weight.square().sum()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_image_grid_shows_rendered_refined_true_attention(tmp_path):
    levels = torch.linspace(-1, 1, 5)
    samples = [
        {
            "rendered": torch.full((3, 3, 8, 8), float(level)),
            "target": torch.zeros(3, 8, 8),
            "identity": torch.zeros(512),
        }
        for level in levels
    ]
    trainer = pl.Trainer(max_epochs=3, callbacks=[ImageGrid(tmp_path, every=2, count=3)], accelerator="cpu",
                         logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False)  # fmt: skip
    trainer.fit(Inverting(), DataLoader(samples, 2), DataLoader(samples, 2))
    names = sorted(path.name for path in (tmp_path / "logs/images").iterdir())
    assert names == ["epoch_0002.png", "epoch_0003.png"]
    picture = np.asarray(Image.open(tmp_path / "logs/images/epoch_0003.png"))
    assert picture.shape == (16 + 3 * 8, 4 * 8, 3)
    centres = picture[16 + 4 :: 8, 4::8, 0].tolist()
    assert centres == [[0, 255, 128, 128], [128, 128, 128, 128], [255, 0, 128, 128]]


def test_label_grid_keeps_rows_and_columns_apart():
    images = torch.arange(6.0).reshape(2, 3, 1, 1, 1).expand(2, 3, 3, 4, 5) / 2.5 - 1
    picture = np.asarray(label_grid(images, ("a", "b", "c")))[16:]
    assert picture.shape == (8, 15, 3)
    assert picture[::4, ::5, 0].tolist() == [[0, 51, 102], [153, 204, 255]]


def test_precision_auto_is_bf16_only_where_it_is_computed():
    assert resolve_precision("32-true", "auto") == "32-true"
    fast = {"avx512_bf16", "amx_bf16"} & processor_flags()
    assert resolve_precision("auto", "cpu") == ("bf16-mixed" if fast else "32-true")
