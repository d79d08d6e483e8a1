"""People who do not exist, and their expressions, by lot: the numbers that `face.draw_portraits` paints.

Lengths are in half sides of the picture, x to the right, y down, the centre of the picture is the origin; a face is
about 1.3 high. The ranges are ours: as wide as the landmark network still sees a face.
"""

from dataclasses import dataclass, replace

import numpy as np

_LIGHT_SKIN, _DARK_SKIN = np.array([0.93, 0.77, 0.69]), np.array([0.31, 0.20, 0.15])  # ours: ends of human skin tones

Point = tuple[float, float]


@dataclass(frozen=True)
class Person:
    """What does not change from portrait to portrait; lengths in half picture sides, colours RGB in [0, 1]."""

    width: float
    forehead: float
    chin: float
    jaw: float
    jaw_corner: float
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_slant: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    nose_length: float
    nose_width: float
    nose_relief: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    cupid: float
    cheek: float
    sockets: float
    chin_relief: float
    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    brow_strength: float
    stubble: float
    blush: float
    hairline: float
    backdrop: np.ndarray


@dataclass(frozen=True)
class Expression:
    """One state of the face; all zero and `eyes` one is neutral. Lengths in half picture sides."""

    gap_upper: float = 0.0
    gap_lower: float = 0.0
    roundness: float = 0.0  # of the opening: 0 pointed like a lens, 1 like an O
    stretch: float = 1.0  # of the mouth's width
    pout: float = 0.0  # lips thicker and further forward, -1 pressed together
    smile: float = 0.0
    smile_skew: float = 0.0
    shift: float = 0.0  # of the mouth sideways
    jaw_drop: float = 0.0
    jaw_shift: float = 0.0
    upper_teeth: float = 0.0
    lower_teeth: float = 0.0
    tongue: float = 0.0
    eyes: tuple[float, float] = (1.0, 1.0)
    gaze: Point = (0.0, 0.0)
    inner_brows: tuple[float, float] = (0.0, 0.0)
    outer_brows: tuple[float, float] = (0.0, 0.0)
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)  # pitch, yaw, roll in radians


def random_person(rng: np.random.Generator) -> Person:
    """Draw the lots of a person."""
    u, n = rng.uniform, rng.normal
    tone = rng.beta(1.2, 1.6)
    skin = _LIGHT_SKIN * (1 - tone) + _DARK_SKIN * tone + n(0, 0.018, 3)
    redness = np.array([u(0.78, 1.0), u(0.5, 0.78), u(0.5, 0.8)])
    hair = np.array([0.9, 0.75, 0.5]) * u(0.05, 0.9) ** 1.5 * np.array([1, u(0.7, 1.05), u(0.5, 1.1)])
    eye_y = -0.13 + n(0, 0.025)
    nose_length = 0.33 + n(0, 0.03)
    mouth_y = eye_y + nose_length + 0.185 + n(0, 0.022)
    return Person(
        width=0.49 + n(0, 0.03),
        forehead=-0.68 + n(0, 0.03),
        chin=mouth_y + 0.28 + n(0, 0.03),
        jaw=u(0.55, 0.95),
        jaw_corner=u(0.2, 0.75),
        eye_x=0.222 + n(0, 0.014),
        eye_y=eye_y,
        eye_width=0.105 + n(0, 0.009),
        eye_height=0.042 + n(0, 0.008),
        eye_slant=n(0, 0.012),
        brow_height=0.125 + n(0, 0.018),
        brow_thickness=u(0.012, 0.034),
        brow_arch=u(0.0, 0.05),
        nose_length=nose_length,
        nose_width=0.105 + n(0, 0.013),
        nose_relief=u(0.75, 1.3),
        mouth_y=mouth_y,
        mouth_width=0.19 + n(0, 0.018),
        upper_lip=u(0.018, 0.045),
        lower_lip=u(0.024, 0.055),
        cupid=u(0.0, 0.4),
        cheek=n(0, 0.03),
        sockets=u(0.5, 1.4),
        chin_relief=u(0.0, 1.4),
        skin=np.clip(skin, 0.08, 0.98),
        lips=np.clip(skin * redness, 0.05, 0.95),
        iris=np.array([[0.18, 0.1, 0.05], [0.3, 0.2, 0.1], [0.25, 0.4, 0.5], [0.3, 0.4, 0.25]])[rng.integers(4)],
        hair=np.clip(hair, 0.02, 0.95),
        brow_strength=u(0.35, 0.95),
        stubble=max(0.0, n(-0.1, 0.2)),
        blush=abs(n(0, 0.06)),
        hairline=u(0.12, 0.3),
        backdrop=u(0, 1, (2, 3)),
    )


def random_expression(rng: np.random.Generator) -> Expression:
    """Draw the lots of an expression: a mouth shape as speech makes them, eyes, brows and a slight turn of the head."""
    u, n = rng.uniform, rng.normal
    mouth = _random_mouth(rng)
    blink = u(0, 0.25) if rng.random() < 0.2 else 1 + n(0, 0.18)
    wink = n(0, 0.3) if rng.random() < 0.15 else n(0, 0.04)
    brows, skew = n(0, 0.025), n(0, 0.012)
    frown = n(0, 0.012)
    return replace(
        mouth,
        eyes=(float(np.clip(blink + wink, 0.03, 1.5)), float(np.clip(blink - wink, 0.03, 1.5))),
        gaze=(n(0, 0.3), n(0, 0.15)),
        inner_brows=(brows + skew - frown, brows - skew - frown),
        outer_brows=(brows + skew + n(0, 0.01), brows - skew + n(0, 0.01)),
        angles=(n(0, 0.06), n(0, 0.1), n(0, 0.03)),
    )


def _random_mouth(rng: np.random.Generator) -> Expression:
    u, n = rng.uniform, rng.normal
    kind = rng.choice(["open", "round", "spread", "closed", "pressed", "any"], p=[0.28, 0.17, 0.17, 0.13, 0.08, 0.17])
    gap, stretch, pout, smile, roundness = {
        "open": (abs(n(0, 0.11)), 1 + n(0, 0.08), n(0, 0.15), n(0, 0.02), u(0.2, 0.8)),
        "round": (abs(n(0.03, 0.06)), u(0.5, 0.85), u(0.2, 1.1), n(-0.005, 0.012), u(0.5, 1)),
        "spread": (abs(n(0, 0.05)), u(1.05, 1.35), n(-0.15, 0.2), n(0.025, 0.03), u(0, 0.6)),
        "closed": (0.0, 1 + n(0, 0.12), n(0, 0.25), n(0, 0.03), 0.5),
        "pressed": (0.0, 1 + n(0, 0.08), u(-0.9, -0.4), n(0, 0.02), 0.5),
        "any": (abs(n(0, 0.09)), u(0.6, 1.3), u(-0.5, 0.8), n(0, 0.035), u(0, 1)),
    }[str(kind)]
    share = float(np.clip(n(0.3, 0.12), 0.02, 0.8))  # of the opening that the upper lip makes
    return Expression(
        gap_upper=gap * share,
        gap_lower=gap * (1 - share),
        roundness=roundness,
        stretch=stretch,
        pout=pout,
        smile=smile,
        smile_skew=n(0, 0.008),
        shift=n(0, 0.01),
        jaw_drop=max(-0.01, 0.85 * gap + n(0, 0.015)),
        jaw_shift=n(0, 0.008),
        upper_teeth=float(rng.random() < 0.6) * u(0.2, 0.6),
        lower_teeth=float(rng.random() < 0.25) * u(0.1, 0.35),
        tongue=float(rng.random() < 0.5) * u(0.2, 0.7),
    )
