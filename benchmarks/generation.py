"""How fast a trained person speaks: frames a second, from the sound to the encoded file, by part.

    python benchmarks/generation.py RUN SPEECH [--seconds 12]

RUN is the folder of a finished run of `experiment=personal` or `experiment=demo`. Loading the person is not counted; a
second is spoken first, so that everything is compiled and warm.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.generate import readable_speech
from experiments.person import load_talker
from experiments.settings import load_settings
from media.audio import FRAME_SAMPLES, SAMPLE_RATE
from media.video import FPS, VideoWriter
from synthesis.talker import Performance, Talker


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--seconds", type=float, default=12.0, help="of the speech, default 12")
    options = parser.parse_args()
    talker = load_talker(load_settings(options.run), options.run)
    samples = readable_speech(options.speech)[: round(options.seconds * SAMPLE_RATE)]
    for crop in (True, False):
        _spoken(talker, samples[:SAMPLE_RATE], crop)
        took = _spoken(talker, samples, crop)
        name = "256 px crop" if crop else "full frames, {}x{}".format(*talker.frame_size)
        for part, seconds in took.items():
            speed = len(samples) / SAMPLE_RATE * FPS / seconds
            print(f"{name:30s} {part:24s} {seconds:6.2f} s  {speed:6.1f} frames/s")


def _spoken(talker: Talker, samples: np.ndarray, crop: bool) -> dict[str, float]:
    began = time.perf_counter()
    performance = talker.perform(talker.listen(samples))
    heard = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as place:
        pictures = _crops(talker, performance) if crop else talker.full_frames(performance)
        size = (talker.clip.crop.size,) * 2 if crop else talker.frame_size
        with VideoWriter(
            Path(place) / "spoken.mp4", *size, audio=samples[: len(performance) * FRAME_SAMPLES]
        ) as writer:
            for picture in pictures:
                writer.write(picture)
    return {"sound to head and mouth": heard, "all, sound to file": time.perf_counter() - began}


def _crops(talker: Talker, performance: Performance) -> Iterator[np.ndarray]:
    background = talker.training_background(performance.source_frames)
    for picture, _ in talker.refine(performance.coefficients, background):
        yield picture


if __name__ == "__main__":
    main()
