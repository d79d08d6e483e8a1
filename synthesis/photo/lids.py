"""Blinking: when, and how the lids of a photographed face come down over its eyes."""

import numpy as np
from scipy.spatial.distance import cdist

from datamodules.synthetic.surfaces import smoothstep
from media.video import FPS

_MEAN_PAUSE, _SHORTEST_PAUSE = 3.5, 1.2  # seconds; people at rest blink about every 3-4 s
_COURSE = (0.45, 1.0, 0.9, 0.5, 0.15)  # share of closure in the five frames (200 ms) of a blink: shut fast, open slower
_UPPER = 0.92  # of the opening is closed by the upper lid, the rest by the lower one
_OVERLAP = 1.04  # ours: lids press together a little, or a hair's breadth of the eye shows
_REACH = 0.17  # decimetres above the lid: up to the brow, over which the skin stretches
_REACH_BELOW = 0.10


def blinks(frames: int, seed: int) -> np.ndarray:
    """How far the lids are closed in each frame.

    Args:
        frames: Number of frames at 25 per second.
        seed: Of the times.

    Returns:
        (frames,) from 0, open as in the photo, to 1, shut.
    """
    rng = np.random.default_rng(seed)
    closure = np.zeros(frames + len(_COURSE))
    time = rng.uniform(0.6, 2.5)  # the first one early, so that short videos blink too
    while round(time * FPS) < frames:
        start = round(time * FPS)
        closure[start : start + len(_COURSE)] = _COURSE
        time += _SHORTEST_PAUSE + rng.gamma(3.0, (_MEAN_PAUSE - _SHORTEST_PAUSE) / 3.0)
    return closure[:frames]


def closing_movement(face: np.ndarray, loop: np.ndarray, corners: tuple[int, int]) -> np.ndarray:
    """Where the skin around one eye goes when its lids shut.

    The upper lid comes down to the lower one whatever the face model knows of blinking; the skin above is stretched
    after it, less and less up to the brow.

    Args:
        face: (V, 3) as in the photo, before its pose, decimetres.
        loop: Vertices around the opening of the eye, in order.
        corners: The vertices of its two corners.

    Returns:
        (V, 3) displacement at full closure.
    """
    upper, lower = _arcs(face, loop, corners)
    order = np.argsort(face[lower, 0])
    meeting = np.stack([np.interp(face[upper, 0], face[lower, 0][order], face[lower, k][order]) for k in range(3)], 1)
    gap = _OVERLAP * (meeting - face[upper])
    gap[:, 1] = np.minimum(gap[:, 1], 0)  # at the corners, where the arcs touch, noise would open the lids
    order = np.argsort(face[upper, 0])
    middle = (face[upper, 1] + gap[:, 1] / 2)[order]
    above = face[:, 1] > np.interp(face[:, 0], face[upper, 0][order], middle)
    above[upper], above[lower] = True, False
    movement = np.zeros_like(face)
    for region, arc, share, reach in ((above, upper, _UPPER, _REACH), (~above, lower, 1 - _UPPER, _REACH_BELOW)):
        skin = np.flatnonzero(region)
        distance = cdist(face[skin, :2], face[arc, :2])
        nearest = distance.argmin(1)
        across = np.stack([np.interp(face[arc, 0], face[upper, 0][order], gap[order, k]) for k in range(3)], 1)
        pull = across[nearest] * (1 if arc is upper else -1) * share
        movement[skin] = pull * (1 - smoothstep(distance.min(1), 0, reach))[:, None]
    return movement


def _arcs(face: np.ndarray, loop: np.ndarray, corners: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The loop's vertices along the upper and along the lower lid, corners in both."""
    turned = np.roll(loop, -int(np.flatnonzero(loop == corners[0])[0]))
    end = int(np.flatnonzero(turned == corners[1])[0])
    ways = turned[: end + 1], np.append(turned[end:], turned[0])
    first, second = sorted(ways, key=lambda way: -face[way, 1].mean())
    return first, second
