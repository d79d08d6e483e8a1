"""Times the loading of a prepared corpus: milliseconds of processor time a window, and windows per second.

    python benchmarks/loading.py PREPARED [--batch 2 16] [--windows 600] [--workers 2]

The time of one process counts its processor time only, so that other work on the machine matters as little as possible;
the rate of several workers is measured on the clock. A small corpus is read as if it were larger, its clips many times.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from datamodules.lrw import LRWDataModule
from datamodules.manifest import read_manifest, write_manifest
from datamodules.sound_augmentation import SoundAugmentation
from datamodules.windows import Batch

CLIPS = 1000  # training clips, at least, so that lanes are as long as in a real corpus


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per stage, batch size and number of workers."""
    options = parse(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, "blas"):
        prepared = enlarged(options.prepared, Path(folder))
        for batch in options.batch:
            for name, stage, settings in (
                ("audio2pose", "audio2pose", {}),
                ("audio2pose, augmented", "audio2pose", {"augmentation": SoundAugmentation()}),
                ("memory_gan", "memory_gan", {}),
            ):
                data = LRWDataModule(prepared, stage, batch_size=batch, **settings)
                report(f"{name}, batch {batch}, 1 core", *steady(data, options.windows))
                if options.workers:
                    data = LRWDataModule(prepared, stage, batch_size=batch, workers=options.workers, **settings)
                    report(f"{name}, batch {batch}, {options.workers} workers", *steady(data, options.windows))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prepared", type=Path, help="folder of a prepared corpus")
    parser.add_argument("--batch", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--windows", type=int, default=600, help="to measure over")
    parser.add_argument("--workers", type=int, default=0, help="to measure with as well")
    return parser.parse_args(arguments)


def enlarged(prepared: Path, folder: Path) -> Path:
    """A manifest in another folder that lists the clips of a corpus as often as it takes."""
    entries = [replace(entry, clip=str((prepared / entry.clip).resolve())) for entry in read_manifest(prepared)]
    copies = -(-CLIPS // sum(entry.split == "train" for entry in entries))
    write_manifest(folder, [replace(entry, name=f"{entry.name} {copy}") for entry in entries for copy in range(copies)])
    return folder


def steady(data: LRWDataModule, windows: int) -> tuple[float, float]:
    """Milliseconds a window of this process's time and of the clock, once all lanes have opened their first clips."""
    data.setup("fit")
    batches = iter(data.train_dataloader())
    skip(batches, data.train_set.held.most)
    cpu, clock = time.process_time(), time.perf_counter()
    done = skip(batches, windows)
    return 1000 * (time.process_time() - cpu) / done, 1000 * (time.perf_counter() - clock) / done


def skip(batches: Iterator[Batch], windows: int) -> int:
    """Draw at least so many windows."""
    done = 0
    while done < windows:
        done += len(next(iter(next(batches).values())))
    return done


def report(name: str, cpu: float, clock: float) -> None:
    """Print one line."""
    rate = f"{1000 / clock:7.0f} windows/s on the clock"
    print(f"{name:48s} {cpu:7.2f} ms a window in this process, {rate}   (load {os.getloadavg()[0]:.1f})", flush=True)


if __name__ == "__main__":
    main()
