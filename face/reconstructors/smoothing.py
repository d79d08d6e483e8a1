"""Values through time: bridged where no face was seen, smooth without delay, each part of a video by itself."""

import itertools

import numpy as np
from scipy.linalg import solveh_banded

from face.landmarks import OUTER_EYES

# Ours: a cut moves the face at once by a tenth of the eye distance or more, and much more than the frames around it.
_JUMP, _JUMP_RATIO = 0.1, 4.0


def parts_between_cuts(landmarks: np.ndarray, seen: np.ndarray, training_frames: int) -> list[slice]:
    """Stretches of frames without a cut in them: the two parts of the video, divided where the picture jumps.

    A jump is a movement of the face that neither the frame before nor the one after continues.
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


def smooth(values: np.ndarray, seen: np.ndarray, parts: list[slice], weight: float) -> np.ndarray:
    """Bridge and smooth (T, K) values within each part, without delay.

    Least squares of the deviation plus `weight` times the squared second differences (Whittaker 1923): symmetric in
    time, and exact on straight movements up to the ends.
    """
    return np.concatenate([whittaker(bridge(values[part], seen[part]), weight) for part in parts])


def whittaker(values: np.ndarray, weight: float) -> np.ndarray:
    """The values (T, K) that are nearest to these and to their own straight continuation; fewer than 3 stay."""
    count = len(values)
    if count < 3:
        return values
    difference = np.diff(np.eye(3), n=2, axis=0)[0]  # 1, -2, 1
    bands = np.zeros((3, count))  # upper bands of I + weight D'D, the diagonal last
    for first in range(3):
        for second in range(first, 3):
            offset = second - first
            bands[2 - offset, second : count - 2 + second] += weight * difference[first] * difference[second]
    bands[2] += 1
    return solveh_banded(bands, values)
