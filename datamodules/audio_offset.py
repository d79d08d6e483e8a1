"""By how many frames sound and picture of a recording are out of step.

Two witnesses are heard, each as a curve over the offsets that could be: how well the opening of the tracked mouth
follows the one that `face.mouth_from_sound` predicts, a network that knows no person; and how well the movement of the
face is predicted by a linear map from the sound of a single frame, learned from other parts of the same recording. The
first is unsure of unknown voices, the second needs some seconds of speech; together they are right where either alone
is not.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d

from face.mouth_from_sound import predicted_opening
from media.audio import FRAME_SAMPLES
from media.mel import ROWS_PER_FRAME, mel_power

LARGEST = 12  # frames; ours: half a second, more is another recording
SHORTEST = (
    150  # frames; ours: of 6 s pieces of eleven recordings in step 95 % were right within 1.5 frames, of 3 s 66 %
)
CLEAR = 0.1  # ours: of 6 s pieces above this confidence 96 % were right
_UNLIKELY = 0.01  # ours: more of it per frame; few recordings are far out of step, short ones often seem so
NATURAL = 1.5  # frames; ours: recordings in step measure -1 to 0.5, because a mouth opens before it is heard
_POSTURE, _JITTER = 10.0, 0.7  # frames; slower movement is no speech, faster is noise of the tracker
_RIDGE = 30.0  # in frames: about as much prior as a second of data
_COURSES = 3  # principal components of the movement; more are noise
_LEARNED = 2 / 3  # ours: weight of the second witness, whose peak is the narrower one
_PARTS = 5  # of the recording; each is predicted from the others
_NEIGHBOURS = 4  # frames beside the peak that belong to it: the length of a syllable


OffsetFlag = Literal["corrected", "in_step", "unclear", "too_short", "given"]


@dataclass(frozen=True)
class OffsetEstimate:
    """How far sound and picture are out of step.

    Attributes:
        frames: As `data.audio_offset` (SPEC): negative where the mouth moves before its sound.
        confidence: How far the best correlation is above the best one elsewhere, 0 to about 0.6.
        correlation: At the best offset.
    """

    frames: float
    confidence: float
    correlation: float

    @property
    def is_clear(self) -> bool:
        """Whether it is to be believed."""
        return self.confidence >= CLEAR + _UNLIKELY * abs(self.frames)

    @property
    def correction(self) -> int:
        """Whole frames by which the sound should be moved: 0 where the estimate is unclear or naturally small."""
        return round(self.frames) if self.is_clear and abs(self.frames) > NATURAL else 0


def offset_flag(frames: int, correction: int, estimate: float | None, confidence: float | None) -> OffsetFlag:
    """What is known of sound and picture of a prepared clip, in a word.

    Args:
        frames: Of which the offset was estimated.
        correction: Frames by which the sound was moved.
        estimate: Frames of the estimate, None where the offset was given.
        confidence: Of the estimate, None where the offset was given.

    Returns:
        `given`: nothing was estimated; `too_short`: less than `SHORTEST` frames, the sound is as it was recorded;
        `corrected`: clear, and the sound was moved; `in_step`: clear, and there was nothing to move; `unclear`: the
        sound is as it was recorded, in step or not.
    """
    if estimate is None or confidence is None:
        return "given"
    if frames < SHORTEST:
        return "too_short"
    if correction:
        return "corrected"
    # numbers of a clip are rounded: what is clear only since then was not corrected
    found = OffsetEstimate(estimate, confidence, 0.0)
    return "in_step" if found.is_clear and not found.correction else "unclear"


def estimate_offset(opening: np.ndarray, movement: np.ndarray, samples: np.ndarray) -> OffsetEstimate:
    """Estimate the offset of a recording.

    Args:
        opening: (T,) of the tracked mouth at 25 a second (`face.landmarks.mouth_opening`).
        movement: (T, D) of the face, head pose removed: expression in units of vertex movement.
        samples: (n,) its sound at 16 kHz from the same moment on; cut or followed by silence to 640 T.

    Returns:
        The estimate; of less than `SHORTEST` frames, or a face that does not move, or silence, with confidence 0.
    """
    frames = len(opening)
    samples = np.pad(samples, (0, max(0, frames * FRAME_SAMPLES - len(samples))))[: frames * FRAME_SAMPLES]
    if frames < SHORTEST or np.ptp(opening) == 0 or not samples.any():
        return OffsetEstimate(0.0, 0.0, 0.0)
    curve = offset_curve(opening, movement, samples)
    best = int(curve.argmax())
    elsewhere = np.abs(np.arange(len(curve)) - best) > _NEIGHBOURS
    confidence = max(float(curve[best] - curve[elsewhere].max()), 0.0)
    if best in (0, len(curve) - 1):
        confidence = 0.0  # the true peak may lie beyond
    return OffsetEstimate(_vertex(curve, best) - LARGEST, confidence, float(curve[best]))


def offset_curve(opening: np.ndarray, movement: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """What both witnesses say of offsets of -12 to 12 frames, (25,) correlations.

    Args:
        opening: (T,) of the tracked mouth.
        movement: (T, D) of the face.
        samples: (640 T,) their sound.
    """
    mouth, suggested = _speech_movement(opening[:, None]), _speech_movement(predicted_opening(samples)[:, None])
    courses = _principal(_speech_movement(movement))
    spectrum = np.log(mel_power(samples) + 1e-9).reshape(len(opening), ROWS_PER_FRAME, -1).mean(1)
    curve = []
    for offset in range(-LARGEST, LARGEST + 1):
        # frame k shows what is heard at frame k - offset
        heard = slice(max(0, -offset), len(mouth) - max(0, offset))
        seen = slice(max(0, offset), len(mouth) + min(0, offset))
        learned = _predicted_from_others(spectrum[heard], courses[seen])
        first, second = _correlation(suggested[heard], mouth[seen]), _correlation(learned, courses[seen])
        curve.append((1 - _LEARNED) * first + _LEARNED * second)
    return np.array(curve)


def _speech_movement(values: np.ndarray) -> np.ndarray:
    """(T, D) without what is slower or faster than speech."""
    values = np.asarray(values, np.float64)
    return gaussian_filter1d(values - gaussian_filter1d(values, _POSTURE, axis=0), _JITTER, axis=0)


def _principal(movement: np.ndarray) -> np.ndarray:
    """(T, D) reduced to its largest principal components, (T, 3)."""
    left, sizes, _ = np.linalg.svd(movement - movement.mean(0), full_matrices=False)
    return left[:, :_COURSES] * sizes[:_COURSES]


def _predicted_from_others(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Ridge regression, every part of the recording predicted by what the other parts teach."""
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    predicted = np.zeros_like(targets)
    penalty = _RIDGE * np.eye(features.shape[1])
    for part in np.array_split(np.arange(len(targets)), _PARTS):
        known, truth = np.delete(features, part, axis=0), np.delete(targets, part, axis=0)
        weights = np.linalg.solve(known.T @ known + penalty, known.T @ (truth - truth.mean(0)))
        predicted[part] = features[part] @ weights
    return predicted


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of (T, D) courses, all together."""
    first, second = first - first.mean(0), second - second.mean(0)
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-12))


def _vertex(curve: np.ndarray, best: int) -> float:
    """Where the parabola through a peak and its neighbours is highest."""
    if best in (0, len(curve) - 1):
        return float(best)
    left, peak, right = curve[best - 1 : best + 2]
    return best + (left - right) / (2 * (left - 2 * peak + right))
