"""Small videos for a user study, a study made of them, and a server process that shows it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.user_study.build import Plan, build_study
from evaluation.user_study.study import Study
from media.video import VideoWriter

ROOT = Path(__file__).parents[1]
METHODS = ("Zebra", "Quokka", "Okapi")  # names that no page, URL or file may hold
PEOPLE = ("marguerite", "leopold")
LENGTHS = (50, 300, 800)


def talking_square(path: Path, level: int = 0, frames: int = 10, sound: bool = True, size: int = 64) -> Path:
    """A grey square on a ramp that grows and shrinks with a tone; `level` changes every pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(640 * frames) / 16_000
    tone = (0.1 * np.sin(2 * np.pi * (200 + 20 * level) * time)).astype(np.float32) if sound else None
    ramp = np.tile(np.linspace(0, 255, size, dtype=np.uint8)[:, None, None], (1, size, 3))
    with VideoWriter(path, size, size, tone) as writer:
        for frame in range(frames):
            picture = ramp.copy()
            picture[8 : 16 + frame % 20, 8:40] = 20 * level
            writer.write(picture)
    return path


def material(folder: Path) -> Path:
    """Folders `real`, one for each method (both groups) and one for each length (flat)."""
    for person in PEOPLE:
        talking_square(folder / f"real/held_out/{person}.mp4")
        for level, method in enumerate(METHODS, 1):
            for group in ("held_out", "foreign"):
                talking_square(folder / method / group / f"{person}.mp4", level)
        for level, frames in enumerate(LENGTHS, 5):
            talking_square(folder / str(frames) / f"{person}.mp4", level)
    return folder


def plan(folder: Path, **changes: object) -> Plan:
    """Everything of `material`: 4 comparisons of 3, 6 head poses, 2 comparisons of 3 lengths."""
    settings: dict = {
        "reference": folder / "real",
        "methods": {method: folder / method for method in METHODS},
        "lengths": {frames: folder / str(frames) for frames in LENGTHS},
    }
    return Plan(**(settings | changes))


def small_study(folder: Path, **changes: object) -> Study:
    """A study of twelve pages."""
    return build_study(folder / "study", plan(material(folder), **changes), say=lambda line: None)


@dataclass
class Server:
    """A running server: its address without a slash at the end, its process."""

    url: str
    process: subprocess.Popen


@contextmanager
def served(study: Path, *options: str) -> Iterator[Server]:
    """Serves a study in another process, on a free port."""
    command = [sys.executable, "-m", "evaluation.user_study", "serve", str(study), "--port", "0", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(process.stdout.readline().split(" ")[0].rstrip("/"), process)
    finally:
        process.kill()
        process.communicate()
