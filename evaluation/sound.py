"""The beats of speech: the moments where syllables and stresses begin."""

import librosa
import numpy as np

from media.audio import SAMPLE_RATE

_HOP = 160  # samples, 10 ms: a quarter of a video frame


def speech_beats(samples: np.ndarray) -> np.ndarray:
    """Onsets of a sound: peaks of the growth of its mel spectrum (librosa's spectral flux, its default thresholds).

    Args:
        samples: (n,) float at 16 kHz.

    Returns:
        (N,) seconds, ascending; empty for silence.
    """
    if not len(samples) or not np.abs(samples).max() > 0:
        return np.empty(0)
    return librosa.onset.onset_detect(y=samples, sr=SAMPLE_RATE, hop_length=_HOP, units="time")
