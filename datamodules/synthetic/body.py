"""What carries the face: the back of the head, ears, neck, shoulders and clothes.

Sizes are those of an average adult whose face is that of the morphable model (eye centres 0.62 dm apart).
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from datamodules.synthetic.surfaces import Surface, grid_triangles, grid_uv, smoothstep

_RINGS = 9
_BACK_OF_HEAD = np.array([0.0, 0.30, -1.33])
# Profile of the shoulders from the collar down: height, half width, half depth, z of the axis.
_SHOULDERS = np.array(
    [
        [-1.27, 0.57, 0.56, -0.70],
        [-1.33, 0.72, 0.60, -0.72],
        [-1.41, 0.98, 0.65, -0.75],
        [-1.51, 1.28, 0.68, -0.78],
        [-1.64, 1.56, 0.70, -0.80],
        [-1.80, 1.76, 0.72, -0.80],
        [-2.05, 1.90, 0.76, -0.80],
        [-2.40, 1.96, 0.82, -0.80],
        [-2.90, 1.98, 0.88, -0.80],
    ]
)
_SKULL_CENTRE = np.array([0.0, 0.40, -0.42])
_SKULL_FRONT, _SKULL_BACK = np.array([0.78, 1.00, 0.76]), np.array([0.78, 1.00, 0.98])  # half axes
NECK_TOP, NECK_BOTTOM = -0.58, -1.62  # y; the ends are hidden in the head and in the clothes


def on_skull(direction: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Points over the cranium, an ellipsoid that is longer behind than in front.

    Args:
        direction: (..., 3) unit vectors from its centre.
        thickness: (...) height over it, decimetres.

    Returns:
        (..., 3) decimetres.
    """
    back = smoothstep(direction[..., 2:], 0.15, -0.15)
    radii = _SKULL_FRONT + (_SKULL_BACK - _SKULL_FRONT) * back
    return _SKULL_CENTRE + (radii + thickness[..., None]) * direction


def skull(face: np.ndarray, outline: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Continue the face behind its outline with rings that close at the back of the head.

    Args:
        face: (V, 3) neutral face.
        outline: (n,) boundary vertices of the face, counter-clockwise seen from the front.
        inner: (n,) for each of them a vertex farther inside, which tells the direction of the surface there.

    Returns:
        New vertices (9 n, 3); how much each follows its outline vertex, (9 n,); triangles into [face; new vertices].
    """
    start = face[outline]
    outward = start - face[inner]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    around = np.arctan2(start[:, 1] - 0.2, start[:, 0])
    control = np.stack([0.86 * np.cos(around), 0.36 + 1.05 * np.sin(around), np.full(len(outline), -1.15)], 1)
    control[:, 1] = np.maximum(control[:, 1], -0.75)
    share = np.linspace(0, 1, _RINGS + 1)[1:]
    t = share[:, None, None]
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * (start + 0.30 * outward)  # Bezier, tangential to the face
    points = curve + 3 * (1 - t) * t**2 * control + t**3 * _BACK_OF_HEAD
    direction = (points - _SKULL_CENTRE) / _SKULL_BACK
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    round_off = smoothstep(share, 0.0, 0.45)[:, None, None] * smoothstep(points[..., 1:2], -0.1, 0.3)
    points = points + round_off * (on_skull(direction, np.full(points.shape[:2], -0.02)) - points)
    count, first = len(outline), len(face)
    index = np.concatenate([outline[None], first + np.arange(_RINGS * count).reshape(_RINGS, count)])
    closed = np.concatenate([index, index[:, :1]], axis=1)
    # Rows run away from the viewer along the outline's counter-clockwise direction.
    triangles = closed.ravel()[grid_triangles(_RINGS + 1, count + 1)]
    follow = np.repeat((1 - share) ** 2, count)
    return points.reshape(-1, 3), follow, triangles


def neck(skin: np.ndarray) -> tuple[Surface, np.ndarray]:
    """The neck, which turns with the head at its top and stays with the body at its bottom.

    Args:
        skin: (3,) colour.

    Returns:
        The surface and, per vertex, the share of the head's movement it takes.
    """
    rows, columns = 18, 41
    v, around = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    height = NECK_TOP + (NECK_BOTTOM - NECK_TOP) * v
    flare = smoothstep(height, -1.15, -1.62)
    width = 0.43 + 0.24 * flare
    depth = 0.42 + 0.18 * flare
    # The seam is at the back; seen from the front, columns run from left to right across the front half.
    x, z = -width * np.sin(around), -0.62 - 0.14 * v - depth * np.cos(around)
    front = np.clip(-np.cos(around), 0, 1)
    throat = 0.035 * np.exp(-(((np.sin(around)) / 0.25) ** 2)) * np.exp(-(((height + 1.12) / 0.12) ** 2)) * front
    vertices = np.stack([x, height, z + throat], -1).reshape(-1, 3)
    # The chin keeps the light from the upper throat.
    shadow = 1 - 0.52 * smoothstep(height, -1.28, -0.90) * (0.35 + 0.65 * front)
    muscle = 1 - 0.06 * np.exp(-(((np.abs(np.sin(around)) - 0.62 + 0.25 * v) / 0.10) ** 2)) * front
    tint = (shadow * muscle).reshape(-1, 1) * skin
    surface = Surface(vertices, grid_triangles(rows, columns), grid_uv(rows, columns), "pores", "skin", tint)
    return surface, (1 - smoothstep(height, -0.75, -1.45)).reshape(-1)


def clothes(colour: np.ndarray) -> list[Surface]:
    """A pullover with a round collar.

    Args:
        colour: (3,) of the cloth.
    """
    rows, columns = 33, 73
    v, around = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    profile = PchipInterpolator(np.linspace(0, 1, len(_SHOULDERS)), _SHOULDERS)
    y, width, depth, axis = np.moveaxis(profile(v), -1, 0)
    front = np.clip(-np.cos(around), 0, 1)
    y = y - _collar_dip(front) * (1 - smoothstep(v, 0.0, 0.45))
    x, z = -width * np.sin(around), axis - depth * np.cos(around)
    folds = 0.012 * np.sin(9 * around + 5 * v) * smoothstep(v, 0.15, 0.5)
    vertices = np.stack([x, y, z + folds], -1).reshape(-1, 3)
    shade = 0.80 + 0.20 * smoothstep(v, 0.0, 0.12)
    tint = shade.reshape(-1, 1) * colour
    body = Surface(vertices, grid_triangles(rows, columns), grid_uv(rows, columns) * [1, 0.6], "knit", "cloth", tint)
    return [body, _collar(colour)]


def _collar_dip(front: np.ndarray) -> np.ndarray:
    """How much lower the collar is at the front."""
    return 0.20 * front**1.5


def _collar(colour: np.ndarray) -> Surface:
    """A knitted tube around the neck."""
    rows, columns = 9, 73
    turn, around = np.meshgrid(np.linspace(0, 2 * np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    _, width, depth, axis = _SHOULDERS[0]
    y0 = _SHOULDERS[0, 0] - _collar_dip(np.clip(-np.cos(around), 0, 1))
    out, up = 0.035 * np.cos(turn), 0.062 * np.sin(turn)
    x, z = -(width + out) * np.sin(around), axis - (depth + out) * np.cos(around)
    vertices = np.stack([x, y0 + up + 0.25 * out, z], -1).reshape(-1, 3)
    uv = grid_uv(rows, columns) * [1, 0.3] + [0, 0.65]
    tint = (0.80 + 0.12 * np.sin(turn)).reshape(-1, 1) * colour
    return Surface(vertices, grid_triangles(rows, columns)[:, ::-1], uv, "knit", "cloth", tint)


def ears(face: np.ndarray, sides: tuple[int, int], skin: np.ndarray) -> list[Surface]:
    """Both ears: a disc with a rim (helix) and a hollow (concha), turned out by 24 degrees.

    Args:
        face: (V, 3) neutral face.
        sides: Vertices of the face's outline next to the right and the left ear.
        skin: (3,) colour.
    """
    rows, columns = 10, 33
    radius, turn = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    relief = 0.055 * np.exp(-(((radius - 0.86) / 0.10) ** 2)) - 0.05 * np.exp(-((radius / 0.42) ** 2))
    relief += 0.03 * np.exp(-(((radius - 0.55) / 0.12) ** 2)) * (np.cos(turn - 2.4) > -0.3)
    relief -= 0.10 * smoothstep(radius, 0.9, 1.0)  # the rim bends back to the head
    lobe = 1 - 0.22 * smoothstep(-np.cos(turn), 0.4, 1.0)
    forward, up = 0.145 * radius * lobe * np.sin(turn), 0.27 * radius * np.cos(turn)
    hollow = 1.04 - 0.35 * np.exp(-((radius / 0.5) ** 2)) - 0.15 * np.exp(-(((radius - 0.68) / 0.08) ** 2))
    reddish = np.array([1.02, 0.93, 0.92])
    surfaces = []
    for side, vertex in zip((-1, 1), sides, strict=True):
        out_angle, lean = np.radians(24), np.radians(10)
        tilt_up, tilt_forward = np.cos(lean) * up + np.sin(lean) * forward, np.cos(lean) * forward - np.sin(lean) * up
        x = face[vertex, 0] + side * (0.005 + relief * np.cos(out_angle) - tilt_forward * np.sin(out_angle))
        z = face[vertex, 2] - 0.10 + tilt_forward * np.cos(out_angle) + relief * np.sin(out_angle)
        vertices = np.stack([x, face[vertex, 1] + 0.02 + tilt_up, z], -1).reshape(-1, 3)
        triangles = grid_triangles(rows, columns)
        tint = hollow.reshape(-1, 1) * skin * reddish
        surface = Surface(
            vertices, triangles if side < 0 else triangles[:, ::-1], grid_uv(rows, columns), "pores", "skin", tint
        )
        surfaces += [surface, surface.inside_out(0.75)]
    return surfaces
