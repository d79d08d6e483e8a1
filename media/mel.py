"""The mel power spectrum of speech, 100 rows a second: what the mouth-from-sound network hears."""

import librosa
import numpy as np

from media.audio import SAMPLE_RATE, checked_samples

BANDS = 40  # the usual number for speech networks; the 26 of the MFCC lose the third formant
ROWS_PER_FRAME = 4
_PRE_EMPHASIS = 0.97  # as for the MFCC (SPEC)
_FFT, _WINDOW, _HOP = 512, 400, 160  # samples: 25 ms every 10 ms, as for the MFCC (SPEC)
_LOWEST, _HIGHEST = 60.0, 7600.0  # Hz; below is hum, above are the filters of many recordings


def mel_power(samples: np.ndarray) -> np.ndarray:
    """Power in mel bands, row r centred on sample 160 r + 56.

    Args:
        samples: (n,) float at 16 kHz.

    Returns:
        (n // 160, 40) float32, not logarithmic.

    Raises:
        InputError: If the samples are no finite signal.
    """
    samples = checked_samples(samples, "the sound for the mel spectrum")
    emphasised = np.append(samples[:1], samples[1:] - np.float32(_PRE_EMPHASIS) * samples[:-1])
    power = librosa.feature.melspectrogram(
        y=np.pad(emphasised, (_WINDOW // 2, _FFT)),
        sr=SAMPLE_RATE,
        n_fft=_FFT,
        win_length=_WINDOW,
        hop_length=_HOP,
        n_mels=BANDS,
        fmin=_LOWEST,
        fmax=_HIGHEST,
        center=False,
    )
    return np.ascontiguousarray(power.T[: len(samples) // _HOP], np.float32)
