"""Times the networks of both stages: milliseconds per frame forward, and per training step.

    python benchmarks/networks.py [--threads 2] [--batch 1 2 4] [--precision bf16-mixed] [--device cpu] [--channels 32]

Medians of several runs. Two busy torch processes on two cores slow each other down many times: the load is printed.
"""

import argparse
import logging
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, default_collate

from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from lightning_modules.pixels import to_network

REPEATS = 12


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per network and batch size."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    bf16 = options.precision.startswith("bf16")
    print(f"torch {torch.__version__}, {processor(options.device)}, {options.threads} threads, {options.precision}")
    gan = MemoryGAN(similarity_threshold=0.98, channels=options.channels).to(options.device).eval()
    talker = make_audio2pose().to(options.device).eval()
    for batch in options.batch:
        frames = make_frames(batch, options.size)
        rendered, identity = to_network(frames["rendered"].to(options.device)), frames["identity"].to(options.device)

        def refine(rendered: torch.Tensor = rendered, identity: torch.Tensor = identity) -> None:
            with torch.inference_mode(), torch.autocast(options.device, torch.bfloat16, enabled=bf16):
                gan(rendered, identity)

        def look(rendered: torch.Tensor = rendered) -> None:
            with torch.inference_mode():
                gan.spatial(rendered[:, -1])

        report(f"generator, forward, batch {batch}", median(refine) / batch, "ms a frame")
        report(f"spatial feature, batch {batch}", median(look) / batch, "ms a frame")
        step = training_step(MemoryGAN(similarity_threshold=0.98, channels=options.channels), frames, options)
        report(f"MemoryGAN, training step, batch {batch}", step, "ms")
    speech = make_speech(1, 250)["mfcc"].to(options.device)

    def listen() -> None:
        with torch.inference_mode():
            talker(speech)

    report("Audio2PoseLSTM, forward, 250 frames", median(listen) / 250, "ms a frame")
    step = training_step(make_audio2pose(), make_speech(16, 16), options)
    report("Audio2PoseLSTM, training step, 16 x 16 frames", step, "ms")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--size", type=int, default=256, help="side of the frames, px")
    parser.add_argument("--channels", type=int, default=32, help="base width of the generator")
    parser.add_argument("--precision", choices=("bf16-mixed", "32-true"), default="bf16-mixed")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    return parser.parse_args(arguments)


def make_frames(batch: int, size: int) -> dict[str, torch.Tensor]:
    """Noise in the form of a batch of `MemoryGAN`."""
    return {
        "rendered": torch.randint(256, (batch, 3, 3, size, size), dtype=torch.uint8),
        "target": torch.randint(256, (batch, 3, size, size), dtype=torch.uint8),
        "identity": functional.normalize(torch.randn(batch, 512), dim=1),
        "index": torch.arange(batch),
    }


def make_speech(batch: int, frames: int) -> dict[str, torch.Tensor]:
    """Noise in the form of a batch of `Audio2PoseLSTM`."""
    return {
        "mfcc": torch.randn(batch, frames, 28, 12),
        "expression": torch.randn(batch, frames, 64),
        "pose": torch.randn(batch, frames, 6),
    }


def make_audio2pose() -> Audio2PoseLSTM:
    """The first stage with statistics of nobody."""
    return Audio2PoseLSTM(
        expression_scale=np.ones(64),
        expression_mean=np.zeros(64),
        pose_scale=np.ones(6),
        pose_mean=np.zeros(6),
        mouth_opening=np.ones(64),
        mfcc_mean=np.zeros(12),
        mfcc_std=np.ones(12),
    )


def median(run: Callable[[], None]) -> float:
    """Median time of some runs after two that do not count, in ms."""
    times = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        run()
        synchronise()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times[2:])


def training_step(module: pl.LightningModule, batch: dict[str, torch.Tensor], options: argparse.Namespace) -> float:
    """Median time of a batch in a real Trainer, optimisers included, in ms."""
    size = len(next(iter(batch.values())))
    samples = [{name: value[i % size] for name, value in batch.items()} for i in range(size * (REPEATS + 4))]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="gpu" if options.device == "cuda" else "cpu",
            devices=1,
            precision=options.precision,
            max_epochs=1,
            logger=False,
            callbacks=[clock],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(module, DataLoader(samples, batch_size=size, collate_fn=default_collate))  # type: ignore[arg-type]
    return 1000 * statistics.median(clock.times[4:])


class Clock(pl.Callback):
    """Notes how long each batch took."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_start(self, *arguments: Any) -> None:
        """Start."""
        synchronise()
        self.start = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Stop."""
        synchronise()
        self.times.append(time.perf_counter() - self.start)


def synchronise() -> None:
    """Wait for a graphics processor to have finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def processor(device: str) -> str:
    """The name of what computes."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(name: str, value: float, unit: str) -> None:
    """Print one line."""
    print(f"{name:50s} {value:8.2f} {unit}   (load {os.getloadavg()[0]:.1f})", flush=True)


if __name__ == "__main__":
    main()
