"""Paint portraits of drawn-by-lot people: what the embedded face model is made from.

A portrait is a flat painting of the colours (skin, lips, eyes, brows, hair) times the light on a relief of the face,
so that the landmark network sees a face with depth while the unlit colours stay known. Nothing here is photographed.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from face.portrait_curves import ALONG, Lips, band, between, brow, ellipse, lids, lips, outline, shifted
from face.portrait_relief import SIZE, X, Y, light, pair, relief, resting_relief, spot, turn
from face.random_faces import Expression, Person

_OVERSAMPLING = 3  # polygons are drawn that much larger and averaged
_EYEBALL, _TEETH = np.array([0.93, 0.91, 0.89]), np.array([0.92, 0.90, 0.85])
_THROAT, _TONGUE = np.array([0.20, 0.06, 0.06]), np.array([0.60, 0.25, 0.25])


class Painter:
    """Paints one person; what all portraits of the person share is painted once.

    Args:
        person: who.
    """

    def __init__(self, person: Person) -> None:
        self._person = person
        self._tint = _tint(person)
        self._surroundings = _surroundings(person)
        self._relief = resting_relief(person)

    def albedo(self) -> np.ndarray:
        """Unlit colours of the neutral, frontal face, float32 (192, 192, 3) in [0, 1].

        The skin goes on outside of the outline and in the eye openings, the lips meet without a seam, and glasses and
        the hair of the head are left out.
        """
        person, neutral = self._person, Expression()
        canvas = _Canvas(person.colours.skin)
        _paint_skin(canvas, person, neutral, lips(person, neutral))
        return np.clip(canvas.pixels(0.8) * self._tint, 0, 1)

    def portrait(self, expression: Expression, rng: np.random.Generator) -> np.ndarray:
        """The lit and turned picture, float32 (192, 192, 3) in [0, 1], as the landmark network gets it.

        Args:
            expression: in which state of the face and of the head.
            rng: lots of the light and of the sharpness.
        """
        person = self._person
        mouth = lips(person, expression)
        canvas = _Canvas(person.colours.skin)
        _paint_skin(canvas, person, expression, mouth)
        _paint_eyes(canvas, person, expression)
        _paint_mouth(canvas, person, expression, mouth)
        face = _cover([(outline(person, expression), 255)])[..., None]
        picture = canvas.pixels(0.6) * self._tint * face + self._surroundings * (1 - face)
        picture = self._in_front(picture)
        lip_cover = _cover([(between(mouth.outer_top, mouth.outer_bottom), 255), (_opening(mouth), 0)])
        heights = relief(person, expression, self._relief, mouth, lip_cover)
        picture = turn(picture * light(heights, rng), heights, expression.angles)
        sigma = 0.3 + rng.exponential(0.4)
        return np.clip(ndimage.gaussian_filter(picture, (sigma, sigma, 0)), 0, 1)

    def _in_front(self, picture: np.ndarray) -> np.ndarray:
        """Hair over the forehead, glasses."""
        eyes, hair = self._person.eyes, self._person.colours.hair
        locks = [(between(shifted(line, down=-0.6), line), 255) for line in _hairlines(self._person)]
        if locks:
            cover = (_cover(locks) * _cover([(_hair(self._person), 255)]))[..., None]
            picture = picture * (1 - cover) + hair.astype(np.float32) * cover
        if eyes.glasses > 0:
            radius, rims = eyes.glasses, []
            for side in (-1, 1):
                rims.append((ellipse(side * eyes.x, eyes.y + 0.02, radius, radius * 0.8), 230))
                rims.append((ellipse(side * eyes.x, eyes.y + 0.02, radius - 0.016, radius * 0.8 - 0.016), 25))
            picture = picture * (1 - _cover(rims)[..., None])
        return picture


class _Canvas:
    """Polygons in drawing coordinates on an oversampled picture of one colour."""

    def __init__(self, colour: np.ndarray) -> None:
        self._image = Image.new("RGB", (SIZE * _OVERSAMPLING, SIZE * _OVERSAMPLING), _rgb(colour))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: np.ndarray, colour: np.ndarray) -> None:
        self._draw.polygon(_flat(points, _OVERSAMPLING), fill=_rgb(colour))

    def pixels(self, blur: float) -> np.ndarray:
        """float32 (192, 192, 3) in [0, 1], blurred by so many pixels."""
        small = self._image.reduce(_OVERSAMPLING).filter(ImageFilter.GaussianBlur(blur))
        return np.asarray(small, np.float32) / np.float32(255)


def _flat(points: np.ndarray, oversampling: int) -> list[float]:
    return ((points + 1) * (SIZE * oversampling / 2)).ravel().tolist()


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (np.clip(colour, 0, 1) * 255).round().astype(int).tolist()
    return red, green, blue


def _cover(parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """Share of every pixel under polygons drawn one over the other, each with its opacity 0-255, float32."""
    image = Image.new("L", (SIZE * 2, SIZE * 2))
    pen = ImageDraw.Draw(image)
    for points, opacity in parts:
        pen.polygon(_flat(points, 2), fill=opacity)
    return np.asarray(image.reduce(2), np.float32) / np.float32(255)


def _opening(mouth: Lips) -> np.ndarray:
    return between(mouth.inner_top, mouth.inner_bottom)


def _hair(person: Person) -> np.ndarray:
    return ellipse(0, -0.12, person.head.width * person.head.hair_width, 0.64 + 0.06 * person.head.hair_width)


def _hairlines(person: Person) -> list[np.ndarray]:
    """Lower ends of the hair over the forehead and at the temples."""
    head, lines = person.head, []
    if head.fringe > 0:
        y = head.forehead + 0.35 * head.fringe + 0.12 * ALONG**2 + head.parting * ALONG
        lines.append(np.stack([head.width * 1.2 * ALONG, y], axis=1))
    for side, share in zip((-1, 1), head.strands, strict=True):
        if share > 0:
            x = side * head.width * (1.1 - share * (1 + ALONG))
            lines.append(np.stack([x, person.eyes.y + 0.25 - 0.5 * (1 + ALONG) ** 2], axis=1))
    return lines


def _paint_skin(canvas: _Canvas, person: Person, expression: Expression, mouth: Lips) -> None:
    """Brows, nostrils and closed lips on bare skin."""
    skin, hair, strength = person.colours.skin, person.colours.hair, person.colours.brow_strength
    for side in (-1, 1):
        canvas.polygon(brow(person, expression, side), skin * (1 - strength) + np.minimum(hair, skin) * 0.6 * strength)
    nose, end = person.nose, person.eyes.y + person.nose.length
    if person.head.moustache > 0:
        thick = 0.015 + 0.02 * person.head.moustache
        canvas.polygon(band(shifted(mouth.outer_top, down=-thick), thick, thick * 0.8), np.minimum(hair, skin) * 0.7)
    for side in (-1, 1):
        x = nose.bend + side * nose.half_width
        canvas.polygon(
            ellipse(x - side * nose.half_width * 0.53, end + 0.012, 0.026 * nose.nostrils, 0.013 * nose.nostrils),
            skin * 0.38,
        )
        wing = np.stack([x + side * 0.004 * ALONG**2, end - 0.02 + 0.035 * ALONG], axis=1)
        canvas.polygon(between(shifted(wing, right=-0.004), shifted(wing, right=0.004)), skin * 0.78)
    canvas.polygon(between(mouth.outer_top, mouth.outer_bottom), person.colours.lips)


def _paint_mouth(canvas: _Canvas, person: Person, expression: Expression, mouth: Lips) -> None:
    """The dark of the mouth, tongue and teeth, or the seam of shut lips."""
    if mouth.gap[:, 1].max() < 0.008:
        canvas.polygon(band(mouth.inner_top, 0.004, 0.004), person.colours.lips * 0.45)
        return
    canvas.polygon(_opening(mouth), _THROAT)
    for share, colour, from_top, reach in (
        (expression.tongue, _TONGUE, False, 0.6),
        (expression.lower_teeth, _TEETH * 0.9, False, 0.7),
        (expression.upper_teeth, _TEETH, True, 0.8),
    ):
        inside = np.abs(ALONG) < reach
        start, end = (mouth.inner_top, share) if from_top else (mouth.inner_bottom, -share)
        if share > 0.05:
            canvas.polygon(between(start[inside], (start + end * mouth.gap)[inside]), colour)


def _paint_eyes(canvas: _Canvas, person: Person, expression: Expression) -> None:
    eyes, skin = person.eyes, person.colours.skin
    for side, opening in zip((-1, 1), expression.lids, strict=True):
        upper, lower = lids(person, opening, side)
        lid = skin * 0.88
        canvas.polygon(between(shifted(upper, down=-0.02), shifted(lower, down=0.008)), lid)
        canvas.polygon(between(upper, lower), _EYEBALL)
        radius = eyes.half_width * 0.44
        x = side * eyes.x + expression.gaze[0] * eyes.half_width * 0.5
        y = eyes.y + side * eyes.unequal - 0.006 + expression.gaze[1] * 0.03
        canvas.polygon(ellipse(x, y, radius, radius), person.colours.iris)
        canvas.polygon(ellipse(x, y, radius * 0.5, radius * 0.5), np.zeros(3))
        # The lids go over the eyeball: what lies outside of the opening is skin again.
        canvas.polygon(between(shifted(upper, down=-0.05 - radius), upper), lid)
        canvas.polygon(between(lower, shifted(lower, down=0.03 + radius)), skin * 0.97)
        canvas.polygon(band(upper, 0.011, 0.002), skin * 0.2)
        canvas.polygon(band(shifted(upper, down=-eyes.crease), 0.003, 0.003), skin * 0.7)
        canvas.polygon(band(lower, 0, 0.004), skin * 0.65)
        canvas.polygon(band(shifted(lower, down=0.045), 0.003 * eyes.bags, 0.003 * eyes.bags), skin * 0.85)


def _tint(person: Person) -> np.ndarray:
    """Slow changes of the skin's colour as a factor, float32 (192, 192, 3): blotches, cheeks, sockets, beard."""
    eyes, end, colours = person.eyes, person.eyes.y + person.nose.length, person.colours
    red = pair(0.27, end - 0.05, 0.17, 0.15) + 0.6 * spot(0, end - 0.03, 0.09, 0.08)
    dark = pair(eyes.x, eyes.y + 0.03, 0.14, 0.09)
    # A beard grows below a line from the ears over the cheeks to the nose, and not on the lips.
    line = end + 0.07 - 0.45 * np.maximum(np.abs(X) - 0.25, 0)
    bearded = 1 / (1 + np.exp(np.clip((line - Y) / 0.04, -40, 40)))
    bearded = bearded * (1 - spot(0, person.mouth.y, person.mouth.half_width * 1.15, 0.07))
    zoom = SIZE / colours.blotches.shape[0]
    tint = 1 + ndimage.zoom(colours.blotches, (zoom, zoom, 1), order=3, mode="nearest", grid_mode=True)
    tint -= colours.blush * red[..., None] * np.array([-0.25, 1.0, 0.8])
    tint *= 1 - 0.07 * max(eyes.sockets, 0.0) * dark[..., None] * np.array([0.9, 1.0, 0.8])
    growth = min(colours.stubble + 0.8 * person.head.beard, 0.9)
    return (tint * (1 - growth * bearded[..., None] * (1 - 0.4 * colours.hair))).astype(np.float32)


def _surroundings(person: Person) -> np.ndarray:
    """Backdrop, hair, shoulders, neck and ears, without the face, float32 (192, 192, 3)."""
    head, colours = person.head, person.colours
    canvas = _Canvas(colours.backdrop[0])
    for step in np.linspace(-1, 1, 24):
        share = (step + 1) / 2
        stripe = np.array([[step, -1], [1, -1], [1, 1], [step, 1]])
        canvas.polygon(stripe, colours.backdrop[0] * (1 - share) + colours.backdrop[1] * share)
    canvas.polygon(_hair(person), colours.hair)
    canvas.polygon(ellipse(0, head.chin + 0.1, head.width * 0.62, 0.45), colours.skin * 0.78)
    canvas.polygon(ellipse(0, 1.25, 0.95, 0.42), colours.backdrop[1] * 0.6)
    for side in (-1, 1):
        canvas.polygon(ellipse(side * head.width, person.eyes.y + 0.1, 0.07, 0.14), colours.skin * 0.85)
    return canvas.pixels(1.0)
