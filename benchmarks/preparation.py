"""Measures what preparing a clip costs, in processor time and on disk, and what all of LRW would.

    python benchmarks/preparation.py                   # 1.16 s clips of embedded people, 256x256 like LRW's
    python benchmarks/preparation.py --root LRW        # clips of a real corpus; --layout folder for any videos

One thread, in time of this process, so that other work on the machine counts as little as possible; the first clip,
which loads networks and compiled loops, is left out.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from datamodules.clip import Clip
from datamodules.layouts import LAYOUTS, read_layout
from datamodules.preparation import Preparation
from datamodules.prepare import prepare_clip
from datamodules.synthetic.corpus import make_corpus
from media.audio import read_audio
from media.video import VideoWriter, read_frames

CLIPS = 488_766 + 25_000 + 25_000  # of LRW: train, val, test (its web page)
FRAMES = 29  # of each
SIZE = 256  # px, of its pictures
BLOCK = 4096  # bytes a file is rounded up to on most file systems


@dataclass(frozen=True)
class Cost:
    """Of one clip: its frames, seconds of processor time, bytes of each of its files."""

    frames: int
    seconds: float
    files: dict[str, int]

    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    def blocks(self) -> int:
        """Bytes that a file system sets aside for them."""
        return sum(-(-size // BLOCK) * BLOCK for size in self.files.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the measurements and what follows for LRW."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, help="a real corpus; by default embedded people are filmed")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), default="lrw")
    parser.add_argument("--clips", type=int, default=12, help="how many are prepared (default 12)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if options.root:
            sources = read_layout(options.layout, options.root)
            chosen = np.unique(np.linspace(0, len(sources) - 1, options.clips + 1).round().astype(int))
            videos, halves = [sources[index].path for index in chosen], []
        else:
            videos, halves = film(Path(folder), options.clips)
        long = [prepare(video, Path(folder)) for video in videos][1:]
        short = [prepare(video, Path(folder)) for video in halves]
    processor = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    print(f"{processor.partition(': ')[2]}, {platform.system()}, 1 thread, load {os.getloadavg()[0]:.1f}")
    report(long, short)


def film(folder: Path, clips: int) -> tuple[list[Path], list[Path]]:
    """Clips like LRW's of four embedded people, one more than asked for, and as many of half the length."""
    films = make_corpus(folder / "films", 4, FRAMES / 25, progress=True)
    whole = [like_lrw(films[k % 4], folder / f"whole_{k}.mp4", FRAMES) for k in range(clips + 1)]
    return whole, [like_lrw(films[k % 4], folder / f"half_{k}.mp4", FRAMES // 2) for k in range(clips)]


def like_lrw(video: Path, path: Path, frames: int) -> Path:
    """The beginning of a film at LRW's size."""
    with VideoWriter(path, SIZE, SIZE, audio=read_audio(video), crf=20) as writer:
        for frame in read_frames(video, 0, frames):
            writer.write(np.asarray(Image.fromarray(frame).resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
    return path


def prepare(video: Path, folder: Path) -> Cost:
    """Prepare one clip as part of a corpus."""
    begun = time.process_time()
    clip: Clip = prepare_clip(video, folder / f"{video.stem}.clip", Preparation())
    seconds = time.process_time() - begun
    return Cost(len(clip), seconds, {path.name: path.stat().st_size for path in sorted(clip.folder.iterdir())})


def report(long: Sequence[Cost], short: Sequence[Cost]) -> None:
    """Print the medians, and LRW's totals at their rates."""
    length = float(np.mean([cost.frames for cost in long]))
    clip = float(np.median([cost.seconds for cost in long]))
    print(f"{len(long)} clips of {length:.1f} frames: {1e3 * clip:.0f} ms a clip, {1e3 * clip / length:.1f} ms a frame")
    if short:
        frame = (clip - float(np.median([cost.seconds for cost in short]))) / (length - short[0].frames)
        print(f"    of it {1e3 * (clip - frame * length):.0f} ms whatever the length, {1e3 * frame:.1f} ms each frame")
    size, blocks = (float(np.mean([of(cost) / cost.frames for cost in long])) for of in (Cost.size, Cost.blocks))
    print(f"{size / 1e3:.1f} KB a frame, at most {max(cost.size() / cost.frames for cost in long) / 1e3:.1f}:")
    for name in long[0].files:
        print(f"    {name:12s} {np.mean([cost.files[name] / cost.frames for cost in long]) / 1e3:5.1f} KB")
    total = CLIPS * FRAMES
    hours = total * clip / length / 3600
    print(f"LRW, {CLIPS:,} clips, {total:,} frames at these rates:")
    print(f"    {hours:.0f} core hours: {hours / 64:.1f} h on 64 cores")
    print(f"    {total * size / 1e9:.0f} GB, {total * blocks / 1e9:.0f} GB in blocks of {BLOCK} bytes")
    print(f"    {len(long[0].files) * CLIPS:,} files")


if __name__ == "__main__":
    main()
