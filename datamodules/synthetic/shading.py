"""Colours of the pixels of a scene: textures under spherical-harmonic light, highlights, smooth edges.

The rasteriser says which triangle every sample sees; `shading_loops` make one pixel of four samples. The diffuse part
is exactly that of the face renderer (albedo times irradiance), so the true coefficients explain the face; highlights on
skin are small and come on top.
"""

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.lighting import Light
from datamodules.synthetic.shading_loops import FIRST_TANGENT, FIRST_TEXTURE, FIRST_TINT, VALUES, shade_rows
from face.rasterizers.fragments import Fragments

NORMAL, TEXTURE, TINT, TANGENT = (  # columns of what vertices carry
    slice(first, first + count) for first, count in ((0, 3), (FIRST_TEXTURE, 2), (FIRST_TINT, 3), (FIRST_TANGENT, 3))
)


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
_TABLE = np.array([[m.gloss, m.sharpness, m.strands, m.glow] for m in MATERIALS.values()], np.float32)


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


def pack_attributes(normals: np.ndarray, texture: np.ndarray, tint: np.ndarray, tangent: np.ndarray) -> np.ndarray:
    """What vertices carry beside their places, in the form of the loops.

    Args:
        normals: (V, 3) unit, camera axes.
        texture: (V, 2) column and row in the atlas.
        tint: (V, 3).
        tangent: (V, 3) direction of hair in camera axes, zero elsewhere.

    Returns:
        float32 (V, VALUES), in the columns `NORMAL`, `TEXTURE`, `TINT` and `TANGENT`.
    """
    packed = np.zeros((len(normals), VALUES), np.float32)
    packed[:, NORMAL], packed[:, TEXTURE], packed[:, TINT], packed[:, TANGENT] = normals, texture, tint, tangent
    return packed


def shade(
    fragments: Fragments,
    triangles: np.ndarray,
    surfaces: np.ndarray,
    attributes: np.ndarray,
    atlas: Atlas,
    light: Light,
    backdrop: np.ndarray,
) -> np.ndarray:
    """Colour one frame.

    Args:
        fragments: Of a batch of one, at twice the size of the picture.
        triangles: int64 (F, 3).
        surfaces: int64 (F, 2) number of the surface (samples of one surface are averaged), index into `MATERIALS`.
        attributes: float32 (V, VALUES) of the vertices, see `pack_attributes`.
        atlas: Textures.
        light: Light.
        backdrop: float32 (H, W, 3) in [0, 1].

    Returns:
        uint8 (H, W, 3).
    """
    image = np.empty(backdrop.shape, np.uint8)
    shade_rows(
        fragments.triangle[0].numpy(),
        fragments.barycentric[0].numpy(),
        triangles,
        surfaces,
        attributes,
        _TABLE,
        atlas.pixels,
        light.polynomial.astype(np.float32),
        light.halfway.astype(np.float32),
        light.colours.astype(np.float32),
        backdrop,
        image,
    )
    return image
