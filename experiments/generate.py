"""A trained person says anything: ``python -m experiments.generate run=RUN_DIR audio=SPEECH output=OUT.mp4``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from experiments.settings import existing_file, load_settings, split_argument
from media.audio import FRAME_SAMPLES, read_audio
from media.digest import sha256
from media.errors import InputError
from media.video import VideoWriter
from media.video_writer import require_video_name
from media.whole_file import require_writable

if TYPE_CHECKING:
    from synthesis.photo.talker import PhotoTalker
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
        samples = readable_speech(audio)
        require_output(output, "output")
        # Both take seconds: not before the arguments are known to be right.
        if settings["data"]["kind"] == "photo":
            from experiments.photo import load_photo_talker

            speak(load_photo_talker(settings, folder), samples, output)
        else:
            from experiments.person import load_talker

            speak(load_talker(settings, folder), samples, output)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"video   {output}")
    return 0


def speak(talker: "Talker | PhotoTalker", speech: Path | np.ndarray, output: Path) -> None:
    """Write the full-size video of a person, or a photo, speaking, first frame to last, with its sound.

    Args:
        talker: The trained person, or the photo's.
        speech: A file with sound, or (n,) float32 samples at 16 kHz; what is longer than the frames is cut off.
        output: The video to write; replaced if it exists.

    Raises:
        InputError: If the sound cannot be read, is silent or shorter than a frame, or the video cannot be written.
    """
    samples = readable_speech(speech)
    performance: Any = talker.perform(talker.listen(samples))  # of the talker's own kind
    total = len(performance)
    frames = tqdm(talker.full_frames(performance), f"speaking {output.name}", total, unit="frame")
    with VideoWriter(output, *talker.frame_size, audio=samples[: total * FRAME_SAMPLES]) as writer:
        for frame in frames:
            writer.write(frame)


def readable_speech(speech: Path | np.ndarray) -> np.ndarray:
    """The samples of some speech, (n,) float32 at 16 kHz.

    Raises:
        InputError: If the sound cannot be read, is silent or shorter than a frame.
    """
    samples = speech if isinstance(speech, np.ndarray) else read_audio(speech)
    if len(samples) < FRAME_SAMPLES:
        raise InputError(f"{speech}: its sound is shorter than one frame (40 ms); give some speech")
    if float(np.sqrt(np.mean(np.square(samples)))) < _SILENCE:
        raise InputError(f"{speech}: its sound is silent; give some speech")
    return samples


def require_output(output: Path, setting: str) -> None:
    """Refuse a place for a video at which none can be written.

    Args:
        output: The video to write; its folder is made.
        setting: What names it, for the message.

    Raises:
        InputError: If the ending is unknown, a folder has the name, or its folder cannot be written into.
    """
    try:
        require_video_name(output)
    except InputError as error:
        raise InputError(f"{setting}: {error}") from None
    require_writable(output.parent, setting)


def speech_output(settings: dict[str, Any], folder: Path) -> Path:
    """Where the video that `generate.audio` asks for goes: into the run folder unless `generate.output` says where."""
    audio, output = Path(settings["generate"]["audio"]), settings["generate"]["output"]
    return Path(output or folder / "videos" / "speech" / f"{audio.stem}-{sha256(audio)[:8]}.mp4").expanduser()


if __name__ == "__main__":
    sys.exit(main())
