"""Whether a video is fit to learn a person from: what is refused, before tracking where that can be known."""

import numpy as np

from datamodules.clip import SAMPLES_PER_FRAME, split_frames
from datamodules.preparation import Preparation
from media.audio import SAMPLE_RATE
from media.errors import InputError
from media.video import FPS, VideoInfo

SHORTEST_SECONDS = 4.0  # of a person's video; ours: with less, 60 % leave hardly a sentence to learn from
_SILENCE = 1e-4  # root mean square; ours: -80 dB, below the noise of any microphone
# Ours: sounds are coded in pieces of up to 64 ms, so that the last one rarely ends with the last picture.
_LONGEST_LACK = 0.1  # seconds


def check_video(info: VideoInfo, preparation: Preparation) -> None:
    """Refuse a video by what its file declares.

    Raises:
        InputError: If it has no sound, or is too short for a person's.
    """
    if not info.has_audio:
        raise InputError(f"{info.path}: has no sound; the mouth is learned from it, so give a video with speech.")
    if not preparation.of_corpus and info.duration < SHORTEST_SECONDS:
        raise InputError(
            f"{info.path}: lasts {info.duration:.1f} s; at least {SHORTEST_SECONDS:g} s are needed, 16 s are better."
        )


def check_frames(total: int, info: VideoInfo, preparation: Preparation) -> None:
    """Refuse a file that holds less than it declares, once it has been decoded.

    Args:
        total: Frames that were decoded.
        info: Of the video.
        preparation: The settings.

    Raises:
        InputError: If they are too few for a person's video.
    """
    if not preparation.of_corpus and total < SHORTEST_SECONDS * FPS:
        raise InputError(
            f"{info.path}: breaks off after {total / FPS:.2f} s of the {info.duration:.2f} s it declares; at least "
            f"{SHORTEST_SECONDS:g} s are needed: copy or download it again."
        )


def check_sound(samples: np.ndarray, total: int, info: VideoInfo, preparation: Preparation) -> None:
    """Refuse silence, in the whole video or in the part that is learned from.

    Args:
        samples: (n,) the sound at 16 kHz.
        total: Frames of the video, as far as is known.
        info: Of the video.
        preparation: The settings.

    Raises:
        InputError: If nothing is heard.
    """
    if _is_silent(samples):
        raise InputError(
            f"{info.path}: its sound is silent; the mouth is learned from it, so give a video with speech."
        )
    training, _ = split_frames(total, preparation.train_seconds)
    if _is_silent(samples[: training * SAMPLES_PER_FRAME]):
        raise InputError(
            f"{info.path}: its sound is silent from 0.00 to {training / FPS:.2f} s, the part that the mouth is learned "
            "from; cut the beginning off, or give a video with speech from the start."
        )


def lacking_sound(samples: np.ndarray, total: int) -> float:
    """Seconds at the end of a video's frames that have no sound; 0 where hardly any lack it.

    Args:
        samples: (n,) the sound at 16 kHz.
        total: Frames of the video.
    """
    lack = total / FPS - len(samples) / SAMPLE_RATE
    return round(lack, 2) if lack > _LONGEST_LACK else 0.0


def _is_silent(samples: np.ndarray) -> bool:
    return not len(samples) or float(np.sqrt(np.mean(np.square(samples)))) < _SILENCE
