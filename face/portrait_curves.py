"""The lines of a drawn face: outline, lips, lids and brows as polylines in drawing coordinates."""

from dataclasses import dataclass

import numpy as np

from face.random_faces import Expression, Person

ALONG = np.linspace(-1, 1, 41)  # places along lips and lids, from the right end to the left one


@dataclass(frozen=True)
class Lips:
    """Four curves (41, 2) from the right corner of the mouth to the left one."""

    outer_top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    outer_bottom: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """(41, 2) from the upper to the lower inner lip."""
        return self.inner_bottom - self.inner_top


def shifted(curve: np.ndarray, right: float = 0.0, down: float = 0.0) -> np.ndarray:
    """Move a curve (N, 2)."""
    return curve + np.array([right, down])


def band(curve: np.ndarray, above: float, below: float) -> np.ndarray:
    """Polygon of a stroke along a curve (N, 2) that reaches as far above and below it."""
    return np.concatenate([shifted(curve, down=-above), shifted(curve, down=below)[::-1]])


def between(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Polygon between two curves of the same direction."""
    return np.concatenate([top, bottom[::-1]])


def ellipse(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    """Polygon (48, 2) of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], axis=1)


def outline(person: Person, expression: Expression) -> np.ndarray:
    """Polygon (120, 2) around the face from the hairline to the chin."""
    head = person.head
    angle = np.linspace(-np.pi, np.pi, 120, endpoint=False)
    down, across = np.sin(angle), np.cos(angle)
    below = down > 0
    middle = person.eyes.y + 0.05
    reach = np.where(below, head.chin + expression.jaw_drop - middle, middle - head.forehead)
    power = np.where(below, 0.98 - 0.38 * head.jaw, 1 - 0.35 * head.temples)
    width = head.width + head.cheekbones * np.exp(-(((down - 0.15) / 0.3) ** 2))
    width = width * np.where(below, 1 - 0.14 * (1 - head.jaw_corner) * down**2, 1)
    x = width * np.sign(across) * np.abs(across) ** power
    return np.stack([x + (head.offset + expression.jaw_shift) * np.maximum(down, 0), middle + reach * down], axis=1)


def lips(person: Person, expression: Expression) -> Lips:
    """The lips in an expression."""
    mouth, e, t = person.mouth, expression, ALONG
    x = mouth.offset + e.shift + e.jaw_shift * 0.5 + mouth.half_width * e.stretch * t
    smile = e.smile - mouth.droop + (e.smile_skew - mouth.tilt) * np.sign(t)
    base = mouth.y + 0.3 * e.smile - 1.3 * smile * t**2
    lens = 1 - t**2
    opening = np.clip(1 - (t / 0.93) ** 2, 0, 1) ** (1.0 - 0.5 * e.roundness)
    fullness = (1 + 0.45 * e.pout if e.pout > 0 else 1 + 0.7 * e.pout) / np.sqrt(e.stretch)
    upper = mouth.upper * fullness * lens**0.7 * (1 - mouth.cupid * np.exp(-((t / 0.14) ** 2)))
    lower = mouth.lower * fullness * lens**0.6
    top, bottom = base - e.gap_upper * opening, base + e.gap_lower * opening
    return Lips(*(np.stack([x, y], axis=1) for y in (top - upper, top, bottom, bottom + lower)))


def lids(person: Person, opening: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Rims of the upper and the lower lid, each (41, 2); `side` is -1 for the right eye and 1 for the left one."""
    eyes = person.eyes
    outward = ALONG * side  # -1 at the nose
    y = eyes.y + side * eyes.unequal - eyes.slant * outward
    # The peak moves along the lid by a change of variable that keeps the corners in place.
    warped = outward - 0.5 * np.clip(eyes.peak, -0.9, 0.9) * (1 - outward**2)
    arch = np.clip(1 - np.abs(warped) ** 2.2, 0, 1)
    x = side * eyes.x + eyes.half_width * ALONG
    upper = y - eyes.height * (1.35 * opening - 0.35) * arch
    return np.stack([x, upper], axis=1), np.stack([x, y + eyes.height * 0.55 * arch], axis=1)


def brow(person: Person, expression: Expression, side: int) -> np.ndarray:
    """Polygon (82, 2) of a brow."""
    eyes = person.eyes
    inner, outer = expression.inner_brows[(side + 1) // 2], expression.outer_brows[(side + 1) // 2]
    along = (1 + ALONG) / 2  # 0 at the nose, 1 at the temple
    start = eyes.x - eyes.half_width - eyes.brow_start
    lift = inner * (1 - along) + outer * along + eyes.brow_slope * along
    lift = lift + eyes.brow_arch * np.sin(np.pi * along**1.3) - 0.02 * along**3
    x, y = side * (start + 0.27 * along), eyes.y + side * eyes.unequal - eyes.brow_height - lift
    thickness = eyes.brow_thickness * (1 - 0.75 * along**2)
    return between(np.stack([x, y - thickness], axis=1), np.stack([x, y + thickness], axis=1))
