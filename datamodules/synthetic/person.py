"""Who speaks: everything about an embedded person that does not change with time, drawn by lot from a seed."""

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.hair import STYLES, Haircut
from datamodules.synthetic.lighting import Light, fit_light
from datamodules.synthetic.skin import Complexion
from datamodules.synthetic.speech import Voice
from face.coefficients import IDENTITY_SIZE, TEXTURE_SIZE

_HAIR_COLOURS = np.array(
    [
        [0.13, 0.09, 0.07],
        [0.24, 0.15, 0.10],
        [0.38, 0.23, 0.13],
        [0.50, 0.22, 0.11],
        [0.62, 0.47, 0.29],
        [0.44, 0.31, 0.18],
    ]
)
_IRISES = np.array([[0.34, 0.20, 0.10], [0.22, 0.38, 0.50], [0.30, 0.40, 0.24], [0.40, 0.30, 0.16]])
_CLOTHS = np.array(
    [
        [0.16, 0.33, 0.42],
        [0.48, 0.20, 0.22],
        [0.25, 0.36, 0.28],
        [0.55, 0.46, 0.34],
        [0.24, 0.25, 0.34],
        [0.60, 0.58, 0.56],
    ]
)
_FEMININE_VOICES, _MASCULINE_VOICES = ("en-us+f2", "en-us+f3", "en-us+f5"), ("en-us", "en-us+m3", "en-us+m7")


@dataclass(frozen=True)
class Person:
    """An embedded person.

    Attributes:
        seed: What the person was drawn from.
        identity: (80,) α.
        texture: (80,) δ.
        light: On the person; its γ goes into χ.
        translation: (3,) of the head at rest before the camera of the whole picture, decimetres.
        haircut: Hair.
        complexion: Details of the skin.
        iris: (3,) colour.
        cloth: (3,) colour.
        voice: How the person sounds.
        liveliness: Amplitude of head movement, about 1.
        smile: How much of a smile is always there, 0 to 1.
        diction: How far the mouth opens when speaking, about 1.
    """

    seed: int
    identity: np.ndarray
    texture: np.ndarray
    light: Light
    translation: np.ndarray
    haircut: Haircut
    complexion: Complexion
    iris: np.ndarray
    cloth: np.ndarray
    voice: Voice
    liveliness: float
    smile: float
    diction: float


def draw_person(seed: int) -> Person:
    """Draw a person.

    Args:
        seed: The same seed gives the same person; neighbouring seeds differ in haircut and voice.
    """
    rng = np.random.default_rng([seed, 3])
    feminine = seed % 2 == 0
    style = str(rng.choice(STYLES[:2])) if feminine else STYLES[2]
    hair = _HAIR_COLOURS[rng.integers(len(_HAIR_COLOURS))]
    return Person(
        seed=seed,
        identity=rng.normal(0, 0.55, IDENTITY_SIZE),
        texture=rng.normal(0, 0.55, TEXTURE_SIZE),
        light=_portrait_light(rng),
        # Head and shoulders fill the picture: the face is 40 % of its width.
        translation=np.array([rng.normal(0, 0.05), 0.06, -7.0]),
        haircut=Haircut(
            style=style,
            colour=hair * rng.uniform(0.9, 1.15),
            parting=float(rng.choice([-1, 1]) * rng.uniform(0.12, 0.26)),
            volume=rng.uniform(0.85, 1.2),
            wave=rng.uniform(0, 1) if feminine else 0.0,
        ),
        complexion=_complexion(hair, feminine, rng),
        iris=_IRISES[rng.integers(len(_IRISES))],
        cloth=_CLOTHS[rng.integers(len(_CLOTHS))],
        voice=_voice(feminine, rng),
        liveliness=rng.uniform(0.9, 1.25),
        smile=rng.uniform(0.12, 0.3),
        diction=rng.uniform(0.95, 1.1),
    )


def _complexion(hair: np.ndarray, feminine: bool, rng: np.random.Generator) -> Complexion:
    return Complexion(
        brows=0.75 * hair,
        brow_strength=rng.uniform(0.65, 0.85) if feminine else rng.uniform(0.85, 1.0),
        lips=np.array([0.93, 0.66, 0.70]) if feminine else np.array([0.92, 0.78, 0.78]),
        freckles=int(rng.choice([0, 25, 120])),
        blush=rng.uniform(0.4, 0.8) if feminine else rng.uniform(0.2, 0.5),
        liner=0.75 if feminine else 0.50,
    )


def _voice(feminine: bool, rng: np.random.Generator) -> Voice:
    name = str(rng.choice(_FEMININE_VOICES if feminine else _MASCULINE_VOICES))
    return Voice(name, pitch=int(rng.integers(42, 58)), rate=int(rng.integers(150, 170)))


def _portrait_light(rng: np.random.Generator) -> Light:
    """A large warm key light from above on one side, a cool fill from the other, a little from behind."""
    side = float(rng.choice([-1.0, 1.0]))
    return fit_light(
        np.array([0.38, 0.37, 0.37]),
        [
            ((side * 0.60, 0.55, 0.80), (0.80, 0.72, 0.63), 0.25),
            ((-side * 0.90, 0.10, 0.50), (0.16, 0.18, 0.22), 0.5),
            ((-side * 0.50, 0.50, -0.75), (0.22, 0.23, 0.25), 0.0),
        ],
    )
