"""What shows through the openings of the face: eyeballs, lashes, teeth, tongue, the cavity behind them.

Eyes and cavity are spanned over the boundary loops of the face in every frame, so they fill exactly the opening that
the lids and lips leave; teeth stand still in the head or move with the jaw, and the lips hide them by their depth.
"""

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.surfaces import Surface, grid_triangles, grid_uv, smoothstep
from face.landmarks import CHIN, INNER_LIP, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS

EYE_TILE = 0.40  # decimetres that the eye texture spans
_EYE_RADIUS = 0.16  # ours: flatter than a real eyeball (0.12), since the lids of the face model are
_EYE_RINGS = np.array([1.10, 1.0, 0.82, 0.6, 0.35, 0.0])
_MOUTH_RINGS = np.array([[1.0, -0.012], [1.22, -0.10], [1.22, -0.24], [0.7, -0.33], [0.0, -0.35]])  # scale, z
_MOUTH_SHADE = np.array([0.75, 0.50, 0.30, 0.16, 0.12])


@dataclass(frozen=True)
class Fan:
    """Rings spanned over a boundary loop.

    Attributes:
        loop: (n,) vertices of the face, counter-clockwise seen from the front.
        triangles: (F, 3) into the rings, n vertices each.
    """

    loop: np.ndarray
    triangles: np.ndarray

    @classmethod
    def over(cls, loop: np.ndarray, rings: int) -> "Fan":
        """Connect rings from the loop (the first) to the centre (the last)."""
        count = len(loop)
        closed = np.concatenate([np.arange(rings * count).reshape(rings, count)] * 2, axis=1)[:, : count + 1]
        return cls(loop, closed.ravel()[grid_triangles(rings, count + 1)][:, ::-1])


@dataclass(frozen=True)
class Eye:
    """One eye.

    Attributes:
        fan: Its surface over the lids' opening.
        centre: (3,) of the visible front of the eyeball in head space.
        shade: (V,) the shadow of the upper lid.
        lashes: (k,) vertices of the upper lid from the outer to the inner corner.
        height: Of the neutral opening, decimetres.
    """

    fan: Fan
    centre: np.ndarray
    shade: np.ndarray
    lashes: np.ndarray
    height: float

    @classmethod
    def of(cls, face: np.ndarray, loop: np.ndarray, left: bool) -> "Eye":
        """Fit an eye into the opening that neutral lids leave.

        Args:
            face: (V, 3) neutral face.
            loop: Boundary loop of the eye, counter-clockwise.
            left: Whether it is the person's left eye.
        """
        corners = face[list(LEFT_EYE_CORNERS if left else RIGHT_EYE_CORNERS)]
        ring = face[loop]
        lids = np.abs(ring[:, 0] - corners[:, 0].mean()) < 0.25 * np.abs(corners[0, 0] - corners[1, 0])
        # The pupil sits a little above the middle of the opening: the upper lid covers the edge of the iris.
        height = ring[:, 1].mean() + 0.008
        centre = np.array([corners[:, 0].mean(), height, ring[lids, 2].min() - 0.004])
        above = smoothstep(ring[:, 1] - centre[1], -0.02, 0.04)
        inside = 1 - np.clip(_EYE_RINGS, 0, 1)[:, None]
        shade = 1 - (0.58 * above + 0.25 * (1 - above)) * np.exp(-inside / 0.16)
        lashes = _upper_arc(loop, face, *(LEFT_EYE_CORNERS if left else RIGHT_EYE_CORNERS))
        return cls(Fan.over(loop, len(_EYE_RINGS)), centre, shade.ravel(), lashes, float(np.ptp(ring[:, 1])))

    def surface(self, face: np.ndarray, gaze: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Span the eye under the lids of one frame.

        Args:
            face: (V, 3) of the frame, in head space.
            gaze: (2,) direction right and up against the head's own forward direction, radians.

        Returns:
            Vertices (v, 3), normals (v, 3) and texture coordinates (v, 2).
        """
        ring = face[self.fan.loop]
        middle = ring.mean(axis=0)
        flat = (middle[:2] + _EYE_RINGS[:, None, None] * (ring[None, :, :2] - middle[:2])).reshape(-1, 2)
        offset = flat - self.centre[:2]
        rise = np.sqrt(np.maximum(_EYE_RADIUS**2 - (offset**2).sum(-1), 1e-4))
        vertices = np.concatenate([flat, (self.centre[2] + rise - _EYE_RADIUS)[:, None]], 1)
        normals = np.concatenate([offset, rise[:, None]], 1) / _EYE_RADIUS
        # The texture is centred on the pupil, which sits where the gaze leaves a real eyeball of radius 0.12.
        pupil = 0.12 * np.array([gaze[0], gaze[1]])
        uv = 0.5 + (offset - pupil) / EYE_TILE * [1, -1]
        return vertices, normals, np.clip(uv, 0, 1)

    def openness(self, face: np.ndarray) -> float:
        """How far the lids are apart, 1 as in the neutral face, 0 shut."""
        height = np.ptp(face[self.fan.loop, 1])
        return float(smoothstep(np.array(height / self.height), 0.15, 0.75))

    def lash_strip(self, face: np.ndarray) -> np.ndarray:
        """Two rows of vertices along the upper lid: where the lashes end, and at its edge, (2 k, 3)."""
        lid = face[self.lashes]
        rise = 0.75 * self.openness(face) - 0.33  # lashes of shut eyes point down
        share = np.linspace(0, 1, len(lid))[:, None]
        length = 0.035 * np.sin(np.pi * np.clip(share * 0.9 + 0.12, 0, 1)) ** 0.7
        outward = np.sign(self.centre[0]) * (1 - 1.2 * share)
        tips = lid + length * np.concatenate([0.55 * outward, rise + 0 * share, 0.75 + 0 * share], 1)
        return np.concatenate([tips, lid + np.array([0.0, -0.004, 0.004])])


def _upper_arc(loop: np.ndarray, face: np.ndarray, outer: int, inner: int) -> np.ndarray:
    """The vertices of a loop from one corner to the other along its upper half, both corners included."""
    turned = np.roll(loop, -int(np.flatnonzero(loop == outer)[0]))
    end = int(np.flatnonzero(turned == inner)[0])
    ways = turned[: end + 1], np.concatenate([turned[:1], turned[: end - 1 : -1]])
    return max(ways, key=lambda way: face[way, 1].mean())


def cavity(fan: Fan, face: np.ndarray) -> np.ndarray:
    """The inside of the cheeks over the inner lips of one frame, (5 n, 3): wider than the opening, then closing."""
    ring = face[fan.loop]
    middle = ring.mean(axis=0)
    rings = [
        np.concatenate(
            [middle[:2] + s * (ring[:, :2] - middle[:2]), (1 - back) * ring[:, 2:] + back * middle[2] + z], 1
        )
        for (s, z), back in zip(_MOUTH_RINGS, (0, 0.3, 1, 1, 1), strict=True)
    ]
    return np.concatenate(rings)


def cavity_shade() -> np.ndarray:
    """Darkness of each ring of the cavity, (5,)."""
    return _MOUTH_SHADE


MOUTH_RINGS = len(_MOUTH_RINGS)


def teeth(face: np.ndarray, upper: bool) -> Surface:
    """One row of teeth on its arch.

    Args:
        face: (V, 3) neutral face.
        upper: Upper teeth (fixed to the skull) or lower ones (which move with the jaw).
    """
    rows, columns = 6, 41
    lips = face[list(INNER_LIP)].mean(axis=0)
    width, depth, height = (0.250, 0.30, 0.125) if upper else (0.215, 0.27, 0.105)
    edge = lips[1] - (0.008 if upper else 0.030)  # lips cover the rest of them
    v, angle = np.meshgrid(np.linspace(0, 1, rows), np.radians(np.linspace(-80, 80, columns)), indexing="ij")
    x = width * np.sin(angle)
    y = edge + height * (1 - v) if upper else edge - height * v
    bulge = 0.018 * np.sin(np.pi * v)
    z = lips[2] - (0.030 if upper else 0.060) - depth * (1 - np.cos(angle)) + bulge
    # Teeth farther back get less light.
    tint = (0.30 + 0.70 * np.cos(angle) ** 1.5) * (0.94 + 0.06 * np.cos(6 * angle))
    texture = "upper_teeth" if upper else "lower_teeth"
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    tint = tint.reshape(-1, 1) * (0.84 if upper else 0.66)  # in the shadow of the lips
    return Surface(points, grid_triangles(rows, columns), grid_uv(rows, columns), texture, "teeth", tint * np.ones(3))


def tongue(face: np.ndarray) -> Surface:
    """The front of the tongue, an ellipsoid that moves with the jaw; its rows run from the tip backward."""
    rows, columns = 10, 21
    lips = face[list(INNER_LIP)].mean(axis=0)
    back, turn = np.meshgrid(
        np.linspace(0.02, 1.35, rows), np.linspace(-np.pi / 2, 1.5 * np.pi, columns), indexing="ij"
    )
    x = 0.19 * np.sin(back) * np.cos(turn)
    y = lips[1] - 0.070 + 0.06 * np.sin(back) * np.sin(turn)
    z = lips[2] - 0.33 + 0.25 * np.cos(back)
    groove = 1 - 0.15 * np.exp(-((x / 0.025) ** 2)) * (np.sin(turn) > 0)
    tint = (groove * (0.60 + 0.40 * np.cos(back))).reshape(-1, 1) * np.array([0.78, 0.40, 0.40])
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    return Surface(points, grid_triangles(rows, columns), grid_uv(rows, columns), "pores", "wet", tint)


def jaw_offset(face: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """How the jaw has moved, (3,): as the chin, of which the teeth nearer to the joint move nine tenths."""
    return 0.9 * (face[CHIN] - neutral[CHIN])


def raise_tip(tongue_points: np.ndarray, tip: float) -> np.ndarray:
    """Bend the front of the tongue up (1 touches the upper teeth), (V, 3)."""
    front = smoothstep(tongue_points[:, 2], tongue_points[:, 2].min(), tongue_points[:, 2].max())
    return tongue_points + tip * np.array([0.0, 0.10, 0.015]) * front[:, None] ** 2
