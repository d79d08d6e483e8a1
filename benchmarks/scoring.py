"""Times the scores of a pair of videos, by part: milliseconds of processor time a frame, frames a second on the clock.

    python benchmarks/scoring.py [--frames 500] [--threads 2] [REFERENCE GENERATED]

Without files: two films of a turning photo, 256 px, compressed as generated videos are. Processor time is that of all
threads, and more than it would be alone where other work shares the cores' caches.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rendering import processor
from skimage.data import astronaut

from evaluation.compare import score_pair
from evaluation.frame_values import mean_inside
from evaluation.measure import Measurement, measure, track_file
from evaluation.psnr import decibels, squared_error
from evaluation.psnr_atvg import psnr_atvg
from evaluation.ssim import ssim
from media.video import VideoWriter


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per part."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or films(Path(folder), options.frames)
        warm = [film(Path(folder) / f"warm{k}.mp4", 8, k) for k in range(2)]
        score_pair(*warm)
        print(f"torch {torch.__version__}, {processor()}, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
        truth, made = (measure(path) for path in files)
        frames = min(len(truth), len(made))
        parts(truth, made, files, frames)
        started, clock = time.process_time(), time.perf_counter()
        score_pair(*files)
        spent, passed = time.process_time() - started, time.perf_counter() - clock
        print(f"{'score_pair, all of it':34s} {1000 * spent / frames:7.2f} ms a frame, {frames / passed:.0f} frames/s")
        print(f"{'largest memory':34s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:7.2f} GB")


def parts(truth: Measurement, made: Measurement, files: Sequence[Path], frames: int) -> None:
    """Print the processor time of every part."""
    shown = list(zip(range(min(frames, 100)), made.frames(), truth.frames(), strict=False))
    pairs = [tuple(torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in pair) for _, *pair in shown]
    planes = [[frame.contiguous() for frame in pair] for pair in pairs]  # as in a run
    masks = [torch.from_numpy(truth.face_mask(index))[None, None] for index in range(len(shown))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    stages: dict[str, tuple[Callable[[], object], int]] = {
        "tracking, both files": (lambda: [track_file(path) for path in files], frames),
        "decoding and crop, both files": (
            lambda: [len(frame) for side in (truth, made) for frame in side.frames()],
            frames,
        ),
        "face mask": (lambda: [truth.face_mask(index) for index in range(len(shown))], len(shown)),
        "psnr, psnr_face": (
            lambda: [both_psnr(*pair, mask) for pair, mask in zip(planes, masks, strict=True)],
            len(shown),
        ),
        "psnr_atvg": (lambda: [psnr_atvg(*pair) for pair in planes], len(shown)),
        "ssim": (lambda: [ssim(*pair) for pair in pairs], len(shown)),
        "ssim_gaussian": (lambda: [ssim(*pair, window="gaussian") for pair in pairs], len(shown)),
    }
    for name, (run, count) in stages.items():
        started = time.process_time()
        run()
        print(f"{name:34s} {1000 * (time.process_time() - started) / count:7.2f} ms a frame", flush=True)
    torch.set_num_threads(threads)


def both_psnr(ours: torch.Tensor, real: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """PSNR of the picture and inside a mask."""
    error = squared_error(ours, real)
    return [decibels(mean_inside(error, where)) for where in (None, mask)]


def films(folder: Path, frames: int) -> list[Path]:
    """A real video and one that differs from it a little."""
    return [film(folder / f"{name}.mp4", frames, seed) for seed, name in enumerate(("reference", "generated"))]


def film(path: Path, frames: int, seed: int) -> Path:
    """A face that turns in the picture plane, with some grain of its own."""
    grain = np.random.default_rng(seed).normal(0, 4, (256, 256, 3))
    with VideoWriter(path, 256, 256) as writer:
        for picture in turned(frames):
            writer.write(np.clip(picture + np.roll(grain, len(grain) // 3, axis=0), 0, 255).astype(np.uint8))
    return path


def turned(frames: int) -> Iterator[np.ndarray]:
    """A photo turned about its face to and fro."""
    photo = Image.fromarray(astronaut())
    for frame in range(frames):
        head = photo.rotate(9 * np.sin(0.45 * frame), Image.Resampling.BILINEAR, center=(224, 120))
        yield np.asarray(head.crop((129, 25, 319, 215)).resize((256, 256), Image.Resampling.BICUBIC))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="REFERENCE GENERATED", help="two videos of one view")
    parser.add_argument("--frames", type=int, default=500, help="length of the films")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    if len(options.files) not in (0, 2):
        parser.error("give a reference and a generated video, or none")
    return options


if __name__ == "__main__":
    main()
