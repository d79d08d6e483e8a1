"""What lies around the face in a photo, as a continuation of its mesh (face profiling, Zhu et al. 2016).

Rings of anchors run from the outline of the face over hair, ears and neck outward, beyond the borders of the photo.
Their depth continues the round of the head back to the plane of its silhouette, which everything behind lies in. Up to
the silhouette they move with the head, then less and less: the borders stand still. Rings joined by quads, instead of
the Delaunay triangulation of loose anchors, keep the outline of the face an edge of the mesh in every case.
"""

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic.surfaces import smoothstep

# Ours, as shares of the height of the face: what hair, ears and neck usually reach beyond the outline of the face.
_HAIR_SIDE, _HAIR_TOP, _NECK = 0.27, 0.46, 0.30
_FADE, _SHORTEST_FADE = 0.9, 0.25  # over which the movement of the head dies away
_FADE_NECK = 0.75  # downward, from the jaw on
_JAW_REACH = 0.45  # how far around the face the skin follows the jaw
_NECK_DEPTH = 0.5  # of the way from the chin back to the silhouette's plane the throat lies
_HEAD_RINGS = np.array([0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92, 1.0])
_FADE_RINGS = np.linspace(0, 1, 9)[1:]


@dataclass(frozen=True)
class Surroundings:
    """Anchors around a face; ring by ring outward, n on each, in the order of the outline.

    Attributes:
        points: (R n, 3) x, y in pixels of the photo, depth in decimetres.
        rigidity: (R n,) share of the head's movement that an anchor makes.
        following: (R n,) share of the movement of the outline's skin that it makes.
        triangles: int64 (F, 3) on the vertices of outline (0 to n - 1) and anchors (from n on), facing the camera.
    """

    points: np.ndarray
    rigidity: np.ndarray
    following: np.ndarray
    triangles: np.ndarray


def surround(outline: np.ndarray, up: np.ndarray, height: float, plane: float, size: tuple[int, int]) -> Surroundings:
    """Continue a face over the photo.

    Args:
        outline: (n, 3) vertices around the face in order, x, y in pixels of the photo and depth in decimetres.
        up: (2,) unit vector of the head's upward direction in the photo (y down).
        height: Of the face in pixels.
        plane: Depth of the head's silhouette and of what is behind it, decimetres.
        size: Height and width of the photo in pixels.

    Returns:
        The anchors and the triangles.
    """
    count = len(outline)
    centre = (outline[:, :2].min(0) + outline[:, :2].max(0)) / 2
    ray = outline[:, :2] - centre
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    upward = ray @ up
    above, below = np.clip(upward, 0, 1), np.clip(-upward, 0, 1)
    head = height * (_HAIR_SIDE + (_HAIR_TOP - _HAIR_SIDE) * above**2 + (_NECK - _HAIR_SIDE) * below**2)
    rigid = head * (1 - smoothstep(below, 0.2, 0.9))
    free = np.maximum(_to_border(outline[:, :2], ray, size) - rigid, _SHORTEST_FADE * height)
    fade = np.minimum(height * (_FADE + (_FADE_NECK - _FADE) * below), free)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * [size[1], size[0]]
    farthest = 1.1 * np.linalg.norm(corners - centre, axis=1).max()
    last = np.maximum(farthest - np.linalg.norm(outline[:, :2] - centre, axis=1), 1.1 * (head + fade))
    distance = np.concatenate(
        [_HEAD_RINGS[:, None] * head, head + _FADE_RINGS[:, None] * np.maximum(rigid + fade - head, 0.1 * height)]
    )
    distance = np.concatenate([distance, last[None]])  # (R, n) pixels from the outline
    back = 1 - np.sqrt(np.clip(1 - (distance / head) ** 2, 0, None))
    behind = plane + (1 - _NECK_DEPTH) * below**2 * (outline[:, 2] - plane)
    points = np.concatenate(
        [
            outline[:, :2] + distance[..., None] * ray,
            (outline[:, 2] + back * (behind - outline[:, 2]))[..., None],
        ],
        -1,
    )
    rigidity = 1 - smoothstep((distance - rigid) / fade, 0, 1)
    following = 1 - smoothstep(distance / (_JAW_REACH * height), 0, 1)
    triangles = _joined(len(distance) + 1, count)
    if _area(outline[:, :2]) < 0:  # the order of the outline decides which side of the quads faces the camera
        triangles = triangles[:, ::-1]
    return Surroundings(points.reshape(-1, 3), rigidity.ravel(), following.ravel(), triangles)


def _to_border(points: np.ndarray, rays: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n,) pixels along each ray to the border of the photo, 0 from outside."""
    limits = np.where(rays > 0, [size[1], size[0]], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(np.abs(rays) > 1e-9, (limits - points) / rays, np.inf)
    return np.clip(steps.min(axis=1), 0, None)


def _joined(rings: int, count: int) -> np.ndarray:
    """Quads, as triangles, between closed rings of `count` vertices each."""
    index = np.arange(rings * count).reshape(rings, count)
    inner, outer = index[:-1], index[1:]
    a, b, c, d = inner, np.roll(inner, -1, axis=1), outer, np.roll(outer, -1, axis=1)
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])


def _area(polygon: np.ndarray) -> float:
    """Signed area of a closed polygon (n, 2) in pixels, y down: positive if it runs clockwise as seen."""
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
