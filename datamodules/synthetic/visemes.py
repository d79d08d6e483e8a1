"""Phonemes to mouth movement with co-articulation.

Each phoneme pulls the articulators toward its targets; how hard and how far ahead and behind is its dominance, and the
mouth at any moment is the dominance-weighted mean of all targets (Cohen and Massaro 1993). A vowel between two lip
closures therefore never opens as far as a lone one, and lips round before the rounded vowel is heard. Closures are not
negotiable: during /p b m/ the lips meet whatever the neighbours want.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datamodules.synthetic.speech import Phoneme, Speech

FPS = 25

# The articulators, in this order everywhere. All are 0 at rest.
ARTICULATORS = ("opening", "spread", "rounding", "tuck", "press", "tongue")
OPENING, SPREAD, ROUNDING, TUCK, PRESS, TONGUE = range(6)
# opening: 0 lips just meet, 1 widest vowel · spread: lip corners out (+) or in (-) · rounding: lips forward, narrow ·
# tuck: lower lip under the upper teeth · press: lips rolled against each other · tongue: tip up behind the teeth

# Targets per mouth shape. Ours, by phonetics: open vowels open, front vowels spread, back vowels round, fricatives
# and stops nearly close the jaw.
_SHAPES: dict[str, tuple[float, float, float, float, float, float]] = {
    #       opening spread rounding tuck press tongue
    "rest": (0.00, 0.00, 0.00, 0.0, 0.00, 0.0),
    "ah": (1.00, 0.15, 0.00, 0.0, 0.00, 0.0),  # father, bat
    "eh": (0.65, 0.45, 0.00, 0.0, 0.00, 0.1),  # bed
    "ih": (0.40, 0.60, 0.00, 0.0, 0.00, 0.2),  # bit
    "ee": (0.28, 1.00, 0.00, 0.0, 0.00, 0.3),  # bee
    "uh": (0.60, 0.05, 0.00, 0.0, 0.00, 0.0),  # cup
    "schwa": (0.38, 0.00, 0.05, 0.0, 0.00, 0.1),  # about
    "er": (0.40, -0.10, 0.40, 0.0, 0.00, 0.3),  # bird
    "aw": (0.75, -0.35, 0.60, 0.0, 0.00, 0.0),  # law
    "oo": (0.35, -0.50, 0.75, 0.0, 0.00, 0.1),  # book
    "ou": (0.22, -0.80, 1.00, 0.0, 0.00, 0.1),  # blue
    "oh": (0.50, -0.60, 0.85, 0.0, 0.00, 0.0),  # go
    "w": (0.12, -0.90, 1.00, 0.0, 0.00, 0.0),
    "r": (0.25, -0.35, 0.55, 0.0, 0.00, 0.5),
    "l": (0.40, 0.15, 0.00, 0.0, 0.00, 1.0),
    "th": (0.25, 0.15, 0.00, 0.0, 0.00, 1.0),
    "t": (0.22, 0.20, 0.00, 0.0, 0.00, 0.9),  # t, d, n
    "s": (0.14, 0.40, 0.00, 0.0, 0.00, 0.5),
    "sh": (0.20, -0.40, 0.70, 0.0, 0.00, 0.4),
    "k": (0.32, 0.05, 0.00, 0.0, 0.00, 0.0),
    "h": (0.40, 0.05, 0.00, 0.0, 0.00, 0.0),
    "f": (0.10, 0.10, 0.00, 1.0, 0.00, 0.0),
    "p": (0.00, 0.00, 0.00, 0.0, 1.00, 0.0),
}

# Dominance per mouth shape: how much each articulator matters to it. What is not named here follows its neighbours.
_DEFAULT = (1.0, 0.8, 0.8, 0.6, 0.6, 0.8)
_DOMINANCE: dict[str, tuple[float, float, float, float, float, float]] = {
    "rest": (0.7, 0.5, 0.6, 1.0, 0.6, 0.5),
    "k": (0.5, 0.1, 0.1, 0.6, 0.6, 0.6),
    "h": (0.3, 0.1, 0.1, 0.6, 0.6, 0.2),
    "t": (0.6, 0.2, 0.2, 0.6, 0.6, 3.0),
    "s": (1.6, 0.5, 0.3, 0.6, 0.6, 1.5),
    "sh": (1.2, 1.0, 2.0, 0.6, 0.6, 1.0),
    "l": (0.5, 0.2, 0.2, 0.6, 0.6, 3.0),
    "th": (1.0, 0.3, 0.3, 0.6, 0.6, 3.0),
    "f": (2.5, 0.3, 0.3, 4.0, 0.6, 0.5),
    "p": (1.5, 0.2, 0.2, 0.6, 4.0, 0.2),
    "w": (2.0, 2.0, 3.0, 0.6, 0.6, 0.3),
    "r": (0.7, 0.6, 0.8, 0.6, 0.6, 1.5),
    "ou": (1.0, 1.6, 2.0, 0.6, 0.6, 0.5),
    "oh": (1.0, 1.4, 1.8, 0.6, 0.6, 0.5),
}

# espeak-ng's English mnemonics by mouth shape; a diphthong glides from its first shape to its second.
_MNEMONICS = {
    **{"ah": "a aa A: A a2 A#", "eh": "E E2 E#", "ih": "I I2 I# i", "ee": "i: j ;", "uh": "V 0 0# V#"},
    **{"schwa": "@ @2 @5 a# @# 3#", "er": "3 3:", "aw": "O O: O2 0:", "oo": "U U#", "ou": "u: u"},
    **{"ah ih": "aI", "ah oo": "aU", "eh ee": "eI", "aw ih": "OI", "oh ou": "oU", "eh r": "e@", "ee r": "i@ i@3"},
    **{"oo r": "U@", "ah r": "A@ aI@ aI3 aU@", "oh r": "o@", "aw r": "O@", "schwa l": "@L"},
    **{"p": "p b m m-", "f": "f v", "t": "t d n t# t2 n- d#", "th": "T D", "s": "s z", "sh": "S Z tS dZ"},
    **{"k": "k g N x ?", "l": "l l#", "r": "r r-", "w": "w", "h": "h", "rest": "_"},
}
_SHAPES_OF = {name: tuple(shapes.split()) for shapes, names in _MNEMONICS.items() for name in names.split()}

BILABIALS = frozenset("pbm")

_AHEAD, _BEHIND = 0.050, 0.060  # seconds until dominance falls to 1/e before and after a sound; ours: half a syllable
_FINE = 8  # fine steps per frame: 200 steps/s, so that a 30 ms stop is not missed
_CLOSED, _RAMP = 0.060, 0.045  # ours: lips stay shut 60 ms (espeak-ng's stops last 30-60), and need 45 ms to get there
_STRESSED, _UNSTRESSED = 1.12, 0.85  # ours: stressed vowels open further


@dataclass(frozen=True)
class _Segment:
    shape: str
    start: float
    end: float
    effort: float


def shapes_of(phoneme: Phoneme) -> tuple[str, ...]:
    """Give the mouth shapes a phoneme goes through; unknown mnemonics lose trailing marks, then count as schwa."""
    name = phoneme.name
    while name and name not in _SHAPES_OF:
        name = name[:-1]
    return _SHAPES_OF.get(name, ("schwa",))


def articulate(speech: Speech, frames: int, loudness: np.ndarray | None = None) -> np.ndarray:
    """Move the articulators through speech.

    Args:
        speech: Phonemes with their times.
        frames: Number of frames; frame f is the mouth at (f + 0.5) / 25 s.
        loudness: (frames,) 0 quiet to 1 loud; louder speech opens the mouth further. None: everything half loud.

    Returns:
        (frames, 6) float64, columns as in `ARTICULATORS`.
    """
    times = (np.arange(frames * _FINE) + 0.5) / (FPS * _FINE)
    segments = [segment for phoneme in speech.phonemes for segment in _segments(phoneme)]
    blended = _blend(segments, times)
    effort = np.full(frames, 0.5) if loudness is None else np.asarray(loudness, float)
    blended[:, OPENING] *= 0.75 + 0.5 * np.interp(times, (np.arange(frames) + 0.5) / FPS, effort)
    # The exponential dominance has a kink at every sound's edge, lips have mass: 15 ms of smoothing.
    blended = gaussian_filter1d(blended, 0.015 * FPS * _FINE, axis=0, mode="nearest")
    closed = closure(speech, times)
    blended[:, OPENING] *= 1 - closed
    blended[:, TUCK] *= 1 - closed
    blended[:, PRESS] = np.maximum(blended[:, PRESS] * 0.3, closed)
    return blended[_FINE // 2 :: _FINE]


def closure(speech: Speech, times: np.ndarray) -> np.ndarray:
    """How far the lips are forced shut by /p b m/: 1 during the closure, cosine ramps beside it, 0 elsewhere.

    Args:
        speech: Phonemes with their times.
        times: (n,) seconds, increasing.

    Returns:
        (n,) in [0, 1].
    """
    closed = np.zeros(len(times))
    for phoneme in speech.phonemes:
        if phoneme.name not in BILABIALS:
            continue
        middle = (phoneme.start + phoneme.end) / 2
        half = max(phoneme.end - phoneme.start, _CLOSED) / 2
        first, last = np.searchsorted(times, [middle - half - _RAMP, middle + half + _RAMP])
        beyond = np.clip(np.abs(times[first:last] - middle) - half, 0, _RAMP)
        closed[first:last] = np.maximum(closed[first:last], 0.5 + 0.5 * np.cos(np.pi * beyond / _RAMP))
    return closed


def _segments(phoneme: Phoneme) -> list[_Segment]:
    """Split a phoneme into the shapes it goes through (a diphthong spends 55 % of its time in its first vowel)."""
    shapes = shapes_of(phoneme)
    effort = _STRESSED if phoneme.stress else _UNSTRESSED
    if len(shapes) == 1:
        return [_Segment(shapes[0], phoneme.start, phoneme.end, effort)]
    middle = phoneme.start + 0.55 * (phoneme.end - phoneme.start)
    return [_Segment(shapes[0], phoneme.start, middle, effort), _Segment(shapes[1], middle, phoneme.end, effort)]


def _blend(segments: list[_Segment], times: np.ndarray) -> np.ndarray:
    """Dominance-weighted mean of the targets, (n, 6): sum(D T) / sum(D), D = a exp(-distance / scale)."""
    weighted = np.zeros((len(times), len(ARTICULATORS)))
    total = np.full((len(times), len(ARTICULATORS)), 1e-9)
    reach = 6 * max(_AHEAD, _BEHIND)  # dominance is 0.2 % there: segments farther away need no computing
    for segment in segments:
        # The core of a sound, the middle 40 % of it, holds its full dominance.
        core = 0.3 * (segment.end - segment.start)
        start, end = segment.start + core, segment.end - core
        first, last = np.searchsorted(times, [start - reach, end + reach])
        near = times[first:last]
        distance = np.maximum(start - near, 0) / _AHEAD + np.maximum(near - end, 0) / _BEHIND
        dominance = np.exp(-distance)[:, None] * np.array(_DOMINANCE.get(segment.shape, _DEFAULT))
        target = np.array(_SHAPES[segment.shape])
        target[OPENING] *= segment.effort
        weighted[first:last] += dominance * target
        total[first:last] += dominance
    return weighted / total
