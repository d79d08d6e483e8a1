"""A trained person says anything: ``python -m experiments.generate run=RUN_DIR audio=SPEECH output=OUT.mp4``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from experiments.settings import existing_file, load_settings, split_argument
from media.audio import read_audio
from media.errors import InputError
from media.video import VideoWriter

if TYPE_CHECKING:
    from synthesis.talker import Talker

USAGE = "usage: python -m experiments.generate run=RUN_DIR audio=SPEECH output=OUT.mp4"
_SILENCE = 1e-4  # root mean square; -80 dB, below the noise of any microphone


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit status."""
    try:
        given = dict(split_argument(argument) for argument in (sys.argv[1:] if arguments is None else arguments))
        if given.keys() != {"run", "audio", "output"}:
            wrong = sorted(given.keys() ^ {"run", "audio", "output"})
            raise InputError(f"{', '.join(wrong)}: missing or unknown; {USAGE}")
        folder, output = Path(given["run"]), Path(given["output"])
        settings = load_settings(folder)
        audio = existing_file("audio", given["audio"])
        from experiments.person import load_talker  # takes seconds: not before the arguments are known to be right

        speak(load_talker(settings, folder), audio, output)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"video   {output}")
    return 0


def speak(talker: "Talker", speech: Path | np.ndarray, output: Path) -> None:
    """Write the full-size video of a person speaking, first frame to last, with its sound.

    Args:
        talker: The trained person.
        speech: A file with sound, or (n,) float32 samples at 16 kHz.
        output: The video to write; replaced if it exists.

    Raises:
        InputError: If the sound cannot be read, is silent or shorter than a frame, or the video cannot be written.
    """
    samples = speech if isinstance(speech, np.ndarray) else read_audio(speech)
    if len(samples) < 640:
        raise InputError(f"{speech}: its sound is shorter than one frame (40 ms); give some speech")
    if float(np.sqrt(np.mean(np.square(samples)))) < _SILENCE:
        raise InputError(f"{speech}: its sound is silent; give some speech")
    performance = talker.perform(talker.listen(samples))
    total = len(performance.coefficients)
    output.parent.mkdir(parents=True, exist_ok=True)
    clip = talker.clip
    bar = tqdm(talker.full_frames(performance), f"speaking {output.name}", total, unit="frame")
    with VideoWriter(output, clip.width, clip.height, audio=samples[: total * 640]) as writer:
        for frame in bar:
            writer.write(frame)


if __name__ == "__main__":
    sys.exit(main())
