"""Hair as curtains of strands that grow out of a parting, or short hair that grows out of its line.

A curtain is a grid: columns are strands, rows run from root to tip. Strands lie in clumps of different thickness and
length, which breaks the outline and gives the highlight its zigzag.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from datamodules.synthetic.body import on_skull
from datamodules.synthetic.surfaces import Surface, grid_tangent, grid_triangles, grid_uv, smoothstep

STYLES = ("bob", "long", "short")


@dataclass(frozen=True)
class Haircut:
    """What a haircut is made of.

    Attributes:
        style: One of `STYLES`.
        colour: (3,) RGB in [0, 1].
        parting: x of the parting, decimetres.
        volume: How far the hair stands off the skull, 1 on average.
        wave: How wavy it is, 0 straight.
    """

    style: str
    colour: np.ndarray
    parting: float
    volume: float
    wave: float


def grow(haircut: Haircut, rng: np.random.Generator) -> list[Surface]:
    """Grow the hair of a person.

    Args:
        haircut: How.
        rng: Decides the clumps.

    Returns:
        Surfaces in head space.
    """
    if haircut.style == "short":
        return _short(haircut, rng)
    surfaces = []
    for side in (-1, 1):
        curtain = _curtain(haircut, side, rng)
        surfaces += [curtain, curtain.inside_out(0.35)]
    return surfaces


def _clumps(count: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise across strands, (count,), about -1 to 1."""
    noise = gaussian_filter1d(rng.standard_normal(count), width, mode="nearest")
    return noise / max(np.abs(noise).max(), 1e-9)


def _slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Great circle between unit vectors (n, 3) at shares (m, n) of the way, (m, n, 3)."""
    angle = np.arccos(np.clip((start * end).sum(-1), -1, 1))[None, :, None]
    t = share[..., None]
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.maximum(np.sin(angle), 1e-6)


def _curtain(haircut: Haircut, side: int, rng: np.random.Generator) -> Surface:
    """One side of parted hair: from the parting over the skull to the level of the eyes, then hanging down."""
    rows, columns = 34, 72
    across = np.linspace(0, 1, columns)  # 0 the strand that frames the face, 1 the middle of the back
    along = np.linspace(0, 1, rows)[:, None]
    bend = 0.52  # share of the strand that lies on the skull
    # Roots: along the parting from the hairline over the top, then all at the crown.
    elevation = np.radians(33 + (118 - 33) * np.clip(across / 0.55, 0, 1))
    roots = np.stack([np.full(columns, haircut.parting / 0.78), np.sin(elevation), np.cos(elevation)], -1)
    roots /= np.linalg.norm(roots, axis=-1, keepdims=True)
    azimuth = np.radians(66 + (180 - 66) * across**0.9)
    level = np.radians(-4.0 - 6.0 * across)
    ends = np.stack([side * np.sin(azimuth) * np.cos(level), np.sin(level), np.cos(azimuth) * np.cos(level)], -1)
    lying = np.clip(along / bend, 0, 1) + np.zeros(columns)
    direction = _slerp(roots, ends, lying)
    clump = 0.65 * _clumps(columns, 2.2, rng) + 0.35 * _clumps(columns, 0.9, rng)
    edge = smoothstep(across, 0.0, 0.10)  # the frame of the face lies on the skin
    lift = 0.035 + haircut.volume * (0.075 + 0.06 * across) * np.sin(np.pi / 2 * np.clip(along / 0.35, 0, 1))
    thickness = lift * (0.30 + 0.70 * edge) + 0.020 * clump * smoothstep(along, 0.05, 0.5)
    points = on_skull(direction, thickness)
    # Hanging part: straight down from the bend, a little out, then in at the tips.
    hang = np.clip((along - bend) / (1 - bend), 0, 1)
    tip = (-0.72 if haircut.style == "bob" else -1.75) + 0.05 * clump + 0.05 * (1 - across)
    length = on_skull(ends, np.full(columns, 0.1))[:, 1] - tip
    points[..., 1] -= hang * length
    outward = 0.10 * np.sin(np.pi * hang) * haircut.volume - 0.17 * hang**3
    ripple = haircut.wave * 0.035 * np.sin(9 * hang + 5 * clump) * hang
    points[..., 0] += side * np.abs(ends[:, 0]) * (outward + ripple)
    points[..., 2] += ends[:, 2] * (outward + ripple) - 0.10 * hang * (ends[:, 2] > -0.5) * edge
    if haircut.style == "long":  # falls behind the shoulders
        points[..., 2] -= 0.45 * hang**1.3 * smoothstep(ends[:, 2], -0.9, 0.3)
    shade = 1 - 0.45 * np.exp(-((along / 0.05) ** 2)) + 0.16 * clump * smoothstep(along, 0, 0.3)
    shade = shade * (1 - 0.30 * hang**2) * (0.80 + 0.20 * edge)
    return _strands(points, shade, haircut.colour, flip=side < 0, repeat=3.0)


def _short(haircut: Haircut, rng: np.random.Generator) -> list[Surface]:
    """Short hair all around, longer on top, combed back and to the side of the parting."""
    rows, columns = 26, 150
    along = np.linspace(0, 1, rows)[:, None]
    azimuth = np.linspace(-180, 180, columns)
    away = np.abs(azimuth)
    # Height of the hairline: over the forehead, back at the temples, down the sideburns, around the ears, to the nape.
    knots = np.array([0, 25, 42, 55, 64, 74, 84, 100, 125, 150, 180])
    heights = np.array([31, 33, 34, 22, 2, -12, 0, 2, -30, -42, -44])
    jag = 0.5 * _clumps(columns, 1.5, rng) + 0.5 * _clumps(columns, 0.5, rng)
    line = np.interp(away, knots, heights) + 3.0 * jag
    elevation = np.radians(line + (90 - line) * along)
    turn = np.radians(azimuth + 18 * np.sign(haircut.parting) * along**2 * (away < 120))
    direction = np.stack([np.sin(turn) * np.cos(elevation), np.sin(elevation), np.cos(turn) * np.cos(elevation)], -1)
    clump = 0.6 * _clumps(columns, 2.5, rng) + 0.4 * _clumps(columns, 1.0, rng)
    top = smoothstep(np.degrees(elevation), 15, 55)
    quiff = np.exp(-(((azimuth - 12 * np.sign(haircut.parting)) / 50) ** 2)) * np.exp(-(((along - 0.30) / 0.25) ** 2))
    # The roots lie under the skin; the line is where the hair comes out of it.
    grown = smoothstep(along, 0.0, 0.22)
    thickness = -0.06 + grown * (0.075 + haircut.volume * (0.02 + 0.09 * top + 0.09 * quiff))
    thickness = thickness + 0.032 * clump * smoothstep(along, 0.02, 0.25) * (1 - along)
    points = on_skull(direction, thickness)
    shade = 0.82 + 0.18 * smoothstep(along, 0, 0.2) + 0.20 * clump * smoothstep(along, 0, 0.15) * (1 - along)
    return [_strands(points, shade, haircut.colour, flip=True, repeat=5.0)]


def _strands(points: np.ndarray, shade: np.ndarray, colour: np.ndarray, flip: bool, repeat: float) -> Surface:
    """Make the surface of a grid of strands (rows, columns, 3); `repeat` is how often the texture goes across."""
    rows, columns = points.shape[:2]
    uv = grid_uv(rows, columns) * [repeat, 1.0]
    uv[:, 0] = 1 - np.abs(uv[:, 0] % 2 - 1)  # mirrored at each repetition: no seam
    triangles = grid_triangles(rows, columns)
    tint = np.clip(shade, 0.1, 1.5).reshape(-1, 1) * colour
    return Surface(
        points.reshape(-1, 3),
        triangles[:, ::-1] if flip else triangles,
        uv,
        "strands",
        "hair",
        tint,
        grid_tangent(points),
    )
