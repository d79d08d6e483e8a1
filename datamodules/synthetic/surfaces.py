"""Triangle surfaces that a scene is put together from, and the grids they are made on.

Lengths are decimetres in face space (x to the image's right, y up, z toward the camera). Triangles run
counter-clockwise seen from outside, as the rasteriser wants them.
"""

from dataclasses import dataclass, field, replace

import numba
import numpy as np


@dataclass(frozen=True)
class Surface:
    """A textured piece of the scene.

    Attributes:
        vertices: (V, 3).
        triangles: int64 (F, 3).
        uv: (V, 2) place in its texture, both in [0, 1], u to the right and v down.
        texture: Name of its texture.
        material: Name of its material.
        tint: (V, 3) factor of the texture; holds colour and the darkness of hollows.
        tangent: (V, 3) direction of hair; zero elsewhere.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    texture: str
    material: str
    tint: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    tangent: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def __post_init__(self) -> None:
        count = len(self.vertices)
        if not len(self.tint):
            object.__setattr__(self, "tint", np.ones((count, 3)))
        if not len(self.tangent):
            object.__setattr__(self, "tangent", np.zeros((count, 3)))

    def inside_out(self, darkness: float) -> "Surface":
        """The back of the surface, seen from the other side and darker."""
        return replace(self, triangles=self.triangles[:, ::-1], tint=self.tint * darkness)


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of vertices in row-major order.

    Args:
        rows: Number of rows of vertices.
        columns: Number of vertices per row.

    Returns:
        int64 (2 (rows - 1) (columns - 1), 3); the front is where rows run downward and columns to the right.
    """
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def grid_uv(rows: int, columns: int) -> np.ndarray:
    """Texture coordinates of a grid: u along the columns, v along the rows, (rows * columns, 2)."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u, v], -1).reshape(-1, 2)


def grid_tangent(points: np.ndarray) -> np.ndarray:
    """Unit direction along the rows of a grid (rows, columns, 3), flattened to (rows * columns, 3)."""
    along = np.gradient(points, axis=0)
    return (along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)).reshape(-1, 3)


def smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth rise between (also falling, if `low` > `high`)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals, (V, 3): the mean of the adjacent triangles' normals, weighted by area."""
    return _vertex_normals(np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(triangles, np.int64))


@numba.njit(nogil=True, cache=True)
def _vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    normals = np.zeros_like(vertices)
    for face in range(triangles.shape[0]):
        a, b, c = vertices[triangles[face, 0]], vertices[triangles[face, 1]], vertices[triangles[face, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        for corner in range(3):
            normal = normals[triangles[face, corner]]
            normal[0] += uy * vz - uz * vy
            normal[1] += uz * vx - ux * vz
            normal[2] += ux * vy - uy * vx
    for vertex in range(vertices.shape[0]):
        x, y, z = normals[vertex]
        normals[vertex] /= max(np.sqrt(x * x + y * y + z * z), 1e-12)
    return normals
