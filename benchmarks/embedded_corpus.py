"""Times the embedded corpus on one core: milliseconds of processor time per frame of a clip, by stage.

    python benchmarks/embedded_corpus.py [--clips 16] [--repeats 10]

The least of several runs, in time of this process, so that other work on the machine counts as little as possible.
`--clips` is how many clips a speaker says; getting a speaker ready is shared among them.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rendering import processor  # beside this file
from threadpoolctl import threadpool_limits

from datamodules.synthetic.carriers import Carrier, carry
from datamodules.synthetic.film import draw_frame, write_truth
from datamodules.synthetic.lrw_clip import FRAMES, SIZE, Studio, perform_clip
from datamodules.synthetic.speakers import draw_place
from datamodules.synthetic.speech import Speech, speak_all
from media.video_writer import VideoWriter


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per stage."""
    parser = argparse.ArgumentParser(description="Times the embedded corpus on one core.")
    parser.add_argument("--clips", type=int, default=16, help="clips per speaker (default 16)")
    parser.add_argument("--repeats", type=int, default=10, help="runs of which the least counts (default 10)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1, "blas"):
        stages = measure(options.clips, options.repeats)
    print(f"torch {torch.__version__}, {processor()}, 1 thread, load {os.getloadavg()[0]:.1f}")
    for name, seconds in stages.items():
        print(f"{name:32s} {1e3 * seconds:6.2f} ms a frame")
    total = sum(stages.values())
    print(f"{'all':32s} {1e3 * total:6.2f} ms a frame, {2 / total:.0f} frames/s on two cores")


def measure(clips: int, repeats: int) -> dict[str, float]:
    """Seconds per frame of each stage."""
    studio, rng = Studio(1_000_003), np.random.default_rng(0)
    person = studio.speaker.person
    carriers = [carry("people", rng) for _ in range(clips)]
    speech, place = _speak(carriers, studio)[0], draw_place(person, rng)

    def perform() -> object:
        return perform_clip(studio.performer, speech, carriers[0].offset, 1, np.random.default_rng(1), place)

    performance, _ = perform_clip(studio.performer, speech, carriers[0].offset, 1, rng, place)
    frame, landmarks = draw_frame(studio.scene, performance, 0, studio.backdrop)
    with tempfile.TemporaryDirectory() as folder:

        def write() -> None:
            write_truth(Path(folder) / "clip.npz", performance, np.stack([landmarks] * FRAMES), {})
            sound = performance.speech.samples
            with VideoWriter(Path(folder) / "clip.mp4", SIZE, SIZE, audio=sound, threads=1) as writer:
                for index in range(FRAMES):
                    writer.write(np.roll(frame, index, axis=1))

        return {
            "speaker: face, textures, room": _least(lambda: Studio(1_000_005), repeats) / clips / FRAMES,
            "speech": _least(lambda: _speak(carriers, studio), repeats) / clips / FRAMES,
            "performance": _least(perform, repeats) / FRAMES,
            "drawing": _least(lambda: draw_frame(studio.scene, performance, 0, studio.backdrop), 5 * repeats),
            "writing video, sound and truth": _least(write, repeats) / FRAMES,
        }


def _speak(carriers: list[Carrier], studio: Studio) -> list[Speech]:
    return speak_all([([carrier.text], studio.speaker.person.voice) for carrier in carriers])


def _least(work: Callable[[], object], repeats: int) -> float:
    """Processor seconds of the quickest of several runs, those of finished child processes included."""
    work()
    times = []
    for _ in range(repeats):
        start = _processor_seconds()
        work()
        times.append(_processor_seconds() - start)
    return min(times)


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
