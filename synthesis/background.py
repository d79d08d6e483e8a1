"""Background matching (paper, 3.3): which frames of the person's own video lie behind a generated head movement.

A video of a few seconds holds too few poses to match every generated frame on its own. The paper matches only key
frames, those in which the head turns farthest for a while; between them the video is played, forward or backward, never
faster than it was filmed (`match_background`; the rules are those of the released code, which the paper does not spell
out). Where key frames are too near one another to be reached, the video dithers and stands. `follow_pose` plays it
within the same limits, but such that all frames together come as near the generated movement as they can.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import argrelextrema

from media.errors import InputError

AXES = {"pitch": (0,), "yaw": (1,), "roll": (2,), "all": (0, 1, 2)}
"""Axes whose extremes are key frames. Yaw is the paper's "leftmost or rightmost"; the released code took roll."""

_SMOOTHING = 7  # frames, Hann window; original code. Shorter sequences have only their first and last frame as keys
_FRAMES_PER_KEY = {1: 10, 3: 5}  # at least, on average, for one axis and for all three; original code
_CLOSEST = 3  # frames: of two key frames nearer than this one is dropped; original code
_RELUCTANCE = 0.1  # radians: price of changing the step by 1, and of a frame that stands; ours, see docs/head_pose.md
_STEPS = (-1, 0, 1)  # of the source frame, from one generated frame to the next; original code


@dataclass(frozen=True)
class BackgroundMatch:
    """The background of each generated frame.

    Attributes:
        source_frames: (N,) int64, the gallery frame behind each generated frame; neighbours differ by 1 at most.
        key_frames: (K,) int64, rising: the generated frames that were matched by pose, from 0 to N - 1.
    """

    source_frames: np.ndarray
    key_frames: np.ndarray


def match_background(predicted_angles: np.ndarray, gallery_angles: np.ndarray, axis: str = "yaw") -> BackgroundMatch:
    """Match a generated head movement to the frames of a video.

    Args:
        predicted_angles: (N, 3) pitch, yaw, roll of the generated frames in radians.
        gallery_angles: (M, 3) those of the video, in its order.
        axis: Whose extremes are key frames, a name of `AXES`.

    Returns:
        Source frame of every generated frame, and the key frames.

    Raises:
        InputError: If the axis is unknown.
        ValueError: If a sequence is empty, misshapen or holds a value that is no number.
    """
    predicted = _checked(predicted_angles, "predicted_angles")
    gallery = _checked(gallery_angles, "gallery_angles")
    keys = find_key_frames(predicted, axis)
    matches = _match_key_frames(predicted[keys], keys, gallery)
    return BackgroundMatch(_interpolate(keys, matches, len(predicted)), keys)


def follow_pose(predicted_angles: np.ndarray, gallery_angles: np.ndarray) -> np.ndarray:
    """Play a video forward and backward such that its head follows a generated movement as closely as it can.

    Of all ways to play it, never faster than it was filmed, the one of least cost, by dynamic programming over (source
    frame, step): the sum over frames and axes of |filmed - generated angle|, and a price for changing the step and for
    standing still, without which the video would dither around a pose.

    Args:
        predicted_angles: (N, 3) pitch, yaw, roll of the generated frames in radians.
        gallery_angles: (M, 3) those of the video, in its order.

    Returns:
        (N,) int64, the gallery frame behind each generated frame; neighbours differ by 1 at most.

    Raises:
        ValueError: If a sequence is empty, misshapen or holds a value that is no number.
    """
    predicted = _checked(predicted_angles, "predicted_angles")
    gallery = _checked(gallery_angles, "gallery_angles")
    steps = np.array(_STEPS)
    change = _RELUCTANCE * np.abs(steps[:, None] - steps)[..., None]  # (new step, old step, 1)
    standing = _RELUCTANCE * (steps == 0)[:, None]
    cost = np.tile(np.abs(predicted[0] - gallery).sum(1), (len(steps), 1))  # of the best way to (step, frame)
    came_with = np.zeros((len(predicted), *cost.shape), np.int8)
    for t, angles in enumerate(predicted[1:], start=1):
        ways = cost + change
        before = ways.argmin(1)
        cheapest = np.take_along_axis(ways, before[:, None], 1)[:, 0]
        for row, step in enumerate(_STEPS):
            came_with[t, row] = np.roll(before[row], step)
            cost[row] = np.roll(cheapest[row], step)
        cost[0, -1] = cost[2, 0] = np.inf  # came from beyond the ends of the video
        cost += np.abs(angles - gallery).sum(1) + standing
    return _traced_back(cost, came_with)


def with_amplitude(predicted_angles: np.ndarray, gallery_angles: np.ndarray) -> np.ndarray:
    """Give a predicted head movement the mean and the deviation of the video's, axis by axis; its course stays.

    A network trained on squared errors shrinks what it cannot be sure of, and head movement is hardly certain given
    the sound. Matched as predicted, nearly still heads ask for nearly still backgrounds [one person: 70 % of the
    frames repeat the one before, 30 % with the amplitude of the video].

    Args:
        predicted_angles: (N, 3).
        gallery_angles: (M, 3) of the same unit.

    Returns:
        (N, 3); an axis that does not move at all stays still, at the video's mean.
    """
    deviation = predicted_angles.std(0)
    gain = np.divide(gallery_angles.std(0), deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    return (predicted_angles - predicted_angles.mean(0)) * gain + gallery_angles.mean(0)


def fit_pose(source_frames: np.ndarray, gallery_pose: np.ndarray) -> np.ndarray:
    """The pose in which a generated frame fits its background: the one filmed with it (paper, 3.3; original code).

    Args:
        source_frames: (N,) gallery frame behind each generated frame.
        gallery_pose: (M, 6) angles and translation of the video's frames.

    Returns:
        (N, 6), replacing the predicted pose.
    """
    return gallery_pose[source_frames]


def find_key_frames(angles: np.ndarray, axis: str = "yaw") -> np.ndarray:
    """The frames of critical head positions.

    Local extremes of the smoothed angle are thinned, to those that exceed their neighbours of the same kind too,
    until there are few enough; then of near ones only the one in the stronger pose stays, and first and last frame
    join.

    Args:
        angles: (N, 3) pitch, yaw, roll in radians.
        axis: A name of `AXES`; with "all", the extremes of each axis.

    Returns:
        (K,) int64, rising, from 0 to N - 1.

    Raises:
        InputError: If the axis is unknown.
    """
    if axis not in AXES:
        raise InputError(f"background.keyframe_axis={axis} is unknown; choose one of {', '.join(AXES)}.")
    ends = np.array([0, len(angles) - 1])
    if len(angles) < _SMOOTHING:
        return np.unique(ends)
    smooth = _smoothed(angles)[:, AXES[axis]].T
    candidates = [_extremes(curve, order=1) for curve in smooth]
    most = len(angles) / _FRAMES_PER_KEY[len(candidates)]
    while len(np.unique(np.concatenate(candidates))) > most:
        # Ends: the first and the last of a list are never extremes of it, so every round loses some.
        candidates = [c[_extremes(curve[c], order=2)] for c, curve in zip(candidates, smooth, strict=True)]
    keys = _spread(np.unique(np.concatenate(candidates)), np.abs(angles).max(axis=1))
    return np.unique(np.concatenate([ends, keys]))


def _traced_back(cost: np.ndarray, came_with: np.ndarray) -> np.ndarray:
    """The cheapest way: from its last source frame, step by step, to its first."""
    row, frame = (int(place) for place in np.unravel_index(cost.argmin(), cost.shape))
    source = np.empty(len(came_with), np.int64)
    for t in range(len(source) - 1, -1, -1):
        source[t] = frame
        row, frame = int(came_with[t, row, frame]), frame - _STEPS[row]
    return source


def _checked(angles: np.ndarray, name: str) -> np.ndarray:
    angles = np.asarray(angles, np.float64)
    if angles.ndim != 2 or angles.shape[1] != 3 or len(angles) == 0 or not np.isfinite(angles).all():
        raise ValueError(f"{name}: expected finite numbers (frames, 3), at least one frame; found shape {angles.shape}")
    return angles


def _smoothed(angles: np.ndarray) -> np.ndarray:
    window = np.hanning(_SMOOTHING)
    padded = np.pad(angles, ((_SMOOTHING // 2, _SMOOTHING // 2), (0, 0)), mode="reflect")
    return np.stack([np.convolve(curve, window / window.sum(), mode="valid") for curve in padded.T], axis=1)


def _extremes(curve: np.ndarray, order: int) -> np.ndarray:
    """Indices of strict maxima and minima among `order` neighbours to both sides, rising; the ends are none."""
    return np.sort(np.concatenate([argrelextrema(curve, compare, order=order)[0] for compare in (np.greater, np.less)]))


def _spread(keys: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Key frames at least `_CLOSEST` apart; the stronger of two nearer ones stays, the earlier of equal ones."""
    kept: list[int] = []
    for key in keys.tolist():
        if not kept or key - kept[-1] >= _CLOSEST:
            kept.append(key)
        elif strength[key] > strength[kept[-1]]:
            kept[-1] = key
    return np.array(kept, np.int64)


def _match_key_frames(key_angles: np.ndarray, keys: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """For each key frame the gallery frame of the nearest pose that can be reached from the match before."""
    matches: list[int] = []
    low, high = 0, len(gallery)
    for number, angles in enumerate(key_angles):
        if number:
            reach = _STEPS[-1] * int(keys[number] - keys[number - 1])
            low, high = max(matches[-1] - reach, 0), min(matches[-1] + reach, len(gallery))
        matches.append(low + int(np.abs(gallery[low:high] - angles).sum(axis=1).argmin()))
    return np.array(matches, np.int64)


def _interpolate(keys: np.ndarray, matches: np.ndarray, frames: int) -> np.ndarray:
    """Source frame of every generated frame, on straight lines between the key frames.

    Halves are rounded up, all of them: rounding them to even, as numpy does, would jump by two frames at times.
    """
    return np.floor(np.interp(np.arange(frames), keys, matches) + 0.5).astype(np.int64)
