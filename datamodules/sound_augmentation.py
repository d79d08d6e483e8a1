"""Other voices, rooms and microphones from the sound that is there, for training on many speakers."""

from dataclasses import dataclass

import librosa
import numpy as np
from scipy.signal import fftconvolve

from datamodules.clip import SAMPLES_PER_FRAME
from media.audio import SAMPLE_RATE
from media.errors import InputError

_FFT = 512  # samples; 32 ms keep syllables in place when pitch and time are pulled apart
_DIRECT_TO_TAIL = (0.1, 0.7)  # ours: amplitude of the echoes beside the direct sound, from a studio to a hall
_SILENT = 1e-4  # RMS; below it noise is set against this level


@dataclass(frozen=True)
class SoundAugmentation:
    """Random changes of a stretch of speech; each range is that of a uniform draw, and 0 leaves out all but the noise.

    Attributes:
        gain_db: Largest change of loudness, either way. The MFCC drop loudness itself, so this matters with noise.
        speed: Largest change of speed, either way, as a share: sound and movement as from a tape, so that pitch and
            formants move along, as with a smaller or larger head.
        pitch_semitones: Largest change of pitch and formants beside that of the speed, either way.
        noise_snr_db: Lowest ratio of speech to noise; the ratio is drawn between it and 30 dB above. None leaves the
            noise out: at 0 it is as loud as the speech.
        reverberation_seconds: Longest reverberation time (decay by 60 dB).
        probability: Of each change but the gain being made at all.
    """

    gain_db: float = 6.0
    speed: float = 0.15
    pitch_semitones: float = 0.0  # ours: the phase vocoder takes 6 ms a window, and speed moves the pitch already
    noise_snr_db: float | None = 10.0
    reverberation_seconds: float = 0.4
    probability: float = 0.5

    def __post_init__(self) -> None:
        limits = {
            "gain_db": (0, 40),
            "speed": (0, 0.3),
            "pitch_semitones": (0, 12),
            "noise_snr_db": (-10, 60),
            "reverberation_seconds": (0, 3),
            "probability": (0, 1),
        }
        for name, (lowest, highest) in limits.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise InputError(f"augmentation: {name} is {value}; it must be from {lowest} to {highest}")

    def __call__(
        self, samples: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change a stretch of sound, and the movement along with it.

        Args:
            samples: (640 T,) float32 at 16 kHz.
            targets: (T, D) numbers per video frame that go with the sound.
            rng: Decides everything.

        Returns:
            (640 T',) samples and (T', D) targets; T' differs from T where the speed does.

        Raises:
            ValueError: If samples and targets are not of equal length.
        """
        if len(samples) != SAMPLES_PER_FRAME * len(targets):
            raise ValueError(f"expected {SAMPLES_PER_FRAME} samples per target, got {len(samples)} and {len(targets)}")
        # every number is drawn whether it is used or not, so that one setting does not change what another draws
        chosen = rng.random(4) < self.probability
        pitch, speed, gain, snr, seconds, echo = rng.uniform(size=6)
        octaves = self.pitch_semitones * (2 * pitch - 1) / 12 * chosen[0]
        rate = 1 + self.speed * (2 * speed - 1) * chosen[1]
        samples, targets = _respoken(samples, targets, float(2.0**octaves), float(rate))
        if self.reverberation_seconds and chosen[2]:
            samples = _reverberated(samples, seconds * self.reverberation_seconds, echo, rng)
        if self.noise_snr_db is not None and chosen[3]:
            samples = _noisy(samples, self.noise_snr_db + 30 * snr, rng)
        samples = samples * 10 ** (self.gain_db * (2 * gain - 1) / 20)
        return np.clip(samples, -1, 1).astype(np.float32), targets


def _respoken(samples: np.ndarray, targets: np.ndarray, pitch: float, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Play at another speed, as a tape; a pitch of its own is a stretch in time before that is played back faster."""
    frames = max(round(len(targets) / rate), 1)
    stretched = samples if pitch == 1 else librosa.effects.time_stretch(samples, rate=1 / pitch, n_fft=_FFT)
    length = frames * SAMPLES_PER_FRAME
    if len(stretched) != length:
        places = (np.arange(length) + 0.5) * len(stretched) / length - 0.5
        stretched = np.interp(places, np.arange(len(stretched)), stretched)
    if frames == len(targets):
        return stretched, targets
    moments = (np.arange(frames) + 0.5) * len(targets) / frames - 0.5
    before = np.clip(np.floor(moments).astype(int), 0, len(targets) - 1)
    after = np.minimum(before + 1, len(targets) - 1)
    share = np.clip(moments - before, 0, 1)[:, None].astype(targets.dtype)
    return stretched, targets[before] * (1 - share) + targets[after] * share


def _reverberated(samples: np.ndarray, seconds: float, echo: float, rng: np.random.Generator) -> np.ndarray:
    """The direct sound, in place, and a noise-like tail that falls by 60 dB in `seconds`."""
    length = max(int(seconds * SAMPLE_RATE), 1)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    low, high = _DIRECT_TO_TAIL
    tail *= (low + (high - low) * echo) / np.sqrt(np.square(tail).sum())
    tail[0] = 1.0
    return fftconvolve(samples, tail)[: len(samples)]


def _noisy(samples: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise between white and pink, as rooms and microphones have."""
    spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20) ** rng.uniform(0, 0.5)
    noise = np.fft.irfft(spectrum, len(samples))
    level = max(float(np.sqrt(np.mean(np.square(samples)))), _SILENT) * 10 ** (-snr_db / 20)
    return samples + noise * level / np.sqrt(np.mean(np.square(noise)))
