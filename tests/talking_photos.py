"""A tiny corpus in LRW's layout, of a real face: a public-domain photo that moves, with noise for speech."""

import hashlib
from pathlib import Path

import numpy as np

from media.video import VideoWriter
from tests.moving_photo import pictures

FRAMES = 8
NAMES = ["ABOUT/train/ABOUT_00001", "ABOUT/train/ABOUT_00002", "WATER/val/WATER_00001", "WATER/test/WATER_00001"]


def write_clip(path: Path, frames: int = FRAMES, zoom: float = 1.35, seed: int = 0, loudness: float = 0.1) -> Path:
    """A clip with sound, or without one for a loudness below 0; the same bytes on any number of cores."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, max(loudness, 0), frames * 640).astype(np.float32)
    with VideoWriter(path, 256, 256, audio=samples if loudness >= 0 else None, crf=18, threads=1) as writer:
        for picture in pictures(frames, zoom=zoom):
            writer.write(picture)
    return path


def write_corpus(root: Path, names: list[str] = NAMES) -> Path:
    """Clips that differ in the size of the face and in their sound."""
    for seed, name in enumerate(names):
        write_clip(root / "lipread_mp4" / f"{name}.mp4", zoom=1.2 + 0.1 * seed, seed=seed)
    return root


def bytes_of(prepared: Path) -> dict[str, str]:
    """SHA-256 of every file of a prepared corpus but locks."""
    files = [path for path in prepared.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(prepared)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}
