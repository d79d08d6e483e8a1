"""Textures and the backdrop, painted by rule and lot: iris, strands, teeth, cloth, a room. The face has `skin`.

All are float32 RGB in [0, 1]; a texture is multiplied by the tint of the surface that wears it.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, zoom

from datamodules.synthetic.surfaces import smoothstep

TILE = 512  # pixels of a texture at full detail; every other length in pixels below is meant at full detail, too


def paint_strands(rng: np.random.Generator, size: int = TILE) -> np.ndarray:
    """Hair from root (top) to tip (bottom), (size, size / 4, 3), about 0.6 on average."""
    shape, scale = (size, size // 4), size / TILE  # as wide as it is seen: finer strands would flicker
    fine = gaussian_filter(rng.standard_normal(shape), (55 * scale, 0.8 * scale), mode="nearest")
    broad = gaussian_filter(rng.standard_normal(shape), (90 * scale, 3 * scale), mode="nearest")
    value = np.clip(0.80 + 0.16 * fine / fine.std() + 0.11 * broad / broad.std(), 0.3, 1.3) / 1.3
    return np.repeat(value[..., None], 3, 2).astype(np.float32)


def paint_pores(rng: np.random.Generator, size: int = TILE) -> np.ndarray:
    """Plain skin for neck and ears, (size, size, 3), just below 1."""
    grain = gaussian_filter(rng.standard_normal((size, size)), 1.5 * size / TILE)
    patches = gaussian_filter(rng.standard_normal((size, size)), 20 * size / TILE)
    value = 0.95 + 0.012 * grain / grain.std() + 0.012 * patches / patches.std()
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, 2).astype(np.float32)


def paint_knit(rng: np.random.Generator) -> np.ndarray:
    """Fine ribbed cloth, (512, 512, 3)."""
    y, x = np.mgrid[:TILE, :TILE]
    rib = np.sin(2 * np.pi * x / 4.0) * 0.035 + np.sin(2 * np.pi * y / 4.0 + np.pi * (x // 4 % 2)) * 0.025
    wear = gaussian_filter(rng.standard_normal((TILE, TILE)), 12)
    value = 0.90 + rib + 0.025 * wear / wear.std()
    return np.repeat(np.clip(value, 0, 1)[..., None], 3, 2).astype(np.float32)


def paint_eye(iris: np.ndarray, rng: np.random.Generator, tile: float, pixels: int = TILE) -> np.ndarray:
    """An eye seen along its gaze, (pixels, pixels, 3): sclera, limbus, iris fibres, pupil.

    Args:
        iris: (3,) colour.
        rng: Places fibres and veins.
        tile: Side of the texture in decimetres.
        pixels: Side of the texture.
    """
    y, x = (np.mgrid[:pixels, :pixels] + 0.5 - pixels / 2) * (tile / pixels)
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
    veins = gaussian_filter(rng.standard_normal((pixels, pixels)), (1.5 * pixels / TILE, 9 * pixels / TILE))
    white = white - 0.02 * np.clip(veins / veins.std() - 1, 0, 2)[..., None] * np.array([0, 1, 1])
    soft = 1.5 * tile / pixels
    image = white + (colour - white) * smoothstep(radius, size + soft, size - soft)[..., None]
    return np.clip(image * smoothstep(radius, pupil - soft, pupil + soft)[..., None] + 0.015, 0, 1).astype(np.float32)


def paint_teeth(upper: bool, rng: np.random.Generator, size: int = TILE) -> np.ndarray:
    """A row of teeth, (size, size, 3): gums above (or below), teeth with rounded ends, dark gaps."""
    widths = np.array([8.5, 6.6, 7.6, 7.0, 6.8, 9.5]) if upper else np.array([5.4, 5.9, 6.9, 7.0, 7.0, 10.0])
    edges = np.concatenate([-np.cumsum(widths)[::-1], [0], np.cumsum(widths)]) / widths.sum()
    x, v = np.meshgrid(np.linspace(-1, 1, size), np.linspace(0, 1, size))
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
