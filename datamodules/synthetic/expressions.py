"""From what muscles do to expression coefficients β of any face model.

An action is a wish: where the 468 landmarks should go when a muscle works fully (the jaw drops, the lids shut). Ridge
regression finds the β that fulfils it best, because the expression basis of a face model is made of principal
components and has no coefficient for "jaw". Actions add up linearly, like the coefficients.
"""

from collections.abc import Callable

import numpy as np

from face.landmarks import (
    CHIN,
    COUNT,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LIPS,
    MOUTH_CORNERS,
    OUTER_LIPS,
    OUTLINE,
    RIGHT_BROW,
    RIGHT_EYE,
)
from face.models.morphable_model import MorphableModel

ACTIONS = ("opening", "spread", "rounding", "tuck", "press", "lids", "brows", "smile")

# How far things move, in decimetres. Ours, by the size of real mouths: 23 mm between the lips of a wide open vowel.
_GAP, _UPPER_SHARE, _JAW_SHARE = 0.26, 0.16, 0.70
_LIDS = 1.05  # ours: a wish beyond shut, since the basis gives way by that much; what comes out is just shut
_RIDGE = 1e-3  # ours: β stays within five standard deviations, mouth shapes are met to a fifth

# Rings run clockwise in a frontal picture from the right corner: upper lip or lid first, then the lower one backward.
_UPPER = slice(1, None)


def fit_actions(model: MorphableModel) -> np.ndarray:
    """Solve for the expression coefficients of every action.

    Args:
        model: Any face model.

    Returns:
        (8, 64) β of each action at full strength, rows as in `ACTIONS`; β of several is their weighted sum.
    """
    vertices = model.landmark_vertices.cpu().numpy()
    face = model.mean_shape.cpu().numpy().astype(float)[vertices]
    basis = model.expression_basis.cpu().numpy().astype(float)[:, vertices]
    weight = _weights(face)[:, None]
    design = (basis * weight).reshape(len(basis), -1).T
    wishes = np.stack([_WISHES[name](face) * weight for name in ACTIONS]).reshape(len(ACTIONS), -1).T
    normal = design.T @ design + _RIDGE * np.eye(len(basis))
    return np.linalg.solve(normal, design.T @ wishes).T


def wish(name: str, face: np.ndarray) -> np.ndarray:
    """Where an action wants the landmarks to go.

    Args:
        name: One of `ACTIONS`.
        face: (468, 3) neutral landmarks, decimetres.

    Returns:
        (468, 3) displacement at full strength.
    """
    return _WISHES[name](face)


def _weights(face: np.ndarray) -> np.ndarray:
    """How much each landmark's wish matters: lips and lids most, cheeks (which follow by themselves) least."""
    weight = np.full(COUNT, 0.15)
    weight[face[:, 1] > 0.1] = 0.5  # the upper face keeps still when the mouth speaks
    weight[list(OUTLINE)] = 0.4
    weight[[CHIN, 175, 199, 200]] = 1.0
    weight[list(RIGHT_BROW + LEFT_BROW)] = 0.7
    weight[list(RIGHT_EYE + LEFT_EYE)] = 3.0
    weight[list(LIPS)] = 2.0
    weight[list(INNER_LIPS)] = 3.0
    return weight


def _jaw(face: np.ndarray) -> np.ndarray:
    """How far the lower face follows the jaw, (468,): 0 above the mouth, 1 at the chin, less toward the ears."""
    mouth = face[list(MOUTH_CORNERS), 1].mean()
    below = np.clip((mouth - face[:, 1]) / (mouth - face[CHIN, 1]), 0, 1)
    return below**0.5 * np.clip(1.2 - np.abs(face[:, 0]) / 0.75, 0, 1)


def _opening(face: np.ndarray) -> np.ndarray:
    move = np.zeros((COUNT, 3))
    follow = _jaw(face)
    move[:, 1] = -_GAP * _JAW_SHARE * follow
    move[:, 2] = -0.25 * _GAP * follow  # the jaw turns about the ears: down is also back
    for ring in (INNER_LIPS, OUTER_LIPS):
        half = len(ring) // 2
        across = _across(face, ring)
        for k, point in enumerate(ring):
            arch = np.sqrt(max(0.0, 1 - across[k] ** 2))  # an ellipse, pointed corners excepted
            share = _UPPER_SHARE if 0 < k < half else -(1 - _UPPER_SHARE) if k > half else -0.35
            lip = 1.0 if ring is INNER_LIPS else 0.85
            move[point] = [
                -0.10 * _GAP * across[k],
                _GAP * share * (arch if k % half else 1.0) * lip,
                -0.05 * _GAP if share < 0 else 0,
            ]
    return move


def _across(face: np.ndarray, ring: tuple[int, ...]) -> np.ndarray:
    """Place along the mouth, -1 at the right corner to 1 at the left."""
    x = face[list(ring), 0]
    return np.clip((x - x.mean()) / ((x.max() - x.min()) / 2), -1, 1)


def _spread(face: np.ndarray) -> np.ndarray:
    """Lip corners outward and a little back; the lips flatten."""
    move = np.zeros((COUNT, 3))
    for ring in (INNER_LIPS, OUTER_LIPS):
        across = _across(face, ring)
        for k, point in enumerate(ring):
            move[point] = [0.055 * across[k], 0.006 * across[k] ** 2, -0.03 * across[k] ** 2]
    return move


def _rounding(face: np.ndarray) -> np.ndarray:
    """Lips forward, corners in, thicker lips; the gap stays."""
    move = np.zeros((COUNT, 3))
    mouth = face[list(INNER_LIPS), 1].mean()
    for ring, thicker in ((INNER_LIPS, 0.0), (OUTER_LIPS, 0.02)):
        across = _across(face, ring)
        for k, point in enumerate(ring):
            side = np.sign(face[point, 1] - mouth) if k % (len(ring) // 2) > 0 else 0
            move[point] = [-0.075 * across[k], thicker * side, 0.10 * (1 - 0.5 * across[k] ** 2)]
    return move


def _tuck(face: np.ndarray) -> np.ndarray:
    """Lower lip up and back under the upper teeth, upper lip a little up."""
    move = np.zeros((COUNT, 3))
    for ring in (INNER_LIPS, OUTER_LIPS):
        half, across = len(ring) // 2, _across(face, ring)
        for k, point in enumerate(ring):
            arch = 1 - across[k] ** 2
            if 0 < k < half:
                move[point] = [0, 0.035 * arch, 0.01 * arch]
            elif k > half:
                move[point] = [0, (0.012 if ring is INNER_LIPS else 0.05) * arch, -0.07 * arch]
    return move


def _press(face: np.ndarray) -> np.ndarray:
    """Lips rolled inward against each other: the red gets thinner, the line between them stays."""
    move = np.zeros((COUNT, 3))
    mouth = face[list(INNER_LIPS), 1].mean()
    for k, point in enumerate(OUTER_LIPS):
        thinner = 1 - _across(face, OUTER_LIPS)[k] ** 2
        move[point] = [0, -0.28 * (face[point, 1] - mouth) * thinner, -0.02 * thinner]
    for k, point in enumerate(INNER_LIPS):
        arch = 1 - _across(face, INNER_LIPS)[k] ** 2
        move[point] = [0, mouth - face[point, 1], -0.02 * arch]
    return move


def _lids(face: np.ndarray) -> np.ndarray:
    """Upper lids down on the lower ones, which rise a little."""
    move = np.zeros((COUNT, 3))
    for ring in (RIGHT_EYE, LEFT_EYE):
        half = len(ring) // 2
        for k in range(1, half):
            upper, lower = ring[k], ring[-k]
            gap = face[upper] - face[lower]
            move[upper], move[lower] = -_LIDS * 0.9 * gap, _LIDS * 0.1 * gap
    # The skin above the lids unrolls: the row between lid and brow comes down half as far.
    above = {246: 247, 161: 30, 160: 29, 159: 27, 158: 28, 157: 56, 173: 190}
    above |= {398: 414, 384: 286, 385: 258, 386: 257, 387: 259, 388: 260, 466: 467}
    for lid, skin in above.items():
        move[skin] = 0.55 * move[lid]
    return move


def _brows(face: np.ndarray) -> np.ndarray:
    move = np.zeros((COUNT, 3))
    move[list(RIGHT_BROW + LEFT_BROW), 1] = 0.09
    high = face[:, 1] > face[list(RIGHT_BROW), 1].max()
    move[high, 1] = 0.05 * np.clip((0.8 - face[high, 1]) / 0.3, 0, 1)
    return move


def _smile(face: np.ndarray) -> np.ndarray:
    """Corners out, up and back, cheeks up, the lower lids with them."""
    move = np.zeros((COUNT, 3))
    for ring in (INNER_LIPS, OUTER_LIPS):
        across = _across(face, ring)
        for k, point in enumerate(ring):
            move[point] = [0.07 * across[k], 0.07 * across[k] ** 2 - 0.012, -0.05 * across[k] ** 2]
    for cheek in (205, 50, 425, 280):
        move[cheek] = [0, 0.035, 0.01]
    return move


_WISHES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "opening": _opening,
    "spread": _spread,
    "rounding": _rounding,
    "tuck": _tuck,
    "press": _press,
    "lids": _lids,
    "brows": _brows,
    "smile": _smile,
}
