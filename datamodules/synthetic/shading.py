"""Colours of the pixels of a scene: textures under spherical-harmonic light, highlights, smooth edges.

The rasteriser says which triangle every sample sees; here four samples become one pixel. The diffuse part is exactly
that of the face renderer (albedo times irradiance), so the true coefficients explain the face; highlights on skin are
small and come on top.
"""

from dataclasses import dataclass

import numba
import numpy as np

from datamodules.synthetic.lighting import Light
from face.rasterizers.fragments import Fragments

SAMPLES = 2  # per pixel side
_VALUES = 11  # normal 3, texture place 2, tint 3, tangent 3
_DONE = -2  # mark of a sample that is coloured already


@dataclass(frozen=True)
class Material:
    """How a surface shines.

    Attributes:
        gloss: Strength of the highlight.
        sharpness: Exponent of the highlight, as a power of two.
        strands: Whether the highlight is that of hair (Kajiya and Kay 1989).
        glow: Share of the irradiance replaced by its mean: light that scatters inside (teeth, eyes).
    """

    gloss: float
    sharpness: int
    strands: bool = False
    glow: float = 0.0


MATERIALS: dict[str, Material] = {
    "face": Material(0.055, 4),
    "skin": Material(0.045, 4),
    "lips": Material(0.16, 5),
    "eye": Material(0.90, 8, glow=0.35),
    "teeth": Material(0.20, 5, glow=0.5),
    "wet": Material(0.22, 5, glow=0.2),
    "hair": Material(0.42, 5, strands=True),
    "cloth": Material(0.0, 0),
    "dark": Material(0.0, 0),
}
MATERIAL_INDEX = {name: k for k, name in enumerate(MATERIALS)}
_TABLE = np.array([[m.gloss, m.sharpness, m.strands, m.glow] for m in MATERIALS.values()])


@dataclass(frozen=True)
class Atlas:
    """Several textures in one array.

    Attributes:
        pixels: float32 (rows, columns, 3).
        place: Per texture its first row, height and width.
    """

    pixels: np.ndarray
    place: dict[str, tuple[int, int, int]]

    @classmethod
    def of(cls, textures: dict[str, np.ndarray]) -> "Atlas":
        """Put textures below each other."""
        width = max(texture.shape[1] for texture in textures.values())
        rows, place = [], {}
        first = 0
        for name, texture in textures.items():
            height, own = texture.shape[:2]
            rows.append(np.pad(texture, ((0, 0), (0, width - own), (0, 0)), mode="edge"))
            place[name] = (first, height, own)
            first += height
        return cls(np.ascontiguousarray(np.concatenate(rows), np.float32), place)

    def locate(self, texture: str, uv: np.ndarray) -> np.ndarray:
        """Texture coordinates (V, 2) in [0, 1] to columns and rows of the atlas, at pixel centres."""
        first, height, width = self.place[texture]
        column, row = uv[:, 0] * (width - 1), first + uv[:, 1] * (height - 1)
        return np.stack([column, row], -1)


@dataclass(frozen=True)
class Attributes:
    """What the vertices of a frame carry, beside their places.

    Attributes:
        normals: (V, 3) unit, camera axes.
        texture: (V, 2) column and row in the atlas.
        tint: (V, 3).
        tangent: (V, 3) direction of hair in camera axes, zero elsewhere.
    """

    normals: np.ndarray
    texture: np.ndarray
    tint: np.ndarray
    tangent: np.ndarray


def shade(
    fragments: Fragments,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    attributes: Attributes,
    atlas: Atlas,
    light: Light,
    backdrop: np.ndarray,
) -> np.ndarray:
    """Colour one frame.

    Args:
        fragments: Of a batch of one, at twice the size of the picture.
        triangles: int64 (F, 3).
        surfaces: int64 (F, 2) number of the surface (samples of one surface are averaged), index into `MATERIALS`.
        attributes: Of the vertices.
        atlas: Textures.
        light: Light.
        backdrop: float32 (H, W, 3) in [0, 1].

    Returns:
        uint8 (H, W, 3).
    """
    packed = np.concatenate([attributes.normals, attributes.texture, attributes.tint, attributes.tangent], 1)
    image = np.empty(backdrop.shape, np.uint8)
    _shade(
        fragments.triangle[0].numpy(),
        fragments.barycentric[0].numpy(),
        triangles,
        surfaces,
        packed.astype(np.float32),
        _TABLE,
        atlas.pixels,
        light.polynomial(),
        light.halfway(),
        light.colours,
        backdrop,
        image,
    )
    return image


@numba.njit(nogil=True, cache=True, fastmath=True)
def _shade(
    triangle: np.ndarray,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    vertices: np.ndarray,
    table: np.ndarray,
    atlas: np.ndarray,
    light: np.ndarray,
    lamps: np.ndarray,
    lamp_colours: np.ndarray,
    backdrop: np.ndarray,
    image: np.ndarray,
) -> None:
    """One pixel after the other: its samples that see the same surface are averaged, then coloured once."""
    height, width = image.shape[:2]
    count = SAMPLES * SAMPLES
    values, colour, pixel = np.empty(_VALUES), np.empty(3), np.empty(3)
    seen = np.empty(count, np.int64)
    for row in range(height):
        for column in range(width):
            pixel[:] = 0.0
            for s in range(count):
                seen[s] = triangle[row * SAMPLES + s // SAMPLES, column * SAMPLES + s % SAMPLES]
            for s in range(count):
                if seen[s] == _DONE:
                    continue
                if seen[s] < 0:
                    for k in range(3):
                        pixel[k] += backdrop[row, column, k]
                    continue
                material = surfaces[seen[s], 1]
                same = _gather(s, seen, row, column, barycentric, triangles, surfaces, vertices, values)
                _colour(values, table[material], atlas, light, lamps, lamp_colours, colour)
                for k in range(3):
                    pixel[k] += same * min(max(colour[k], 0.0), 1.0)
            for k in range(3):
                image[row, column, k] = np.uint8(pixel[k] * (255.0 / count) + 0.5)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _gather(
    first: int,
    seen: np.ndarray,
    row: int,
    column: int,
    barycentric: np.ndarray,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    vertices: np.ndarray,
    values: np.ndarray,
) -> int:
    """Mean of what the samples of one surface carry, into `values`; how many they are. Marks them in `seen`."""
    surface = surfaces[seen[first], 0]
    values[:] = 0.0
    same = 0
    for s in range(first, len(seen)):
        face = seen[s]
        if face < 0 or surfaces[face, 0] != surface:
            continue
        wa = wb = wc = 0.0
        for t in range(s, len(seen)):  # mostly all samples lie in one triangle: then its values are read once
            if seen[t] == face:
                i, j = row * SAMPLES + t // SAMPLES, column * SAMPLES + t % SAMPLES
                wa += barycentric[i, j, 0]
                wb += barycentric[i, j, 1]
                wc += barycentric[i, j, 2]
                seen[t] = _DONE
                same += 1
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        for k in range(_VALUES):
            values[k] += wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
    values /= same
    return same


@numba.njit(nogil=True, cache=True, fastmath=True)
def _colour(
    values: np.ndarray,
    material: np.ndarray,
    atlas: np.ndarray,
    light: np.ndarray,
    lamps: np.ndarray,
    lamp_colours: np.ndarray,
    colour: np.ndarray,
) -> None:
    """Colour of one interpolated point, into `colour`."""
    size = np.sqrt(values[0] ** 2 + values[1] ** 2 + values[2] ** 2) + 1e-9
    x, y, z = values[0] / size, values[1] / size, values[2] / size
    gloss, glow, strands = material[0], material[3], material[2] > 0
    left, top = min(max(int(values[3]), 0), atlas.shape[1] - 2), min(max(int(values[4]), 0), atlas.shape[0] - 2)
    dx, dy = values[3] - left, values[4] - top
    brightness = 0.0
    for k in range(3):
        upper = atlas[top, left, k] * (1 - dx) + atlas[top, left + 1, k] * dx
        lower = atlas[top + 1, left, k] * (1 - dx) + atlas[top + 1, left + 1, k] * dx
        texture = upper * (1 - dy) + lower * dy
        flat = light[0, k] + light[3, k] + light[6, k]  # on a surface that looks at the camera
        lit = light[0, k] + x * (light[1, k] + light[4, k] * x + light[7, k] * y + light[9, k] * z)
        lit += y * (light[2, k] + light[5, k] * y + light[8, k] * z) + z * (light[3, k] + light[6, k] * z)
        colour[k] = texture * values[5 + k] * max((1 - glow) * lit + glow * flat, 0.0)
        brightness += (texture if strands else values[5 + k]) / 3
    if gloss > 0:
        # Hollows have no highlights, thick strands catch more than the gaps between them.
        gloss *= brightness * brightness if strands else brightness
        for lamp in range(lamps.shape[0]):
            strength = gloss * _highlight(values, x, y, z, lamps[lamp], strands, int(material[1]))
            for k in range(3):
                colour[k] += strength * lamp_colours[lamp, k]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _highlight(
    values: np.ndarray, x: float, y: float, z: float, halfway: np.ndarray, strands: bool, doublings: int
) -> float:
    """Strength of the highlight of one lamp on a normal (Blinn) or on a strand (Kajiya and Kay)."""
    base = max(x * halfway[0] + y * halfway[1] + z * halfway[2], 0.0)
    facing = 1.0
    if strands:
        along = values[8] * halfway[0] + values[9] * halfway[1] + values[10] * halfway[2]
        length = values[8] ** 2 + values[9] ** 2 + values[10] ** 2 + 1e-9
        facing = 0.35 + 0.65 * base  # hair lets some light through
        base = np.sqrt(max(0.0, 1 - along * along / length))
    for _ in range(doublings):
        base *= base
    return base * facing
