"""Paint the portrait of a drawn-by-lot person: what the embedded face model is made from.

A portrait is a flat painting of the colours (skin, lips, eyes, brows, hair) times the light on a relief of the face,
so that the landmark network sees a face with depth while the unlit colours stay known. Nothing here is photographed.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from face.random_faces import Expression, Person

SIZE = 192  # pixels, the input of the landmark network
_OVERSAMPLING = 3  # polygons are drawn that much larger and averaged
_T = np.linspace(-1, 1, 41)  # along lips, lids and brows
_Y, _X = np.mgrid[:SIZE, :SIZE] * (2 / SIZE) + (1 / SIZE - 1)  # pixel centres


@dataclass(frozen=True)
class Portrait:
    """A drawing.

    Attributes:
        image: float32 (192, 192, 3) in [0, 1], lit and posed, as the landmark network gets it.
        albedo: float32 (192, 192, 3) in [0, 1], the unlit colours of the skin before the pose: skin goes on outside
            of the outline and in the eye openings, the mouth is painted shut.
    """

    image: np.ndarray
    albedo: np.ndarray


@dataclass(frozen=True)
class _Lips:
    """Four curves (41, 2) from the right corner of the mouth to the left one."""

    outer_top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    outer_bottom: np.ndarray


def draw(person: Person, expression: Expression, rng: np.random.Generator) -> Portrait:
    """Paint one portrait.

    Args:
        person: who.
        expression: in which state of the face and of the head.
        rng: lots of the light and of the sharpness.

    Returns:
        The lit picture and the unlit colours.
    """
    lips = _lips(person, expression)
    skin = _Canvas(person.skin)
    _paint_brows(skin, person, expression)
    _paint_nose(skin, person)
    closed = skin.copy()
    for canvas in (skin, closed):
        canvas.polygon([lips.outer_top, lips.outer_bottom[::-1]], person.lips)
    _paint_eyes(skin, person, expression)
    _paint_mouth(skin, person, expression, lips)
    tint = _tint(person)
    outline = _mask([_outline(person, expression)])
    picture = skin.pixels(0.6) * tint
    picture = picture * outline[..., None] + _surroundings(person) * (1 - outline[..., None])
    relief = _relief(person, expression, lips)
    picture = picture * _light(relief, rng)
    picture = _turn(picture, relief, expression.angles)
    picture = ndimage.gaussian_filter(picture, (sigma := rng.uniform(0.3, 1.0), sigma, 0))
    albedo = closed.pixels(0.8) * tint
    return Portrait(picture.clip(0, 1).astype(np.float32), albedo.clip(0, 1).astype(np.float32))


class _Canvas:
    """Polygons in drawing coordinates on an oversampled picture."""

    def __init__(self, colour: np.ndarray, image: Image.Image | None = None) -> None:
        side = SIZE * _OVERSAMPLING
        self._image = image or Image.new("RGB", (side, side), _rgb(colour))
        self._draw = ImageDraw.Draw(self._image)

    def copy(self) -> "_Canvas":
        return _Canvas(np.zeros(3), self._image.copy())

    def polygon(self, parts: list[np.ndarray], colour: np.ndarray) -> None:
        points = (np.concatenate(parts) + 1) * (SIZE * _OVERSAMPLING / 2)
        self._draw.polygon([(float(x), float(y)) for x, y in points], fill=_rgb(colour))

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], colour: np.ndarray) -> None:
        self.polygon([_ellipse(centre, radii)], colour)

    def pixels(self, blur: float) -> np.ndarray:
        small = self._image.reduce(_OVERSAMPLING).filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(small, np.float64) / 255


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0, 1) * 255).round().astype(int).tolist()
    return red, green, blue


def _ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)


def _shifted(curve: np.ndarray, right: float = 0.0, down: float = 0.0) -> np.ndarray:
    return curve + np.array([right, down])


def _mask(parts: list[np.ndarray]) -> np.ndarray:
    """Share of every pixel inside a polygon."""
    side = SIZE * 2
    image = Image.new("L", (side, side))
    points = (np.concatenate(parts) + 1) * (side / 2)
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(image.reduce(2), np.float64) / 255


def _blob(x: float, y: float, width: float, height: float) -> np.ndarray:
    """A soft spot of height one."""
    return np.exp(-(((_X - x) / width) ** 2) - ((_Y - y) / height) ** 2)


def _pair(x: float, y: float, width: float, height: float) -> np.ndarray:
    """The same spot on both sides of the face."""
    return _blob(-x, y, width, height) + _blob(x, y, width, height)


def _outline(person: Person, expression: Expression) -> np.ndarray:
    angle = np.linspace(-np.pi, np.pi, 120, endpoint=False)  # from the temple, over the chin
    down = np.sin(angle)
    middle = person.eye_y + 0.05
    below = down > 0
    reach = np.where(below, person.chin + expression.jaw_drop - middle, middle - person.forehead)
    squareness = np.where(below, 0.95 - 0.35 * person.jaw, 0.75)
    across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** squareness
    narrowing = np.where(below, 1 - person.cheek - 0.12 * (1 - person.jaw_corner) * down**2, 1)
    x = person.width * across * narrowing + expression.jaw_shift * np.maximum(down, 0)
    return np.stack([x, middle + reach * down], axis=1)


def _lips(person: Person, expression: Expression) -> _Lips:
    e = expression
    half = person.mouth_width * e.stretch
    x = e.shift + e.jaw_shift * 0.5 + half * _T
    lens = 1 - _T**2
    opening = np.clip(1 - (_T / 0.93) ** 2, 0, 1) ** (1.0 - 0.5 * e.roundness)
    base = person.mouth_y + 0.3 * e.smile - (e.smile + e.smile_skew * np.sign(_T)) * 1.3 * _T**2
    fullness = np.where(e.pout > 0, 1 + 0.45 * e.pout, 1 + 0.7 * e.pout) / np.sqrt(e.stretch)
    top = person.upper_lip * fullness * lens**0.7 * (1 - person.cupid * np.exp(-((_T / 0.14) ** 2)))
    bottom = person.lower_lip * fullness * lens**0.6
    inner_top = base - e.gap_upper * opening
    inner_bottom = base + e.gap_lower * opening
    curves = (inner_top - top, inner_top, inner_bottom, inner_bottom + bottom)
    return _Lips(*(np.stack([x, y], axis=1) for y in curves))


def _paint_mouth(canvas: _Canvas, person: Person, expression: Expression, lips: _Lips) -> None:
    gap = lips.inner_bottom - lips.inner_top
    if gap[:, 1].max() < 0.008:  # shut: a dark seam
        seam = [_shifted(lips.inner_top, down=-0.004), _shifted(lips.inner_bottom, down=0.004)[::-1]]
        canvas.polygon(seam, person.lips * 0.45)
        return
    canvas.polygon([lips.inner_top, lips.inner_bottom[::-1]], np.array([0.2, 0.06, 0.06]))
    for share, colour, from_top, reach in (
        (expression.tongue, np.array([0.6, 0.25, 0.25]), False, 0.6),
        (expression.lower_teeth, np.array([0.82, 0.79, 0.73]), False, 0.7),
        (expression.upper_teeth, np.array([0.92, 0.9, 0.85]), True, 0.8),
    ):
        inside = np.abs(_T) < reach
        if share > 0.05 and from_top:
            canvas.polygon([lips.inner_top[inside], (lips.inner_top + share * gap)[inside][::-1]], colour)
        elif share > 0.05:
            canvas.polygon([(lips.inner_bottom - share * gap)[inside], lips.inner_bottom[inside][::-1]], colour)


def _paint_eyes(canvas: _Canvas, person: Person, expression: Expression) -> None:
    for side, opening in zip((-1, 1), expression.eyes, strict=True):
        x0, y0, half = side * person.eye_x, person.eye_y, person.eye_width
        x = x0 + half * _T
        slant = person.eye_slant * _T * -side
        arch = np.clip(1 - np.abs(_T) ** 2.2, 0, 1)
        upper = np.stack([x, y0 + slant - person.eye_height * (1.35 * opening - 0.35) * arch], axis=1)
        lower = np.stack([x, y0 + slant + person.eye_height * 0.55 * arch], axis=1)
        lid = person.skin * 0.88
        canvas.polygon([_shifted(upper, down=-0.02), _shifted(lower, down=0.008)[::-1]], lid)
        canvas.polygon([upper, lower[::-1]], np.array([0.93, 0.91, 0.89]))
        radius = person.eye_width * 0.44
        centre = (x0 + expression.gaze[0] * half * 0.5, y0 - 0.006 + expression.gaze[1] * 0.03)
        canvas.ellipse(centre, (radius, radius), person.iris)
        canvas.ellipse(centre, (radius * 0.5, radius * 0.5), np.zeros(3))
        # The lids go over the eyeball: what lies outside of the opening is skin again.
        canvas.polygon([upper, _shifted(upper, down=-0.05 - radius)[::-1]], lid)
        canvas.polygon([lower, _shifted(lower, down=0.03 + radius)[::-1]], person.skin * 0.97)
        canvas.polygon([_shifted(upper, down=-0.011), _shifted(upper, down=0.002)[::-1]], person.skin * 0.2)
        canvas.polygon([_shifted(upper, down=-0.038), _shifted(upper, down=-0.032)[::-1]], person.skin * 0.7)
        canvas.polygon([lower, _shifted(lower, down=0.004)[::-1]], person.skin * 0.65)


def _paint_brows(canvas: _Canvas, person: Person, expression: Expression) -> None:
    colour = (
        person.skin * (1 - person.brow_strength) + np.minimum(person.hair, person.skin) * 0.6 * person.brow_strength
    )
    for side in (-1, 1):
        inner, outer = expression.inner_brows[(side + 1) // 2], expression.outer_brows[(side + 1) // 2]
        along = (1 + _T) / 2  # 0 at the nose, 1 at the temple
        x = side * (person.eye_x - 0.125 + 0.27 * along)
        lift = inner * (1 - along) + outer * along + person.brow_arch * np.sin(np.pi * along**1.3)
        y = person.eye_y - person.brow_height - lift + 0.02 * along**3
        thickness = person.brow_thickness * (1 - 0.75 * along**2)
        top, bottom = np.stack([x, y - thickness], axis=1), np.stack([x, y + thickness], axis=1)
        canvas.polygon([top, bottom[::-1]], colour)


def _paint_nose(canvas: _Canvas, person: Person) -> None:
    base = person.eye_y + person.nose_length
    for side in (-1, 1):
        canvas.ellipse((side * person.nose_width * 0.47, base + 0.012), (0.026, 0.013), person.skin * 0.38)
        wing = np.stack([side * (person.nose_width + 0.004 * _T**2), base - 0.02 + 0.035 * _T], axis=1)
        canvas.polygon([_shifted(wing, right=-0.004), _shifted(wing, right=0.004)[::-1]], person.skin * 0.78)


def _tint(person: Person) -> np.ndarray:
    """Slow changes of the skin's colour: cheeks, nose, sockets, beard."""
    base = person.eye_y + person.nose_length
    red = _pair(0.27, base - 0.05, 0.17, 0.15) + 0.6 * _blob(0, base - 0.03, 0.09, 0.08)
    dark = _pair(person.eye_x, person.eye_y + 0.03, 0.14, 0.09)
    beard = 1 / (1 + np.exp(-(_Y - base - 0.07 + 0.55 * np.maximum(np.abs(_X) - 0.3, 0) * -1) / 0.04))
    lips = _blob(0, person.mouth_y, person.mouth_width * 1.15, 0.07)
    tint = 1 - person.blush * red[..., None] * np.array([-0.25, 1.0, 0.8])
    tint = tint * (1 - 0.07 * person.sockets * dark[..., None] * np.array([0.9, 1.0, 0.8]))
    return tint * (1 - person.stubble * (beard * (1 - lips))[..., None] * np.array([0.9, 0.8, 0.7]))


def _surroundings(person: Person) -> np.ndarray:
    """Backdrop, hair, ears, neck, without the face."""
    across = (_X[..., None] + 1) / 2
    canvas = np.asarray(person.backdrop[0] * (1 - across) + person.backdrop[1] * across)
    spots = (
        (_mask([_ellipse((0, -0.12), (person.width * 1.17, 0.68))]), person.hair),
        (_mask([_ellipse((0, person.chin + 0.1), (person.width * 0.62, 0.45))]), person.skin * 0.78),
        (_mask([_ellipse((0, 1.25), (0.95, 0.42))]), person.backdrop[1] * 0.6),
        (_mask([_ellipse((-person.width, person.eye_y + 0.1), (0.07, 0.14))]), person.skin * 0.85),
        (_mask([_ellipse((person.width, person.eye_y + 0.1), (0.07, 0.14))]), person.skin * 0.85),
    )
    for mask, colour in spots:
        canvas = canvas * (1 - mask[..., None]) + colour * mask[..., None]
    return canvas


def _relief(person: Person, expression: Expression, lips: _Lips) -> np.ndarray:
    """Height of the face over the picture plane, in half sides of the picture."""
    middle = (person.chin + person.forehead) / 2 + expression.jaw_drop / 2
    high = (person.chin - person.forehead + expression.jaw_drop) / 2
    round_ = 1 - (_X / (person.width * 1.12)) ** 2 - np.abs((_Y - middle) / (high * 1.15)) ** 2.4
    height = 0.5 * np.sqrt(np.maximum(round_, 0.0))
    base = person.eye_y + person.nose_length
    along = np.clip((_Y - person.eye_y + 0.05) / (person.nose_length + 0.05), 0, 1)
    end = 1 / (1 + np.exp((_Y - base + 0.01) / 0.014))
    ridge = np.exp(-((_X / (0.045 + 0.035 * along)) ** 2)) * along * end
    wings = _pair(person.nose_width * 0.75, base - 0.03, 0.05, 0.045)
    height = height + person.nose_relief * (0.16 * ridge + 0.05 * wings)
    height -= 0.045 * person.sockets * _pair(person.eye_x * 0.95, person.eye_y - 0.03, 0.13, 0.075)
    height += 0.035 * _pair(person.eye_x, person.eye_y, 0.08, 0.045)
    height += 0.03 * _pair(0.25, person.eye_y - person.brow_height - 0.02, 0.16, 0.05)
    height += (0.03 + 0.6 * max(expression.smile, 0)) * _pair(0.28, base - 0.1, 0.13, 0.12)
    rims = _mask([lips.outer_top, lips.outer_bottom[::-1]]) - _mask([lips.inner_top, lips.inner_bottom[::-1]])
    height += (0.045 + 0.05 * max(expression.pout, 0)) * ndimage.gaussian_filter(rims, 3.5)
    height += 0.03 * _blob(expression.shift, person.mouth_y, 0.2, 0.14)
    chin = person.chin + expression.jaw_drop - 0.09
    return height + 0.045 * person.chin_relief * _blob(expression.jaw_shift, chin, 0.1, 0.075)


def _light(relief: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lambert's law under one lamp and a grey sky, (192, 192, 3)."""
    smooth = ndimage.gaussian_filter(relief, 1.2)
    down, right = np.gradient(smooth, 2 / SIZE)
    normal = np.stack([-right, -down, np.ones_like(down)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    lamp = np.array([rng.normal(0, 0.45), rng.normal(-0.45, 0.3), 1.0])
    lamp /= np.linalg.norm(lamp)
    ambient = rng.uniform(0.3, 0.6)
    strength = ambient + (1.12 - ambient) * np.maximum(normal @ lamp, 0)
    colour = 1 + rng.normal(0, 0.04, 3)
    return strength[..., None] * colour * rng.uniform(0.8, 1.15)


def _turn(picture: np.ndarray, relief: np.ndarray, angles: tuple[float, float, float]) -> np.ndarray:
    """Turn the head: every pixel looks up the place of the relief that comes to lie there."""
    pitch, yaw, roll = angles
    if not any(angles):
        return picture
    x = _X * np.cos(roll) + _Y * np.sin(roll)
    y = _Y * np.cos(roll) - _X * np.sin(roll)
    depth = ndimage.gaussian_filter(relief, 2.0) - 0.2  # about the middle of the head
    from_x, from_y = x, y
    for _ in range(3):  # fixed point: the height to look up depends on the place looked up
        height = _look_up(depth, from_x, from_y)
        from_x, from_y = (x - height * np.sin(yaw)) / np.cos(yaw), (y - height * np.sin(pitch)) / np.cos(pitch)
    return np.stack([_look_up(picture[..., c], from_x, from_y) for c in range(3)], axis=-1)


def _look_up(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    places = [(y + 1) * (SIZE / 2) - 0.5, (x + 1) * (SIZE / 2) - 0.5]
    return np.asarray(ndimage.map_coordinates(values, places, order=1, mode="nearest"))
