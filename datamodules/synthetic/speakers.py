"""Many speakers in many studios: people as `person` draws them, but more varied in looks, light, room and voice."""

from dataclasses import dataclass, replace

import numpy as np

from datamodules.synthetic.lighting import Light, fit_light
from datamodules.synthetic.paint import paint_room
from datamodules.synthetic.person import Person, draw_person
from datamodules.synthetic.speech import Voice
from datamodules.synthetic.voices import ACCENTS, FEMININE, MASCULINE
from face.camera import CAMERA_DISTANCE, Camera

_GREY, _BLACK = np.array([0.55, 0.54, 0.53]), np.array([0.07, 0.06, 0.06])
_BROWN_EYES = np.array([0.30, 0.17, 0.09])
_DARK = (
    -0.5
)  # first texture coefficient, which is how bright skin is: below it eyes are brown and hair is black or grey
_SPREAD = 1.3  # ours: as far from the mean face as people can be without hair and clothes fitting badly
_DEPTHS = (13.0, 19.0)  # decimetres from the camera; ours: the face is 0.55 to 0.35 of the picture wide, as in LRW
_ASIDE, _ABOVE = 0.07, 0.05  # ours: how far from its usual place the face may be, shares of the picture


@dataclass(frozen=True)
class Speaker:
    """A person and where they speak.

    Attributes:
        person: Who; the light is that of the studio.
        backdrop_tint: (3,) factor of the painted room.
    """

    person: Person
    backdrop_tint: np.ndarray

    def backdrop(self, size: int) -> np.ndarray:
        """The room behind the person, float32 (size, size, 3) in [0, 1]."""
        room = paint_room(size, np.random.default_rng([self.person.seed, 6]))
        return np.clip(room * self.backdrop_tint, 0, 1).astype(np.float32)


def draw_speaker(seed: int) -> Speaker:
    """Draw a speaker.

    Args:
        seed: The same seed gives the same speaker, whose face is that of no other seed and of no `draw_person`.
    """
    rng = np.random.default_rng([seed, 8])
    person = draw_person(seed)
    haircut, texture = person.haircut, _SPREAD * person.texture
    dark = texture[0] < _DARK
    if rng.random() < (1.0 if dark else 0.3):
        haircut = replace(haircut, colour=(_GREY if rng.random() < 0.3 else _BLACK) * rng.uniform(0.85, 1.15))
    speaker = replace(
        person,
        identity=_SPREAD * person.identity,
        texture=texture,
        light=_studio_light(rng),
        haircut=replace(haircut, volume=rng.uniform(0.8, 1.3)),
        complexion=replace(person.complexion, brows=0.75 * haircut.colour),
        iris=_BROWN_EYES if dark else person.iris,
        cloth=person.cloth * rng.uniform(0.5, 1.3) * rng.uniform(0.85, 1.15, 3),
        voice=_voice(seed % 2 == 0, rng),
        liveliness=rng.uniform(0.7, 1.4),
        smile=rng.uniform(0.02, 0.35),
        diction=rng.uniform(0.85, 1.15),
    )
    return Speaker(speaker, rng.uniform(0.55, 1.1) * rng.uniform(0.92, 1.08, 3))


def draw_place(person: Person, rng: np.random.Generator) -> np.ndarray:
    """Where a person stands in one recording: nearer or farther, beside the middle of the picture or in it.

    Args:
        person: Who.
        rng: Chooses.

    Returns:
        (3,) decimetres to add to the person's usual place.
    """
    depth = np.exp(rng.uniform(*np.log(_DEPTHS)))
    camera = Camera()
    across = camera.size * depth / camera.focal  # decimetres that the picture shows at that depth
    x, y = rng.uniform([-_ASIDE, -_ABOVE], [_ASIDE, _ABOVE]) * across
    return np.array([x, y, CAMERA_DISTANCE - depth - person.translation[2]])


def jitter(voice: Voice, rng: np.random.Generator) -> Voice:
    """A voice on another day: a little faster or slower, higher or lower."""
    return replace(voice, rate=round(voice.rate * rng.uniform(0.92, 1.1)), pitch=voice.pitch + int(rng.integers(-4, 5)))


def _voice(feminine: bool, rng: np.random.Generator) -> Voice:
    name = str(rng.choice(ACCENTS)) + str(rng.choice(FEMININE if feminine else MASCULINE))
    return Voice(name, int(rng.integers(135, 205)), int(rng.integers(20, 85)), int(rng.integers(30, 90)))


def _studio_light(rng: np.random.Generator) -> Light:
    """A key light from anywhere in front, hard or soft, rather warm, a fill from the other side, some from behind."""
    side, warmth, strength = rng.choice([-1.0, 1.0]), rng.uniform(-0.05, 0.10), rng.uniform(0.45, 0.95)
    key = strength * np.array([1 + warmth, 1.0, 1 - warmth])
    fill = rng.uniform(0.1, 0.35) * np.array([1 - warmth, 1.0, 1 + warmth])
    ambient = rng.uniform(0.28, 0.48) * np.ones(3)
    toward = (side * rng.uniform(0.1, 0.9), rng.uniform(0.2, 0.8), 0.8)
    return fit_light(
        ambient,
        [
            (toward, (key[0], key[1], key[2]), rng.uniform(0.1, 0.6)),
            ((-side * 0.9, 0.1, 0.5), (fill[0], fill[1], fill[2]), 0.5),
            ((-side * 0.5, 0.5, -0.75), (0.2, 0.2, 0.2), 0.0),
        ],
    )
