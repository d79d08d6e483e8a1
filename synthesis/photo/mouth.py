"""The inside of the mouth: teeth, tongue and cavity, which a photo with closed lips does not show.

The shapes are those of the embedded person. Upper teeth stand still in the head, lower teeth and tongue follow the jaw;
the lips hide them by their depth. Colours are painted and toned by the light on the photo's skin.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from datamodules.synthetic.eyes_and_mouth import MOUTH_RINGS, Fan, cavity, cavity_shade, jaw_offset, teeth, tongue
from datamodules.synthetic.paint import paint_teeth
from datamodules.synthetic.surfaces import Surface, grid_triangles, grid_uv

_ROWS, _COLUMNS = 24, 161  # of a row of teeth, fine enough for colours at the vertices alone
_COARSE = (6, 41)  # of the embedded person's, whose colours are a texture
# Ours: what the embedded person's paint lacks in a photo, where teeth are warmer, softer and less dark between.
_ENAMEL = np.array([1.36, 1.25, 1.10])
_GAPS = 0.35  # of the darkness between teeth
_LOWER = 0.012  # decimetres, by which the lower teeth hide more behind the lip
_BEHIND_PHOTO = 0.09  # decimetres, by which tongue and lower teeth lie behind what a photo shows of its own mouth
_FLESH = np.array([0.42, 0.17, 0.16])  # ours, the walls of the cavity in full light
_SEED = 5  # of the small differences between teeth


@dataclass(frozen=True)
class Interior:
    """What is behind the lips.

    Attributes:
        fan: The cavity's surface over the inner lips.
        fixed: (N, 3) vertices that follow the head, in its space.
        jaw: (M, 3) vertices that follow the jaw, with closed teeth.
        triangles: int64 (F, 3) on cavity, fixed and jaw vertices in this order.
        colours: (V, 3) in [0, 1] of all vertices.
        neutral: (V, 3) face from which the jaw's movement is measured.
    """

    fan: Fan
    fixed: np.ndarray
    jaw: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    neutral: np.ndarray

    @classmethod
    def of(cls, neutral: np.ndarray, lips: np.ndarray, light: np.ndarray, upper_teeth: bool = True) -> "Interior":
        """Put a mouth into a face.

        Args:
            neutral: (V, 3) face with closed lips, decimetres.
            lips: Boundary loop of the mouth, counter-clockwise seen from the front.
            light: (3,) on the face, 1 in a well exposed photo.
            upper_teeth: Whether to put them in; False if the photo shows its own.
        """
        rng = np.random.default_rng(_SEED)
        fan = Fan.over(lips, MOUTH_RINGS)
        upper, lower = (_fine(teeth(neutral, above), _softened(paint_teeth(above, rng))) for above in (True, False))
        soft = tongue(neutral)
        walls = np.repeat(cavity_shade(), len(lips))[:, None] * _FLESH
        # From both sides: seen across a corner of the mouth, one looks at the back of the near wall.
        parts = [(MOUTH_RINGS * len(lips), np.concatenate([fan.triangles, fan.triangles[:, ::-1]]))]
        parts += [(len(surface.vertices), surface.triangles) for surface in (upper, lower, soft)]
        if not upper_teeth:
            parts[1] = (len(upper.vertices), np.zeros((0, 3), np.int64))
        starts = np.cumsum([0, *(count for count, _ in parts)])
        return cls(
            fan,
            upper.vertices,
            np.concatenate([lower.vertices - [0, _LOWER, 0], soft.vertices])
            - [0, 0, 0 if upper_teeth else _BEHIND_PHOTO],
            np.concatenate([triangles + start for (_, triangles), start in zip(parts, starts, strict=False)]),
            np.clip(np.concatenate([walls, upper.tint, lower.tint, soft.tint]) * light, 0, 1),
            neutral,
        )

    def vertices(self, face: np.ndarray) -> np.ndarray:
        """All vertices for a face (V, 3) with an expression, before its pose."""
        moved = self.jaw + jaw_offset(face, self.neutral)
        walls = cavity(self.fan, face)
        walls[: len(self.fan.loop)] = face[self.fan.loop]  # joined to the lips: from the side one would see between
        return np.concatenate([walls, self.fixed, moved])


def _fine(surface: Surface, texture: np.ndarray) -> Surface:
    """A row of teeth on a finer grid, its texture in the tint."""
    rows, columns = np.meshgrid(np.linspace(0, 1, _ROWS), np.linspace(0, 1, _COLUMNS), indexing="ij")

    def resampled(grid: np.ndarray) -> np.ndarray:
        places = [rows * (grid.shape[0] - 1), columns * (grid.shape[1] - 1)]
        return np.stack([map_coordinates(grid[..., k], places, order=1).ravel() for k in range(3)], 1)

    points, tint = (resampled(values.reshape(*_COARSE, 3)) for values in (surface.vertices, surface.tint))
    return Surface(
        points,
        grid_triangles(_ROWS, _COLUMNS),
        grid_uv(_ROWS, _COLUMNS),
        surface.texture,
        surface.material,
        tint * resampled(texture),
    )


def _softened(texture: np.ndarray) -> np.ndarray:
    """The texture of a row of teeth with the gaps filled for the most part; gums are redder than they are dark."""
    row = np.sort(texture, axis=1)[:, -texture.shape[1] // 4 :].mean(
        axis=1, keepdims=True
    )  # tooth or gum of this height
    return (row + _GAPS * (texture - row)) * _ENAMEL
