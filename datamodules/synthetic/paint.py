"""Textures and the backdrop, painted by rule and lot: skin, brows, lips, iris, strands, teeth, cloth, a room.

All are float32 RGB in [0, 1]; a texture is multiplied by the tint of the surface that wears it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

from datamodules.synthetic.surfaces import smoothstep
from face.landmarks import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from face.rasterizer import NumbaRasterizer

SKIN_SIZE = 1024
_SKIN_SPAN = 1.80  # decimetres of the frontal view of the mean face that the skin texture shows
TILE = 512


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
    mean: np.ndarray, triangles: np.ndarray, colours: np.ndarray, looks: Complexion, rng: np.random.Generator
) -> np.ndarray:
    """Paint the frontal view of the mean face.

    Args:
        mean: (V, 3) mean face.
        triangles: (F, 3).
        colours: (V, 3) of the face model's texture.
        looks: Details that the model does not have.
        rng: Places pores, freckles and hairs.

    Returns:
        (1024, 1024, 3) albedo.
    """
    pixels = skin_uv(mean) * SKIN_SIZE
    image = _spread_colours(pixels, mean[:, 2], triangles, colours)
    marks = pixels[:468]
    image = _lips(image, marks, looks, rng)
    y, x = np.mgrid[:SKIN_SIZE, :SKIN_SIZE]
    unit = SKIN_SIZE / _SKIN_SPAN  # pixels per decimetre
    for cheek in (50, 280):
        image = _glow(image, x, y, marks[cheek], 0.20 * unit, [0.05, -0.045, -0.03], looks.blush)
    image = _glow(image, x, y, marks[4], 0.09 * unit, [0.03, -0.03, -0.02], looks.blush)
    for socket in (*RIGHT_EYE[9:], *LEFT_EYE[9:]):
        image = _glow(image, x, y, marks[socket] + [0, 0.05 * unit], 0.06 * unit, [-0.010, -0.013, -0.009], 1.0)
    image = _freckles(image, marks, unit, looks.freckles, rng)
    image *= 1 + _pores(rng)[..., None]
    image = _liner(image, marks, looks.liner)
    return np.clip(_brows(image, marks, looks, rng), 0, 1).astype(np.float32)


def _spread_colours(pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Draw the vertex colours flat, without the blur of lips and brows, and carry the skin on into all holes."""
    projected = np.concatenate([pixels, 10 - depth[:, None]], 1)[None].astype(np.float32)
    drawn = NumbaRasterizer()(torch.from_numpy(projected), torch.from_numpy(triangles), SKIN_SIZE)
    index, weight = drawn.triangle[0].numpy(), drawn.barycentric[0].numpy()
    image = (colours[triangles[np.maximum(index, 0)]] * weight[..., None]).sum(-2)
    # Lips and brows are painted anew: their surroundings are carried over them first.
    covered = Image.new("L", (SKIN_SIZE, SKIN_SIZE), 0)
    for ring in (OUTER_LIPS, RIGHT_BROW[:5] + RIGHT_BROW[5:], LEFT_BROW[:5] + LEFT_BROW[5:], RIGHT_EYE, LEFT_EYE):
        points = pixels[list(ring)]
        middle = points.mean(axis=0)
        grown = middle + (points - middle) * [1.12, 1.35]
        ImageDraw.Draw(covered).polygon([tuple(p) for p in grown], fill=255)
    known = (index >= 0) & (np.asarray(covered) == 0)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    image = image[tuple(nearest)]
    return np.stack([gaussian_filter(image[..., c], 6) for c in range(3)], -1)


def _mask(rings: list[np.ndarray], holes: list[np.ndarray], blur: float) -> np.ndarray:
    """Soft mask of polygons, drawn at double size."""
    canvas = Image.new("L", (2 * SKIN_SIZE, 2 * SKIN_SIZE), 0)
    draw = ImageDraw.Draw(canvas)
    for polygons, fill in ((rings, 255), (holes, 0)):
        for ring in polygons:
            draw.polygon([tuple(p) for p in _smooth(ring) * 2], fill=fill)
    mask = np.asarray(canvas.resize((SKIN_SIZE, SKIN_SIZE), Image.Resampling.BOX), float) / 255
    return gaussian_filter(mask, blur)


def _smooth(ring: np.ndarray, times: int = 8) -> np.ndarray:
    """A closed Catmull-Rom curve through the points."""
    before, after, further = np.roll(ring, 1, 0), np.roll(ring, -1, 0), np.roll(ring, -2, 0)
    t = np.linspace(0, 1, times, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None] for p in (before, ring, after, further))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return curve.reshape(-1, 2)


def _lips(image: np.ndarray, marks: np.ndarray, looks: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Red of the lips up to the inner lips and beyond (they are thin there), with fine furrows across."""
    mask = _mask([marks[list(OUTER_LIPS)]], [], 2.5)[..., None]
    furrows = gaussian_filter(rng.standard_normal((SKIN_SIZE, SKIN_SIZE)), (9, 1.2))
    furrows *= 0.035 / furrows.std()
    inner = _mask([marks[list(INNER_LIPS)]], [], 5.0)[..., None]
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
    dots = np.zeros((SKIN_SIZE, SKIN_SIZE))
    for _ in range(count):
        x, y = marks[[50, 280, 6][rng.integers(3)]] + rng.normal(0, 0.14, 2) * unit
        row, column = int(np.clip(y, 2, SKIN_SIZE - 3)), int(np.clip(x, 2, SKIN_SIZE - 3))
        dots[row - 1 : row + 2, column - 1 : column + 2] += rng.uniform(0.3, 1.0)
    return image * (1 - np.clip(gaussian_filter(dots, 1.6), 0, 0.6)[..., None] * np.array([0.35, 0.55, 0.65]))


def _pores(rng: np.random.Generator) -> np.ndarray:
    """Fine grain and soft patches of skin, (1024, 1024), about +-3 %."""
    fine = gaussian_filter(rng.standard_normal((SKIN_SIZE, SKIN_SIZE)), 1.3)
    patches = gaussian_filter(rng.standard_normal((SKIN_SIZE, SKIN_SIZE)), 14)
    return 0.014 * fine / fine.std() + 0.014 * patches / patches.std()


def _liner(image: np.ndarray, marks: np.ndarray, strength: float) -> np.ndarray:
    """A dark line along the upper lids (the lashes' roots), fainter along the lower ones, and the lids' crease."""
    canvas = Image.new("L", (2 * SKIN_SIZE, 2 * SKIN_SIZE), 0)
    draw = ImageDraw.Draw(canvas)
    for ring in (RIGHT_EYE, LEFT_EYE):
        curve = [tuple(p) for p in _smooth(marks[list(ring)]) * 2]
        draw.line([*curve, curve[0]], fill=70, width=7)
        draw.line(curve[: len(curve) // 2 + 1], fill=255, width=13)
        crease = _smooth(marks[list(ring)])[: len(curve) // 2 + 1] - [0, 19]
        draw.line([tuple(p) for p in crease[6:-6] * 2], fill=80, width=7)
    line = np.asarray(canvas.resize((SKIN_SIZE, SKIN_SIZE), Image.Resampling.BOX), float) / 255
    return image * (1 - strength * gaussian_filter(line, 1.6)[..., None])


def _brows(image: np.ndarray, marks: np.ndarray, looks: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Brows hair by hair: rooted in the brow's band, leaning outward, thinner toward the temples."""
    scale = 2
    canvas = Image.new("L", (scale * SKIN_SIZE, scale * SKIN_SIZE), 0)
    draw = ImageDraw.Draw(canvas)
    for ring, side in ((RIGHT_BROW, -1), (LEFT_BROW, 1)):
        upper, lower = marks[list(ring[:5])], marks[list(ring[9:4:-1])]  # both from the temple to the nose
        for _ in range(int(900 * looks.brow_strength)):
            t, across = rng.uniform(0, 1), rng.beta(2, 2)
            place = t * 4
            k, rest = min(int(place), 3), place - min(int(place), 3)
            high, low = (b[k] + rest * (b[k + 1] - b[k]) for b in (upper, lower))
            band = 0.30 + 0.42 * smoothstep(np.array(t), 0.0, 0.5)  # of the mesh's brow that carries hair
            root = low + (high - low) * (0.5 + (across - 0.5) * float(band) * 1.5)
            lean = np.radians(75 - 62 * (1 - t) + rng.normal(0, 9))
            length = rng.uniform(11, 20) * (0.6 + 0.4 * t)
            tip = root + length * np.array([side * np.cos(lean), -np.sin(lean) * (0.35 + 0.65 * (1 - across))])
            ends = [tuple(p) for p in (root * scale, (root + tip) / 2 * scale + [0, -2], tip * scale)]
            draw.line(ends, fill=int(rng.uniform(110, 230)), width=3)
    hairs = np.asarray(canvas.resize((SKIN_SIZE, SKIN_SIZE), Image.Resampling.BOX), float) / 255
    soft = np.clip(0.75 * gaussian_filter(hairs, 0.8) + 0.45 * gaussian_filter(hairs, 5), 0, 0.92)[..., None]
    return image * (1 - soft) + looks.brows * soft


def paint_strands(rng: np.random.Generator) -> np.ndarray:
    """Hair from root (top) to tip (bottom), (512, 128, 3), about 0.6 on average."""
    shape = TILE, TILE // 4  # as wide as it is seen: finer strands would flicker
    fine = gaussian_filter(rng.standard_normal(shape), (55, 0.8), mode="nearest")
    broad = gaussian_filter(rng.standard_normal(shape), (90, 3), mode="nearest")
    value = np.clip(0.80 + 0.16 * fine / fine.std() + 0.11 * broad / broad.std(), 0.3, 1.3) / 1.3
    return np.repeat(value[..., None], 3, 2).astype(np.float32)


def paint_pores(rng: np.random.Generator) -> np.ndarray:
    """Plain skin for neck and ears, (512, 512, 3), just below 1."""
    grain = gaussian_filter(rng.standard_normal((TILE, TILE)), 1.5)
    patches = gaussian_filter(rng.standard_normal((TILE, TILE)), 20)
    value = 0.95 + 0.012 * grain / grain.std() + 0.012 * patches / patches.std()
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, 2).astype(np.float32)


def paint_knit(rng: np.random.Generator) -> np.ndarray:
    """Fine ribbed cloth, (512, 512, 3)."""
    y, x = np.mgrid[:TILE, :TILE]
    rib = np.sin(2 * np.pi * x / 4.0) * 0.035 + np.sin(2 * np.pi * y / 4.0 + np.pi * (x // 4 % 2)) * 0.025
    wear = gaussian_filter(rng.standard_normal((TILE, TILE)), 12)
    value = 0.90 + rib + 0.025 * wear / wear.std()
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, 2).astype(np.float32)


def paint_eye(iris: np.ndarray, rng: np.random.Generator, tile: float) -> np.ndarray:
    """An eye seen along its gaze, (512, 512, 3): sclera, limbus, iris fibres, pupil.

    Args:
        iris: (3,) colour.
        rng: Places fibres and veins.
        tile: Side of the texture in decimetres.
    """
    y, x = (np.mgrid[:TILE, :TILE] + 0.5 - TILE / 2) * (tile / TILE)
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    size, pupil = 0.063, 0.025  # decimetres: 12.6 and 5 mm, a touch larger than life
    fibres = gaussian_filter(rng.standard_normal((64, 720)), (10, 1.2), mode=("nearest", "wrap"))
    ring = np.clip((radius - pupil) / (size - pupil), 0, 1)
    where = (ring * 63).astype(int), ((turn + np.pi) / (2 * np.pi) * 719).astype(int)
    texture = 1 + 0.30 * fibres[where] / fibres.std() * 0.6
    light = 0.75 + 0.55 * ring * (1 - ring) * 2 + 0.25 * np.clip(y / size, -1, 1)  # light gathers opposite the window
    colour = iris * (texture * light)[..., None]
    colour *= 1 - 0.65 * smoothstep(ring, 0.78, 1.0)[..., None]
    white = np.array([0.93, 0.91, 0.90]) - 0.12 * smoothstep(radius, 0.08, 0.2)[..., None] * np.array([0.3, 0.8, 0.9])
    veins = gaussian_filter(rng.standard_normal((TILE, TILE)), (1.5, 9))
    white = white - 0.02 * np.clip(veins / veins.std() - 1, 0, 2)[..., None] * np.array([0, 1, 1])
    soft = 1.5 * tile / TILE
    image = white + (colour - white) * smoothstep(radius, size + soft, size - soft)[..., None]
    return np.clip(image * smoothstep(radius, pupil - soft, pupil + soft)[..., None] + 0.015, 0, 1).astype(np.float32)


def paint_teeth(upper: bool, rng: np.random.Generator) -> np.ndarray:
    """A row of teeth, (512, 512, 3): gums above (or below), teeth with rounded ends, dark gaps."""
    widths = np.array([8.5, 6.6, 7.6, 7.0, 6.8, 9.5]) if upper else np.array([5.4, 5.9, 6.9, 7.0, 7.0, 10.0])
    edges = np.concatenate([-np.cumsum(widths)[::-1], [0], np.cumsum(widths)]) / widths.sum()
    x, v = np.meshgrid(np.linspace(-1, 1, TILE), np.linspace(0, 1, TILE))
    v = v if upper else 1 - v  # 0 gum, 1 biting edge
    tooth = np.clip(np.searchsorted(edges, x[0], side="right") - 1, 0, len(edges) - 2)
    left, right = edges[tooth], edges[tooth + 1]
    across = np.abs(2 * (x - left) / (right - left) - 1)
    length = (1 - 0.06 * rng.random(len(edges))[tooth]) * np.where(np.abs(x) > 0.5, 0.93, 1.0)
    inside = smoothstep(across, 1.0, 0.90) * smoothstep(v + 0.10 * across**4, length + 0.01, length - 0.015)
    white = (0.90 + 0.05 * rng.random(len(edges))[tooth]) * (1 - 0.10 * across**2) * (0.90 + 0.10 * v)
    colour = white[..., None] * np.array([1.0, 0.975, 0.925])
    gum = smoothstep(v - 0.06 * across**2, 0.34, 0.28)[..., None]
    colour = colour * (1 - gum) + np.array([0.72, 0.42, 0.42]) * gum
    gap = np.array([0.16, 0.06, 0.06])
    inside = np.maximum(inside, gum[..., 0])[..., None]
    return np.clip(gap + (colour - gap) * inside, 0, 1).astype(np.float32)


def paint_room(size: int, rng: np.random.Generator) -> np.ndarray:
    """A room out of focus behind the person, (size, size, 3): a wall, a window or a picture, a shelf, a plant."""
    y, x = np.mgrid[:size, :size] / size
    wall = np.array([[0.74, 0.72, 0.68], [0.62, 0.68, 0.72], [0.70, 0.74, 0.68], [0.76, 0.70, 0.66]])[rng.integers(4)]
    side = 1 if rng.random() < 0.5 else -1
    light = 0.90 - 0.28 * y + 0.20 * side * (x - 0.5)
    room = wall * light[..., None] * rng.uniform(0.80, 1.0)
    canvas = Image.fromarray((np.clip(room, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)

    def box(x0: float, y0: float, x1: float, y1: float, colour: tuple[float, float, float]) -> None:
        left, right = (x0, x1) if side > 0 else (1 - x1, 1 - x0)
        area = [round(size * value) for value in (left, y0, right, y1)]
        draw.rectangle(area, fill=(round(255 * colour[0]), round(255 * colour[1]), round(255 * colour[2])))

    box(0.70, 0.05, 0.98, 0.52, (0.86, 0.84, 0.78))  # a window with its bars
    box(0.72, 0.07, 0.83, 0.50, (0.93, 0.95, 0.96))
    box(0.85, 0.07, 0.96, 0.50, (0.91, 0.94, 0.97))
    box(0.02, 0.40, 0.27, 0.43, (0.42, 0.32, 0.24))  # a shelf with books
    place = 0.04
    while place < 0.24:
        width, height = rng.uniform(0.012, 0.028), rng.uniform(0.10, 0.17)
        shade = rng.uniform(0.35, 0.75)
        tone = np.clip(shade * (1 + rng.normal(0, 0.22, 3)), 0, 1)
        box(place, 0.40 - height, place + width, 0.40, (tone[0], tone[1], tone[2]))
        place += width + 0.004
    box(0.06, 0.13, 0.20, 0.20, (0.80, 0.76, 0.66))  # a small picture above
    for _ in range(26):  # a plant
        cx, cy = 0.90 + rng.normal(0, 0.05), 0.72 + rng.normal(0, 0.07)
        leaf = rng.uniform(0.015, 0.035)
        green = rng.uniform(0.25, 0.5)
        box(cx - leaf / 2, cy - leaf, cx + leaf / 2, cy + leaf, (0.55 * green, green, 0.45 * green))
    sharp = np.asarray(canvas, np.float32) / 255
    blurred = np.stack([gaussian_filter(sharp[..., c], size * 0.014) for c in range(3)], -1)
    grain = zoom(rng.standard_normal((size // 2, size // 2)), 2, order=1)[:size, :size]
    return np.clip(blurred + 0.004 * grain[..., None], 0, 1).astype(np.float32)
