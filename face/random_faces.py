"""People who do not exist, and their expressions, by lot: the numbers that `face.draw_portraits` paints.

Lengths are in half sides of the picture, x to the right, y down, the centre of the picture is the origin; a face is
about 1.3 high. The ranges are ours: about as wide as people differ, as far as the landmark network still sees a face.
"""

from dataclasses import dataclass, replace

import numpy as np

_LIGHT_SKIN, _DARK_SKIN = np.array([0.94, 0.77, 0.68]), np.array([0.31, 0.20, 0.15])  # ours: ends of human skin tones
_IRISES = np.array([[0.18, 0.10, 0.05], [0.30, 0.20, 0.10], [0.25, 0.40, 0.50], [0.30, 0.40, 0.25]])


@dataclass(frozen=True)
class Head:
    """The outline and what stands around the face. Numbers named after no length are shares, 0 to about 1."""

    width: float
    forehead: float  # height of its upper end
    chin: float  # height of its lower end
    jaw: float  # 0 pointed, 1 square
    jaw_corner: float  # 0 narrow below the cheeks, 1 as wide as they are
    temples: float  # 0 round, 1 square
    cheekbones: float  # how far they stand out sideways, either sign
    offset: float  # of the chin from the middle line
    depth: float  # of the oval of the head before the picture plane
    chin_relief: float
    cheek_relief: float
    hair_width: float
    fringe: float  # how much of the forehead the hair covers
    parting: float  # hair lower on the left side, either sign
    strands: tuple[float, float]  # how much of the width hair covers at the right and at the left temple
    beard: float
    moustache: float


@dataclass(frozen=True)
class Eyes:
    """Eyes, lids, brows and glasses."""

    x: float
    y: float
    half_width: float
    height: float
    slant: float  # outer corners higher
    unequal: float  # left eye lower than the right one
    peak: float  # of the upper lid: -1 toward the nose, 1 toward the temple
    crease: float  # of the upper lid above its rim
    bags: float
    sockets: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    brow_slope: float  # outer ends higher
    brow_start: float  # distance of its inner end from the inner corner of the eye, toward the nose
    brow_relief: float
    glasses: float  # radius of the lenses, 0 for none


@dataclass(frozen=True)
class Nose:
    """The nose."""

    length: float
    half_width: float
    relief: float
    bridge: float  # half width of the ridge
    tip: float  # relief of the tip over the ridge
    nostrils: float
    bend: float  # of the tip sideways
    hump: float


@dataclass(frozen=True)
class Mouth:
    """The mouth at rest."""

    y: float
    half_width: float
    upper: float  # thickness of the upper lip
    lower: float
    cupid: float  # depth of the notch in the upper lip
    droop: float  # corners lower than the middle
    tilt: float  # left corner lower than the right one
    offset: float  # sideways
    relief: float


@dataclass(frozen=True)
class Colours:
    """RGB in [0, 1] and strengths."""

    skin: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    backdrop: np.ndarray  # (2, 3) left and right
    brow_strength: float
    stubble: float
    blush: float
    blotches: np.ndarray  # (5, 5, 3) slow changes of the skin's colour over the picture, about zero


@dataclass(frozen=True)
class Person:
    """What does not change from portrait to portrait."""

    head: Head
    eyes: Eyes
    nose: Nose
    mouth: Mouth
    colours: Colours


@dataclass(frozen=True)
class Expression:
    """One state of the face and of the head; the default is neutral."""

    gap_upper: float = 0.0
    gap_lower: float = 0.0
    roundness: float = 0.5  # of the opening: 0 pointed like a lens, 1 like an O
    stretch: float = 1.0  # of the mouth's width
    pout: float = 0.0  # lips thicker and further forward, -1 pressed together
    smile: float = 0.0
    smile_skew: float = 0.0
    shift: float = 0.0  # of the mouth sideways
    jaw_drop: float = 0.0
    jaw_shift: float = 0.0
    upper_teeth: float = 0.0  # shares of the opening that they fill
    lower_teeth: float = 0.0
    tongue: float = 0.0
    lids: tuple[float, float] = (1.0, 1.0)  # right, left: 0 shut, 1 open
    gaze: tuple[float, float] = (0.0, 0.0)
    inner_brows: tuple[float, float] = (0.0, 0.0)  # right, left: raised by
    outer_brows: tuple[float, float] = (0.0, 0.0)
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)  # pitch, yaw, roll in radians


def random_person(rng: np.random.Generator) -> Person:
    """Draw the lots of a person."""
    eyes, nose = _random_eyes(rng), _random_nose(rng)
    mouth = _random_mouth(rng, eyes.y + nose.length)
    return Person(_random_head(rng, mouth.y), eyes, nose, mouth, _random_colours(rng))


def _random_head(rng: np.random.Generator, mouth_y: float) -> Head:
    u, n = rng.uniform, rng.normal
    return Head(
        width=0.49 + n(0, 0.04),
        forehead=-0.68 + n(0, 0.05),
        chin=mouth_y + 0.28 + n(0, 0.035),
        jaw=u(0.35, 1.05),
        jaw_corner=u(0.0, 0.9),
        temples=u(0.2, 1.0),
        cheekbones=n(0, 0.02),
        offset=n(0, 0.012),
        depth=max(0.25, n(0.5, 0.09)),
        chin_relief=n(0.6, 0.6),
        cheek_relief=n(1.0, 0.7),
        hair_width=u(1.08, 1.5),
        fringe=max(0.0, n(0.0, 0.25)),
        parting=n(0, 0.12),
        strands=(max(0.0, n(-0.05, 0.12)), max(0.0, n(-0.05, 0.12))),
        beard=max(0.0, n(-0.5, 0.6)),
        moustache=max(0.0, n(-0.7, 0.7)),
    )


def _random_eyes(rng: np.random.Generator) -> Eyes:
    u, n = rng.uniform, rng.normal
    return Eyes(
        x=0.222 + n(0, 0.016),
        y=-0.13 + n(0, 0.03),
        half_width=0.105 + n(0, 0.011),
        height=max(0.014, 0.038 + n(0, 0.013)),
        slant=n(0, 0.014),
        unequal=n(0, 0.008),
        peak=n(0, 0.35),
        crease=u(0.012, 0.05),
        bags=max(0.0, n(0.2, 0.5)),
        sockets=n(1.0, 0.5),
        brow_height=0.125 + n(0, 0.022),
        brow_thickness=u(0.01, 0.038),
        brow_arch=n(0.025, 0.02),
        brow_slope=n(0, 0.02),
        brow_start=0.02 + n(0, 0.02),
        brow_relief=n(1.0, 0.7),
        glasses=u(0.13, 0.19) if rng.random() < 0.12 else 0.0,
    )


def _random_nose(rng: np.random.Generator) -> Nose:
    u, n = rng.uniform, rng.normal
    return Nose(
        length=0.33 + n(0, 0.032),
        half_width=0.105 + n(0, 0.016),
        relief=n(1.0, 0.22),
        bridge=u(0.03, 0.075),
        tip=n(0.5, 0.6),
        nostrils=u(0.5, 1.4),
        bend=n(0, 0.008),
        hump=n(0, 0.4),
    )


def _random_mouth(rng: np.random.Generator, nose_end: float) -> Mouth:
    u, n = rng.uniform, rng.normal
    return Mouth(
        y=nose_end + 0.185 + n(0, 0.024),
        half_width=0.19 + n(0, 0.02),
        upper=u(0.014, 0.05),
        lower=u(0.02, 0.06),
        cupid=u(0.0, 0.5),
        droop=n(0, 0.008),
        tilt=n(0, 0.006),
        offset=n(0, 0.006),
        relief=n(1.0, 0.5),
    )


def _random_colours(rng: np.random.Generator) -> Colours:
    u, n = rng.uniform, rng.normal
    tone = rng.beta(1.1, 1.5)
    skin = np.clip(_LIGHT_SKIN * (1 - tone) + _DARK_SKIN * tone + n(0, 0.02, 3), 0.08, 0.98)
    hair = np.array([0.9, 0.75, 0.5]) * u(0.05, 0.9) ** 1.5 * np.array([1, u(0.7, 1.05), u(0.5, 1.1)])
    return Colours(
        skin=skin,
        lips=np.clip(skin * np.array([u(0.78, 1.0), u(0.5, 0.78), u(0.5, 0.8)]), 0.05, 0.95),
        iris=_IRISES[rng.integers(len(_IRISES))],
        hair=np.clip(hair, 0.02, 0.95),
        backdrop=u(0, 1, (2, 3)),
        brow_strength=u(0.3, 0.95),
        stubble=max(0.0, n(-0.1, 0.2)),
        blush=abs(n(0, 0.06)),
        blotches=n(0, 0.04, (5, 5, 1)) + n(0, 0.02, (5, 5, 3)),
    )


def random_view(rng: np.random.Generator, expression: Expression) -> Expression:
    """Turn the head of an expression by lot."""
    return replace(expression, angles=(rng.normal(0, 0.14), rng.normal(0, 0.2), rng.normal(0, 0.04)))


def random_expression(rng: np.random.Generator) -> Expression:
    """Draw the lots of an expression: a mouth as speech shapes it, eyes, brows and a slight turn of the head."""
    u, n = rng.uniform, rng.normal
    mouth = random_viseme(rng)
    lids = u(0, 0.7) if rng.random() < 0.4 else 1 + n(0, 0.18)
    wink = n(0, 0.3) if rng.random() < 0.15 else n(0, 0.04)
    raised, skew, frown = n(0, 0.035), n(0, 0.015), n(0, 0.018)
    face = replace(
        mouth,
        lids=(float(np.clip(lids + wink, 0.03, 1.5)), float(np.clip(lids - wink, 0.03, 1.5))),
        gaze=(n(0, 0.3), n(0, 0.15)),
        inner_brows=(raised + skew - frown, raised - skew - frown),
        outer_brows=(raised + skew + n(0, 0.01), raised - skew + n(0, 0.01)),
    )
    return random_view(rng, face)


def random_viseme(rng: np.random.Generator) -> Expression:
    """Draw the lots of a mouth alone: open, round, spread, closed, pressed or anything between, hardly ever even."""
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
