"""The skin of a face as one texture: a frontal view of the mean face with brows, lips, freckles and pores painted in.

The face model's texture gives the colours, but at 7,000 vertices it has no hairs and soft edges; here are those.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter

from datamodules.synthetic.surfaces import smoothstep
from face.landmarks import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from face.rasterizers.numba_backend import NumbaRasterizer

SKIN_SIZE = 1024  # pixels at full detail; every other length in pixels below is meant at full detail, too
_SKIN_SPAN = 1.80  # decimetres of the frontal view of the mean face that the skin texture shows


@dataclass(frozen=True)
class Complexion:
    """The looks of a person's skin.

    Attributes:
        brows: (3,) colour of the brows.
        brow_strength: 0 none to 1 full.
        lips: (3,) factor that lips have over skin.
        freckles: Number of them.
        blush: Redness of cheeks and nose, 0 to 1.
        liner: Darkness along the upper lashes, 0 to 1.
    """

    brows: np.ndarray
    brow_strength: float
    lips: np.ndarray
    freckles: int
    blush: float
    liner: float


def skin_uv(points: np.ndarray) -> np.ndarray:
    """Where a point of the mean face lies in the skin texture, (V, 2) in [0, 1]."""
    return np.clip(np.stack([0.5 + points[:, 0] / _SKIN_SPAN, 0.5 - points[:, 1] / _SKIN_SPAN], -1), 0, 1)


def paint_skin(
    mean: np.ndarray,
    triangles: np.ndarray,
    colours: np.ndarray,
    looks: Complexion,
    rng: np.random.Generator,
    detail: float = 1.0,
) -> np.ndarray:
    """Paint the frontal view of the mean face.

    Args:
        mean: (V, 3) mean face.
        triangles: (F, 3).
        colours: (V, 3) of the face model's texture.
        looks: Details that the model does not have.
        rng: Places pores, freckles and hairs.
        detail: Resolution, 1 is full.

    Returns:
        (1024 * detail, 1024 * detail, 3) albedo.
    """
    size = round(SKIN_SIZE * detail)
    pixels = skin_uv(mean) * size
    image = _spread_colours(pixels, mean[:, 2], triangles, colours, size)
    marks = pixels[:468]
    image = _lips(image, marks, looks, rng)
    y, x = np.mgrid[:size, :size]
    unit = size / _SKIN_SPAN  # pixels per decimetre
    for cheek in (50, 280):
        image = _glow(image, x, y, marks[cheek], 0.20 * unit, [0.05, -0.045, -0.03], looks.blush)
    image = _glow(image, x, y, marks[4], 0.09 * unit, [0.03, -0.03, -0.02], looks.blush)
    for socket in (*RIGHT_EYE[9:], *LEFT_EYE[9:]):
        image = _glow(image, x, y, marks[socket] + [0, 0.05 * unit], 0.06 * unit, [-0.010, -0.013, -0.009], 1.0)
    image = _freckles(image, marks, unit, looks.freckles, rng)
    image *= 1 + _pores(size, rng)[..., None]
    image = _liner(image, marks, looks.liner)
    return np.clip(_brows(image, marks, looks, rng), 0, 1).astype(np.float32)


def _scale(image: np.ndarray) -> float:
    """Pixels of an image per pixel at full detail."""
    return len(image) / SKIN_SIZE


def _spread_colours(
    pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray, colours: np.ndarray, size: int
) -> np.ndarray:
    """Draw the vertex colours flat, without the blur of lips and brows, and carry the skin on into all holes."""
    projected = np.concatenate([pixels, 10 - depth[:, None]], 1)[None].astype(np.float32)
    drawn = NumbaRasterizer()(torch.from_numpy(projected), torch.from_numpy(triangles), size)
    index, weight = drawn.triangle[0].numpy(), drawn.barycentric[0].numpy()
    image = (colours[triangles[np.maximum(index, 0)]] * weight[..., None]).sum(-2)
    # Lips and brows are painted anew: their surroundings are carried over them first.
    covered = Image.new("L", (size, size), 0)
    for ring in (OUTER_LIPS, RIGHT_BROW, LEFT_BROW, RIGHT_EYE, LEFT_EYE):
        points = pixels[list(ring)]
        middle = points.mean(axis=0)
        grown = middle + (points - middle) * [1.12, 1.35]
        ImageDraw.Draw(covered).polygon([tuple(p) for p in grown], fill=255)
    known = (index >= 0) & (np.asarray(covered) == 0)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    image = image[tuple(nearest)]
    return np.stack([gaussian_filter(image[..., c], 6 * _scale(image)) for c in range(3)], -1)


def _mask(size: int, rings: list[np.ndarray], holes: list[np.ndarray], blur: float) -> np.ndarray:
    """Soft mask of polygons, drawn at double size."""
    canvas = Image.new("L", (2 * size, 2 * size), 0)
    draw = ImageDraw.Draw(canvas)
    for polygons, fill in ((rings, 255), (holes, 0)):
        for ring in polygons:
            draw.polygon([tuple(p) for p in _smooth(ring) * 2], fill=fill)
    mask = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), float) / 255
    return gaussian_filter(mask, blur * _scale(mask))


def _smooth(ring: np.ndarray, times: int = 8) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    before, after, further = np.roll(ring, 1, 0), np.roll(ring, -1, 0), np.roll(ring, -2, 0)
    t = np.linspace(0, 1, times, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (before, ring, after, further))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return curve.reshape(-1, 2)


def _lips(image: np.ndarray, marks: np.ndarray, looks: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Red of the lips up to the inner lips and beyond (they are thin there), with fine furrows across."""
    size, scale = len(image), _scale(image)
    mask = _mask(size, [marks[list(OUTER_LIPS)]], [], 2.5)[..., None]
    furrows = gaussian_filter(rng.standard_normal((size, size)), (9 * scale, 1.2 * scale))
    furrows *= 0.035 / furrows.std()
    inner = _mask(size, [marks[list(INNER_LIPS)]], [], 5.0)[..., None]
    red = image * looks.lips * (1 + furrows[..., None]) * (1 - 0.35 * np.clip(2 * inner, 0, 1))
    return image * (1 - mask) + red * mask


def _glow(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, at: np.ndarray, size: float, change: list[float], strength: float
) -> np.ndarray:
    """Add a soft round change of colour."""
    fall = np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2))
    return image + strength * fall[..., None] * np.array(change)


def _freckles(image: np.ndarray, marks: np.ndarray, unit: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Small brown dots on cheeks and nose."""
    size, scale = len(image), _scale(image)
    dots, reach = np.zeros((size, size)), round(scale)
    strength = (3 * scale / (2 * reach + 1)) ** 2  # one is three pixels wide; where it is narrower, it is paler
    for _ in range(count):
        x, y = marks[[50, 280, 6][rng.integers(3)]] + rng.normal(0, 0.14, 2) * unit
        row, column = int(np.clip(y, 2, size - 3)), int(np.clip(x, 2, size - 3))
        area = slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)
        dots[area] += strength * rng.uniform(0.3, 1.0)
    return image * (1 - np.clip(gaussian_filter(dots, 1.6 * scale), 0, 0.6)[..., None] * np.array([0.35, 0.55, 0.65]))


def _pores(size: int, rng: np.random.Generator) -> np.ndarray:
    """Fine grain and soft patches of skin, (size, size), about +-3 %."""
    fine = gaussian_filter(rng.standard_normal((size, size)), 1.3 * size / SKIN_SIZE)
    patches = gaussian_filter(rng.standard_normal((size, size)), 14 * size / SKIN_SIZE)
    return 0.014 * fine / fine.std() + 0.014 * patches / patches.std()


def _liner(image: np.ndarray, marks: np.ndarray, strength: float) -> np.ndarray:
    """A dark line along the upper lids (the lashes' roots), fainter along the lower ones, and the lids' crease."""
    size, scale = len(image), _scale(image)
    canvas = Image.new("L", (2 * size, 2 * size), 0)
    draw = ImageDraw.Draw(canvas)
    thin, thick = round(7 * scale), round(13 * scale)
    for ring in (RIGHT_EYE, LEFT_EYE):
        curve = [tuple(p) for p in _smooth(marks[list(ring)]) * 2]
        draw.line([*curve, curve[0]], fill=70, width=thin)
        draw.line(curve[: len(curve) // 2 + 1], fill=255, width=thick)
        crease = _smooth(marks[list(ring)])[: len(curve) // 2 + 1] - [0, 19 * scale]
        draw.line([tuple(p) for p in crease[6:-6] * 2], fill=80, width=thin)
    line = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), float) / 255
    return image * (1 - strength * gaussian_filter(line, 1.6 * scale)[..., None])


def _brows(image: np.ndarray, marks: np.ndarray, looks: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Brows hair by hair: rooted in the brow's band, leaning outward, thinner toward the temples."""
    size, scale = len(image), _scale(image)
    canvas = Image.new("L", (2 * size, 2 * size), 0)
    width = max(1, round(3 * scale))
    hairs_per_brow = int(900 * looks.brow_strength * min(1.0, 3 * scale / width))  # thicker ones are fewer
    draw = ImageDraw.Draw(canvas)
    for ring, side in ((RIGHT_BROW, -1), (LEFT_BROW, 1)):
        upper, lower = marks[list(ring[:5])], marks[list(ring[9:4:-1])]  # both from the temple to the nose
        for _ in range(hairs_per_brow):
            t, across = rng.uniform(0, 1), rng.beta(2, 2)
            place = t * 4
            k, rest = min(int(place), 3), place - min(int(place), 3)
            high, low = (b[k] + rest * (b[k + 1] - b[k]) for b in (upper, lower))
            # The share of the mesh's brow that carries hair: pointed at the temple, rounded at the nose.
            band = 0.30 + 0.40 * smoothstep(np.array(t), 0.0, 0.5) - 0.28 * smoothstep(np.array(t), 0.80, 1.0)
            root = low + (high - low) * (0.5 + (across - 0.5) * float(band) * 1.5)
            lean = np.radians(75 - 62 * (1 - t) + rng.normal(0, 9))
            length = scale * rng.uniform(11, 20) * (0.6 + 0.4 * t)
            tip = root + length * np.array([side * np.cos(lean), -np.sin(lean) * (0.35 + 0.65 * (1 - across))])
            ends = [tuple(p) for p in (root * 2, (root + tip) / 2 * 2 + [0, -2 * scale], tip * 2)]
            draw.line(ends, fill=int(rng.uniform(110, 230) * min(1.0, 0.4 + 4 * (1 - t))), width=width)
    hairs = np.asarray(canvas.resize((size, size), Image.Resampling.BOX), float) / 255
    blurred = 0.75 * gaussian_filter(hairs, 0.8 * scale) + 0.45 * gaussian_filter(hairs, 5 * scale)
    soft = np.clip(blurred, 0, 0.92)[..., None]
    return image * (1 - soft) + looks.brows * soft
