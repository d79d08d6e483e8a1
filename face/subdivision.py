"""Subdivide a coarse triangle mesh into a smooth fine one whose first vertices are the coarse ones.

Midpoint subdivision gives the topology. The places of the new vertices minimise the bending of the surface (thin
plate) while the coarse vertices stay where they are: a linear map from coarse to fine, factored once, through which a
whole basis goes at once. Open boundaries bend as curves of their own.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu


@dataclass(frozen=True)
class Subdivision:
    """A fine mesh over a coarse one.

    Attributes:
        triangles: int64 (F, 3) fine triangles, wound like the coarse ones; V fine vertices, the coarse ones first.
        parents: int64 (V, 2) the ends of the edge a vertex halves (a coarse vertex is its own two parents).
        coupling: sparse (V - C, C) and
        solver: factors of the sparse (V - C, V - C) part of the bending energy; together they place the new vertices.
    """

    triangles: np.ndarray
    parents: np.ndarray
    coupling: sparse.csr_matrix
    solver: SuperLU

    def refine(self, values: np.ndarray) -> np.ndarray:
        """Carry values at the coarse vertices, (C, ...), over to all vertices, float64 (V, ...)."""
        coarse = np.asarray(values, np.float64)
        flat = coarse.reshape(len(coarse), -1)
        # Least energy with the coarse values fixed. It does not see a shift, so a constant stays constant.
        new = self.solver.solve(np.asfortranarray(-(self.coupling @ flat)))
        return np.concatenate([coarse, new.reshape(-1, *coarse.shape[1:])])

    def mirror(self, partner: np.ndarray) -> np.ndarray:
        """Carry the mirror partners of the coarse vertices (C,) over to the fine ones, int64 (V,)."""
        fine = np.asarray(partner, np.int64)
        while len(fine) < len(self.parents):
            ready = np.append((self.parents < len(fine)).all(axis=1), False)
            level = self.parents[: int(ready.argmin())]  # its vertices halve edges of vertices that are known
            numbers = {(int(a), int(b)): v for v, (a, b) in enumerate(level)}
            images = np.sort(fine[level[len(fine) :]], axis=1)
            fine = np.concatenate([fine, [numbers[int(a), int(b)] for a, b in images]])
        return fine


def halve_edges(triangles: np.ndarray, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Split every triangle into four at the midpoints of its edges.

    Args:
        triangles: int (F, 3).
        vertices: number of vertices of the mesh.

    Returns:
        int64 (4 F, 3) triangles of the same winding, and int64 (E, 2) the edges; edge e became vertex `vertices` + e.
    """
    corners = np.asarray(triangles, np.int64)
    sides = np.stack([corners, np.roll(corners, -1, axis=1)], axis=-1)  # (F, 3, 2): ab, bc, ca
    edges, numbers = np.unique(np.sort(sides, axis=-1).reshape(-1, 2), axis=0, return_inverse=True)
    (a, b, c), (ab, bc, ca) = corners.T, vertices + numbers.reshape(-1, 3).T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.stack([np.stack(part, axis=-1) for part in parts], axis=1).reshape(-1, 3), edges


def boundary_loops(triangles: np.ndarray) -> list[list[int]]:
    """Follow the open boundaries of a mesh.

    Args:
        triangles: int (F, 3), consistently wound.

    Returns:
        One list of vertices per loop, in the direction of the triangles' winding, the longest first.
    """
    corners = np.asarray(triangles, np.int64)
    sides = np.stack([corners, np.roll(corners, -1, axis=1)], axis=-1).reshape(-1, 2)
    size = int(corners.max()) + 1
    open_ = ~np.isin(sides[:, 0] * size + sides[:, 1], sides[:, 1] * size + sides[:, 0])
    following = dict(sides[open_].tolist())
    loops = []
    while following:
        start, step = following.popitem()
        loop = [start]
        while step != start:
            loop.append(step)
            step = following.pop(step)
        first = loop.index(min(loop))  # popitem's order is not part of the result
        loops.append(loop[first:] + loop[:first])
    return sorted(loops, key=lambda loop: (-len(loop), loop))


def membrane(mesh: Subdivision, ring: tuple[int, ...]) -> np.ndarray:
    """Close a hole of a fine mesh by triangles between its two sides.

    Args:
        mesh: the mesh.
        ring: coarse vertices of the hole, of even number; the first and the one half a turn later are the corners at
            which the two sides meet.

    Returns:
        int64 (M, 3) triangles on the vertices of the hole, wound like the mesh around it.

    Raises:
        ValueError: the ring is no boundary loop of the mesh.
    """
    loop = next((loop for loop in boundary_loops(mesh.triangles) if set(ring) <= set(loop)), None)
    if loop is None:
        raise ValueError(f"no open boundary of the mesh runs through all of {ring}")
    first, half = loop.index(ring[0]), len(loop) // 2
    loop = loop[first:] + loop[:first]
    near, far = np.array(loop[: half + 1]), np.array([loop[0], *loop[: half - 1 : -1]])
    quads = np.stack([near[:-1], near[1:], far[1:], far[:-1]], axis=1)
    # The mesh runs along the loop; its neighbour across the edge runs the other way.
    triangles = np.concatenate([quads[:, [2, 1, 0]], quads[:, [3, 2, 0]]])
    distinct = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2])
    return triangles[distinct & (triangles[:, 0] != triangles[:, 2])]


def close_loop(loop: list[int], first: int, second: int) -> np.ndarray:
    """Close a hole by triangles between its two sides, which may have different numbers of vertices.

    Args:
        loop: a boundary from `boundary_loops`.
        first: vertex of the loop, the corner at which its two sides start.
        second: another vertex of it, the corner at which they end.

    Returns:
        int64 (len(loop) - 2, 3) triangles on the vertices of the loop, wound like the mesh around it.
    """
    start = loop.index(first)
    turned = loop[start:] + loop[:start]
    end = turned.index(second)
    near, far = turned[: end + 1], [first, *turned[:end:-1], second]
    triangles, i, j = [], 0, 0
    while i + 1 < len(near) or j + 1 < len(far):
        # the side that lags behind goes on, so that the rungs between the sides stay short
        if j + 1 == len(far) or (i + 1 < len(near) and (i + 1) * (len(far) - 1) <= (j + 1) * (len(near) - 1)):
            corners = (near[i + 1], near[i], far[j])
            i += 1
        else:
            corners = (near[i], far[j], far[j + 1])
            j += 1
        if len(set(corners)) == 3:  # at the corners of the hole the sides share a vertex
            triangles.append(corners)
    return np.array(triangles, np.int64).reshape(-1, 3)


def subdivide(coarse: np.ndarray, triangles: np.ndarray, levels: int = 2) -> Subdivision:
    """Refine a mesh smoothly.

    Args:
        coarse: (C, 3) vertices that set the lengths in the bending energy; the map serves any other positions too.
        triangles: int (F, 3), consistently wound, each edge in at most two of them.
        levels: how often every triangle is split into four.

    Returns:
        The fine mesh with C + ... vertices and 4^levels F triangles.
    """
    count = len(coarse)
    fine, points = np.asarray(triangles, np.int64), np.asarray(coarse, np.float64)
    parents = [np.repeat(np.arange(count)[:, None], 2, axis=1)]
    for _ in range(levels):
        fine, edges = halve_edges(fine, len(points))
        points = np.concatenate([points, points[edges].mean(axis=1)])
        parents.append(edges)
    energy = _bending_energy(points, fine)
    # Least energy with the first `count` vertices fixed: energy_nn x_n = -energy_nc x_c.
    solver = splu(energy[count:, count:].tocsc())
    return Subdivision(fine, np.concatenate(parents), energy[count:, :count], solver)


def _bending_energy(points: np.ndarray, triangles: np.ndarray) -> sparse.csr_matrix:
    """Quadratic form of the thin-plate energy inside, and of the bending of the boundary curves."""
    stiffness, areas = _cotangent_laplacian(points, triangles)
    loops = boundary_loops(triangles)
    inside = np.ones(len(points))
    inside[[v for loop in loops for v in loop]] = 0  # at an open edge the surface Laplacian would pull it straight
    energy = stiffness.T @ sparse.diags(inside / areas) @ stiffness
    for loop in loops:
        ring = np.asarray(loop)
        before, after = np.roll(ring, 1), np.roll(ring, -1)
        left = np.linalg.norm(points[ring] - points[before], axis=1)
        right = np.linalg.norm(points[after] - points[ring], axis=1)
        rows = np.arange(len(ring))
        second = sparse.coo_matrix(
            (
                np.concatenate([1 / left, -1 / left - 1 / right, 1 / right]),
                (np.tile(rows, 3), np.concatenate([before, ring, after])),
            ),
            shape=(len(ring), len(points)),
        ).tocsr()
        # Divided once by the length for the curve's energy, once more so that it weighs like an area of the surface.
        energy = energy + second.T @ sparse.diags(1 / ((left + right) / 2) ** 2) @ second
    return energy.tocsr()


def _cotangent_laplacian(points: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Stiffness matrix of linear elements, and the area around each vertex."""
    corners = points[triangles]
    rows, columns, values = [], [], []
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    for k in range(3):
        i, j = triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        one, two = points[i] - points[triangles[:, k]], points[j] - points[triangles[:, k]]
        cotangent = np.maximum((one * two).sum(axis=1) / doubled, 0.05) / 2  # ours: an obtuse corner must not repel
        rows += [i, j, i, j]
        columns += [j, i, i, j]
        values += [-cotangent, -cotangent, cotangent, cotangent]
    size = len(points)
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(size, size)
    )
    areas = np.bincount(triangles.ravel(), np.repeat(doubled / 6, 3), minlength=size)
    return matrix.tocsr(), areas
