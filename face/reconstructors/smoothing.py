"""Values through time: bridged where no face was seen, smooth without delay, each part of a video by itself."""

import itertools

import numpy as np
from scipy.linalg import solveh_banded

from face.landmarks import OUTER_EYES

# Ours: a cut moves the face at once by a tenth of the eye distance or more, and much more than the frames around it.
_JUMP, _JUMP_RATIO = 0.1, 4.0
# Ours: a fit this many times worse than the median of its part is that of a blurred frame [of 13 films no frame exceeds
# 1.6]; how far it is off grows faster still than its distance, as landmarks jitter less than faces differ.
_BAD_FIT, _BAD_FIT_POWER = 2.0, 4
_LEAST_TRUST = 1e-4  # of a frame; keeps the equations well conditioned


def parts_between_cuts(landmarks: np.ndarray, seen: np.ndarray, training_frames: int) -> list[slice]:
    """Stretches of frames without a cut in them: the two parts of the video, divided where the picture jumps.

    A jump is a movement of the face that neither the frame before nor the one after continues.

    Args:
        landmarks: (T, 468, 2 or more) pixels.
        seen: (T,) bool; where it is False, the place of the face is interpolated.
        training_frames: Where the second part begins; T if there is none.

    Returns:
        At least one stretch, in order; together they are all T frames.
    """
    centre = bridge(landmarks[..., :2].mean(1), seen)
    eyes = np.linalg.norm(landmarks[:, OUTER_EYES[1]] - landmarks[:, OUTER_EYES[0]], axis=-1)
    speed = np.linalg.norm(np.diff(centre, axis=0), axis=-1) / eyes[1:]
    around = np.maximum(np.append(speed[1:], 0), np.insert(speed[:-1], 0, 0))
    jumps = 1 + np.flatnonzero((speed > _JUMP) & (speed > _JUMP_RATIO * around))
    edges = sorted({0, training_frames, len(landmarks), *jumps.tolist()})
    return [slice(first, last) for first, last in itertools.pairwise(edges)]


def bridge(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Values (T, K) with unseen frames interpolated between their neighbours, constant at the ends."""
    if seen.all() or not seen.any():
        return values
    time = np.arange(len(values))
    return np.stack([np.interp(time, time[seen], column[seen]) for column in values.T], 1)


def trust_by_fit(distance: np.ndarray, seen: np.ndarray, parts: list[slice], least: float) -> np.ndarray:
    """How much each frame counts in smoothing: 1, and little where its fit is far worse than those of its part.

    Args:
        distance: (T,) pixels between landmarks and fit, of each frame by itself.
        seen: (T,) bool; bridged frames count as they are.
        parts: Stretches that know nothing of each other.
        least: Pixels; nearer than that no fit is bad.

    Returns:
        float64 (T,) in (0, 1].
    """
    trust = np.ones(len(distance))
    for part in parts:
        if seen[part].any():
            usual = max(_BAD_FIT * float(np.median(distance[part][seen[part]])), least)
            trust[part] = np.clip((usual / np.maximum(distance[part], usual)) ** _BAD_FIT_POWER, _LEAST_TRUST, 1)
    trust[~seen] = 1
    return trust


def smooth(
    values: np.ndarray, seen: np.ndarray, parts: list[slice], weight: float, trust: np.ndarray | None = None
) -> np.ndarray:
    """Bridge and smooth (T, K) values within each part, without delay.

    Least squares of the deviation plus `weight` times the squared second differences (Whittaker 1923): symmetric in
    time, and exact on straight movements up to the ends. The deviation of each frame counts by its `trust` (T,), so
    that one with a bad fit follows its neighbours.
    """
    trust = np.ones(len(values)) if trust is None else trust
    return np.concatenate([whittaker(bridge(values[part], seen[part]), weight, trust[part]) for part in parts])


def whittaker(values: np.ndarray, weight: float, trust: np.ndarray | float = 1.0) -> np.ndarray:
    """The values (T, K) that are nearest to these and to their own straight continuation; fewer than 3 stay.

    Args:
        values: (T, K).
        weight: Of the squared second differences.
        trust: (T,) weight of each frame's deviation, or one for all.
    """
    count = len(values)
    if count < 3:
        return values
    difference = np.diff(np.eye(3), n=2, axis=0)[0]  # 1, -2, 1
    bands = np.zeros((3, count))  # upper bands of diag(trust) + weight D'D, the diagonal last
    for first in range(3):
        for second in range(first, 3):
            offset = second - first
            bands[2 - offset, second : count - 2 + second] += weight * difference[first] * difference[second]
    bands[2] += trust
    return solveh_banded(bands, values * np.broadcast_to(trust, count)[:, None])
