"""Depth of a drawn face: its relief, the light on it, and the turn of the head that shows it."""

import numpy as np
from scipy import ndimage

from face.portrait_curves import Lips, between
from face.random_faces import Expression, Person

SIZE = 192  # pixels, the input of the landmark network
_LINE = (np.arange(SIZE, dtype=np.float32) + 0.5) * np.float32(2 / SIZE) - 1  # pixel centres in drawing coordinates
X, Y = _LINE[None, :], _LINE[:, None]


def spot(x: float, y: float, width: float, height: float) -> np.ndarray:
    """A soft spot of height one, float32 (192, 192)."""
    return np.exp(-(((Y - y) / height) ** 2)) * np.exp(-(((X - x) / width) ** 2))


def pair(x: float, y: float, width: float, height: float) -> np.ndarray:
    """The same spot on both sides of the face."""
    return np.exp(-(((Y - y) / height) ** 2)) * (np.exp(-(((X - x) / width) ** 2)) + np.exp(-(((X + x) / width) ** 2)))


def resting_relief(person: Person) -> np.ndarray:
    """What an expression does not move: nose, sockets, brows; heights over the oval of the head, float32 (192, 192)."""
    eyes, nose = person.eyes, person.nose
    end = eyes.y + nose.length
    along = np.clip((Y - eyes.y + 0.05) / (nose.length + 0.05), 0, 1)
    middle = nose.bend * along**2
    profile = along + nose.hump * np.exp(-(((along - 0.45) / 0.2) ** 2)) * 0.25
    below = 1 / (1 + np.exp(np.clip((Y - end + 0.01) / 0.014, -40, 40)))
    height = 0.16 * np.exp(-(((X - middle) / (nose.bridge + 0.03 * along)) ** 2)) * profile * below
    height += 0.05 * pair(nose.half_width * 0.75, end - 0.03, 0.05, 0.045)
    height += 0.04 * nose.tip * spot(nose.bend, end - 0.035, 0.05, 0.05)
    height *= nose.relief
    height -= 0.045 * eyes.sockets * pair(eyes.x * 0.95, eyes.y - 0.03, 0.13, 0.075)
    height += 0.035 * pair(eyes.x, eyes.y, 0.08, 0.045)
    height += 0.012 * eyes.bags * pair(eyes.x, eyes.y + 0.075, 0.08, 0.02)
    return height + 0.03 * eyes.brow_relief * pair(0.25, eyes.y - eyes.brow_height - 0.02, 0.16, 0.05)


def relief(
    person: Person, expression: Expression, resting: np.ndarray, mouth: Lips, lip_cover: np.ndarray
) -> np.ndarray:
    """Height of the face over the plane of the picture.

    Args:
        person: who.
        expression: in which state.
        resting: `resting_relief(person)`.
        mouth: the lips.
        lip_cover: (192, 192) share of every pixel that is lip.

    Returns:
        float32 (192, 192) in half sides of the picture.
    """
    head = person.head
    middle = (head.chin + head.forehead + expression.jaw_drop) / 2
    high = (head.chin - head.forehead + expression.jaw_drop) / 2
    oval = 1 - (X / (head.width * 1.12)) ** 2 - np.abs((Y - middle) / (high * 1.15)) ** 2.4
    height = np.float32(head.depth) * np.sqrt(np.maximum(oval, 0)) + resting
    cheeks = 0.03 * head.cheek_relief + 0.6 * max(expression.smile, 0.0)
    height += cheeks * pair(0.28, person.eyes.y + person.nose.length - 0.1, 0.13, 0.12)
    fullness = person.mouth.relief * (0.045 + 0.05 * max(expression.pout, 0.0))
    height += fullness * ndimage.gaussian_filter(lip_cover, 3.5)
    x, y = between(mouth.outer_top, mouth.outer_bottom).mean(axis=0)
    height += 0.03 * spot(x, y, 0.2, 0.14)
    chin = head.chin + expression.jaw_drop - 0.09
    return height + 0.045 * head.chin_relief * spot(head.offset + expression.jaw_shift, chin, 0.1, 0.075)


def light(heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lambert's law under one lamp and a grey sky drawn by lot, float32 (192, 192, 3)."""
    down, right = np.gradient(ndimage.gaussian_filter(heights, 1.2), np.float32(2 / SIZE))
    lamp = np.array([rng.normal(0, 0.45), rng.normal(-0.45, 0.3), 1.0])
    lamp /= np.linalg.norm(lamp)
    towards = np.float32(lamp[2]) - right * np.float32(lamp[0]) - down * np.float32(lamp[1])
    ambient = rng.uniform(0.3, 0.6)
    strength = ambient + (1.12 - ambient) * np.maximum(towards / np.sqrt(1 + right**2 + down**2), 0)
    return strength[..., None] * ((1 + rng.normal(0, 0.04, 3)) * rng.uniform(0.8, 1.15)).astype(np.float32)


def turn(picture: np.ndarray, heights: np.ndarray, angles: tuple[float, float, float]) -> np.ndarray:
    """Turn the head: every pixel looks up the place of the relief that comes to lie there.

    Args:
        picture: (192, 192, 3).
        heights: (192, 192) relief.
        angles: pitch, yaw, roll in radians.

    Returns:
        (192, 192, 3).
    """
    pitch, yaw, roll = angles
    if not any(angles):
        return picture
    x = X * np.float32(np.cos(roll)) + Y * np.float32(np.sin(roll))
    y = Y * np.float32(np.cos(roll)) - X * np.float32(np.sin(roll))
    depth = ndimage.gaussian_filter(heights, 2.0) - np.float32(0.2)  # about the middle of the head
    from_x, from_y, height = x, y, depth
    for repeat in range(3):  # a fixed point: the height to look up depends on the place looked up
        if repeat:
            height = _look_up(depth, from_x, from_y)
        from_x = (x - height * np.float32(np.sin(yaw))) / np.float32(np.cos(yaw))
        from_y = (y - height * np.float32(np.sin(pitch))) / np.float32(np.cos(pitch))
    return np.stack([_look_up(picture[..., c], from_x, from_y) for c in range(3)], axis=-1)


def _look_up(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    places = np.stack([(y + 1) * (SIZE / 2) - 0.5, (x + 1) * (SIZE / 2) - 0.5])
    return np.asarray(ndimage.map_coordinates(values, places, order=1, mode="nearest"))
