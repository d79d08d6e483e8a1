import numpy as np
import pytest

from face.subdivision import boundary_loops, halve_edges, membrane, subdivide

OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def on_sphere(levels: int) -> tuple[np.ndarray, np.ndarray]:
    points, triangles = OCTAHEDRON, FACES
    for _ in range(levels):
        triangles, edges = halve_edges(triangles, len(points))
        points = np.concatenate([points, points[edges].mean(axis=1)])
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, triangles


def areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = points[triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a) / 2


def test_halving_keeps_surface_and_winding() -> None:
    triangles, edges = halve_edges(FACES, 6)
    assert triangles.shape == (32, 3)
    assert edges.shape == (12, 2)
    points = np.concatenate([OCTAHEDRON, OCTAHEDRON[edges].mean(axis=1)])
    total = np.zeros(3)
    for quarter in areas(points, triangles).reshape(8, 4, 3):  # the four parts of a face lie behind each other
        np.testing.assert_allclose(quarter, np.broadcast_to(quarter[0], (4, 3)))
        total += np.abs(quarter.sum(axis=0))
    np.testing.assert_allclose(total, np.abs(areas(OCTAHEDRON, FACES)).sum(axis=0))


def test_a_coarse_sphere_becomes_a_rounder_one() -> None:
    points, triangles = on_sphere(2)
    fine = subdivide(points, triangles)
    refined = fine.refine(points)
    np.testing.assert_array_equal(refined[: len(points)], points)
    np.testing.assert_allclose(fine.refine(np.ones(len(points))), 1)
    flat = points[fine.parents[len(points) : len(points) + 192]].mean(axis=1)
    off = np.abs(np.linalg.norm(refined, axis=1) - 1).max()
    assert off < 0.2 * np.abs(np.linalg.norm(flat, axis=1) - 1).max()
    centres = refined[fine.triangles].mean(axis=1)
    assert ((areas(refined, fine.triangles) * centres).sum(axis=1) > 0).all()


def test_an_open_boundary_stays_round() -> None:
    points, triangles = on_sphere(2)
    upper = triangles[points[triangles].mean(axis=1)[:, 2] > 0]
    kept = np.unique(upper)
    fine = subdivide(points[kept], np.searchsorted(kept, upper))
    loops = boundary_loops(fine.triangles)
    assert len(loops) == 1
    rim = fine.refine(points[kept])[loops[0]]
    assert len(rim) == 16 * 4
    np.testing.assert_allclose(np.linalg.norm(rim, axis=1), 1, atol=0.01)
    np.testing.assert_allclose(rim[:, 2], 0, atol=0.01)


def test_a_membrane_closes_a_hole() -> None:
    points, triangles = on_sphere(1)
    holed = triangles[~(triangles == 4).any(axis=1)]  # without the triangles around the north pole
    used = np.unique(holed)
    holed = np.searchsorted(used, holed)
    fine = subdivide(points[used], holed)
    ring = boundary_loops(holed)[0]
    closed = np.concatenate([fine.triangles, membrane(fine, tuple(ring))])
    assert boundary_loops(closed) == []
    sides = [(a, b) for t in closed.tolist() for a, b in zip(t, [*t[1:], t[0]], strict=True)]
    assert len(sides) == len(set(sides))  # no side twice in one direction: the winding agrees
    with pytest.raises(ValueError, match="no open boundary"):
        membrane(fine, (0, 1, 2, 3))


def test_mirror_partners_reach_the_fine_vertices() -> None:
    points, triangles = on_sphere(1)
    partner = np.array([np.linalg.norm(points * [-1, 1, 1] - p, axis=1).argmin() for p in points])
    fine = subdivide(points, triangles)
    mirrored = fine.mirror(partner)
    refined = fine.refine(points)
    np.testing.assert_array_equal(mirrored[mirrored], np.arange(len(refined)))
    np.testing.assert_allclose(refined[mirrored], refined * [-1, 1, 1], atol=1e-9)
