"""The melody of speech, and the head that moves with it: nods, sways, glances, blinks, brows.

People nod on stressed syllables, settle into a new posture at phrase boundaries and never hold quite still in
between; they blink every few seconds, rather in pauses than within words. All movement here is smooth, with energy at
all low frequencies, and follows the sound only in part: as with real people, the same sentence may come with another
movement (another seed).
"""

from dataclasses import dataclass

import librosa
import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.signal import lfilter

from datamodules.synthetic.speech import SAMPLE_RATE, Phoneme, Speech
from datamodules.synthetic.visemes import FPS

_HOP = SAMPLE_RATE // FPS
_F0_RANGE = (65.0, 400.0)  # Hz, speaking voices


@dataclass(frozen=True)
class Prosody:
    """Melody and loudness per frame.

    Attributes:
        pitch: (T,) semitones above the speaker's median, 0 where unvoiced, smoothed over 0.1 s.
        loudness: (T,) 0 quiet to 1 loud.
        voiced: (T,) bool.
    """

    pitch: np.ndarray
    loudness: np.ndarray
    voiced: np.ndarray


@dataclass(frozen=True)
class Motion:
    """How the head, the eyes and the brows move, before any face is known.

    Attributes:
        angles: (T, 3) pitch (nod down > 0), yaw, roll of the head in radians.
        lean: (T, 3) movement of the upper body in decimetres: x, y, z.
        gaze: (T, 2) of the eyes against looking into the camera, in radians: right, up.
        lids: (T,) 0 open, 1 shut.
        brows: (T,) -1 lowered to 1 raised.
    """

    angles: np.ndarray
    lean: np.ndarray
    gaze: np.ndarray
    lids: np.ndarray
    brows: np.ndarray


def read_prosody(samples: np.ndarray, frames: int) -> Prosody:
    """Measure pitch (YIN) and loudness of speech.

    Args:
        samples: (n,) 16 kHz mono.
        frames: Number of frames at 25 fps; beyond the sound there is silence.

    Returns:
        Prosody of exactly `frames` frames.
    """
    padded = np.zeros(frames * _HOP, np.float32)
    padded[: min(len(samples), len(padded))] = samples[: len(padded)]
    centred = np.pad(padded, (_HOP, _HOP))  # a 1920-sample window around each frame's middle
    loud = librosa.feature.rms(y=centred, frame_length=3 * _HOP, hop_length=_HOP, center=False)[0][:frames]
    f0 = librosa.yin(
        centred,
        fmin=_F0_RANGE[0],
        fmax=_F0_RANGE[1],
        sr=SAMPLE_RATE,
        frame_length=3 * _HOP,
        hop_length=_HOP,
        center=False,
    )[:frames]
    decibels = 20 * np.log10(np.maximum(loud, 1e-5))
    top = np.percentile(decibels, 95)
    voiced = decibels > top - 25  # ours: vowels and voiced consonants of normal speech
    loudness = np.clip((decibels - top + 30) / 30, 0, 1)
    semitones = 12 * np.log2(f0)
    centre = np.median(semitones[voiced]) if voiced.any() else 0.0
    pitch = np.where(voiced, np.clip(semitones - centre, -9, 9), 0)  # octave errors stay within nine semitones
    pitch = gaussian_filter1d(median_filter(pitch, 5), 0.1 * FPS)
    return Prosody(pitch, loudness, voiced)


def move(speech: Speech, prosody: Prosody, rng: np.random.Generator, liveliness: float = 1.0) -> Motion:
    """Move head, eyes and brows along speech.

    Args:
        speech: Phonemes with their times.
        prosody: Of the same speech; its length is the number of frames.
        rng: Source of everything that the sound does not decide.
        liveliness: 1 a calm conversation; scales the amplitude of head and body.

    Returns:
        Motion of the same number of frames.
    """
    frames = len(prosody.loudness)
    times = (np.arange(frames) + 0.5) / FPS
    angles = np.radians(_drift(prosody, rng) + _postures(speech, times, rng))
    angles[:, 0] += np.radians(_nods(speech, prosody, times, rng))
    # A raised voice raises the head a little (and the brows); both follow the melody, slowed to what a neck can do.
    melody = gaussian_filter1d(prosody.pitch, 0.25 * FPS)
    angles[:, 0] -= np.radians(0.35) * melody
    brows = np.clip(gaussian_filter1d(prosody.pitch, 0.12 * FPS) / 5 + 0.25 * _noise(frames, 0.4, rng), -1, 1)
    lean = np.array([0.10, 0.03, 0.12]) * np.stack([_noise(frames, 0.15, rng) for _ in range(3)], 1)
    lids = _blinks(speech, times, rng)
    return Motion(liveliness * angles, liveliness * lean, _gaze(times, rng), lids, brows)


def _noise(frames: int, cutoff: float, rng: np.random.Generator) -> np.ndarray:
    """Unit-variance noise, (T,), flat up to `cutoff` Hz, then falling steeply: a push on something heavy."""
    margin = int(4 * FPS / cutoff)  # warm-up, so that the first frame is like any other
    white = rng.standard_normal(frames + margin)
    keep = np.exp(-2 * np.pi * cutoff / FPS)
    pole = [1 - keep], [1, -keep]
    slow = lfilter(*pole, lfilter(*pole, white))  # two cascaded one-pole filters
    # Variance of the cascade for white input: (1-k)^4 (1+k^2) / (1-k^2)^3.
    return slow[margin:] / np.sqrt((1 - keep) ** 4 * (1 + keep**2) / (1 - keep**2) ** 3)


def _drift(prosody: Prosody, rng: np.random.Generator) -> np.ndarray:
    """The unrest of a head that nobody moves: (T, 3) degrees, from slow and large to quick and small.

    With the postures and nods: standard deviations of 2.2, 3.4, 2.0 degrees; measured on talking people: medians of
    2.6, 3.8, 2.2 over ten recordings. Their mean speed is twice as high, part of which is tracking noise.
    """
    frames = len(prosody.loudness)
    talking = 0.4 + 0.9 * gaussian_filter1d(prosody.loudness, 0.4 * FPS)[:, None]  # speech stirs the head
    path = np.zeros((frames, 3))
    for cutoff, size in ((0.12, (1.2, 2.1, 0.9)), (0.5, (0.9, 1.3, 0.7)), (1.3, (0.45, 0.55, 0.35))):  # Hz, degrees
        noise = np.stack([_noise(frames, cutoff, rng) for _ in range(3)], 1) * np.array(size)
        path += noise if cutoff < 0.3 else talking * noise
    path[:, 2] += 0.25 * path[:, 1]  # who turns also tilts
    return path


def _postures(speech: Speech, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A new posture at each phrase boundary, (T, 3) degrees: minimum-jerk steps of 0.4 to 0.8 s around the pauses."""
    path = np.zeros((len(times), 3))
    current = np.zeros(3)
    for middle in _pauses(speech):
        target = rng.normal(0, [1.2, 3.0, 1.4])
        target[2] += 0.2 * target[1]
        duration = rng.uniform(0.4, 0.8)
        progress = np.clip((times - middle) / duration + 0.5, 0, 1)
        path += (target - current) * (progress**3 * (10 - 15 * progress + 6 * progress**2))[:, None]
        current = target
    return path


def _nods(speech: Speech, prosody: Prosody, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Nods on stressed vowels, (T,) degrees: down within 120 ms, back in 300 ms, stronger on louder syllables."""
    path = np.zeros(len(times))
    last = -1.0
    for phoneme in speech.phonemes:
        if phoneme.stress != 2 or phoneme.start - last < 0.35 or rng.random() > 0.6:  # not every one, never a tremble
            continue
        last = phoneme.start
        frame = min(int((phoneme.start + phoneme.end) / 2 * FPS), len(times) - 1)
        depth = prosody.loudness[frame] * np.clip(rng.normal(2.6, 1.1), 0.4, 5.0)
        since = times - (phoneme.start - 0.06)
        path += depth * np.exp(-0.5 * ((since - 0.14) / np.where(since < 0.14, 0.065, 0.15)) ** 2)
    return path


def _blinks(speech: Speech, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lid closure, (T,): a blink every 2 to 6 s, moved into a pause that is near; shut in 80 ms, open in 160 ms."""
    lids = np.zeros(len(times))
    pauses = _pauses(speech)
    moment = rng.uniform(0.8, 2.0)
    while moment < times[-1]:
        near = [pause for pause in pauses if abs(pause - moment) < 0.7]
        shut = near[0] if near and near[0] > 0.5 else moment
        since = times - shut
        # Shut for 60 ms, so that at 25 fps at least one frame shows closed lids.
        blink = np.where(since < 0, np.clip(1 + (since + 0.03) / 0.08, 0, 1), np.clip(1 - (since - 0.03) / 0.16, 0, 1))
        lids = np.maximum(lids, blink**2 * (3 - 2 * blink))
        moment = shut + np.clip(rng.lognormal(np.log(3.2), 0.45), 1.5, 8.0)
    return lids


def _gaze(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Small glances around the camera, (T, 2) radians: jumps held for 0.4 to 2.5 s, each taking 50 ms."""
    gaze = np.zeros((len(times), 2))
    moment, current = 0.0, np.zeros(2)
    while moment < times[-1]:
        moment += rng.uniform(0.4, 2.5)
        away = rng.random() < 0.15  # a look aside, else nearly into the camera
        target = np.radians(rng.normal(0, [8.0, 4.0] if away else [1.5, 1.0]))
        gaze += (target - current) * np.clip((times - moment) / 0.05, 0, 1)[:, None]
        current = target
    return gaze


def _pauses(speech: Speech) -> list[float]:
    """Middles of the pauses of at least 0.12 s, in seconds; adjacent pause phonemes count as one."""
    middles: list[float] = []
    run: list[Phoneme] = []
    for phoneme in (*speech.phonemes, Phoneme("", speech.duration, speech.duration)):
        if phoneme.is_pause:
            run.append(phoneme)
        elif run:
            if run[-1].end - run[0].start >= 0.12:
                middles.append((run[0].start + run[-1].end) / 2)
            run = []
    return middles
