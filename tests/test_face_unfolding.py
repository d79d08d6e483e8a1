import numpy as np
import pytest

from face.subdivision import Subdivision, subdivide
from face.unfolding import RANGE, kept_areas, unfold

SIDE = 7
PARTNER = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)[:, ::-1].ravel()


@pytest.fixture(scope="module")
def sheet() -> tuple[np.ndarray, Subdivision]:
    """A bent square of 7 x 7 points, symmetric about x = 0, and its fine mesh."""
    y, x = np.mgrid[-3:4, -3:4].astype(float)
    points = np.stack([x, y, 0.1 * (x * x + y * y)], axis=-1).reshape(-1, 3)
    corner = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (corner[r : r + SIDE - 1, s : s + SIDE - 1].ravel() for r in (0, 1) for s in (0, 1))
    left = np.tile(np.arange(SIDE - 1) < SIDE // 2, SIDE - 1)  # diagonals that are each other's mirror image
    quads = [
        ([p, q, r], [p, r, s]) if w else ([p, q, s], [q, r, s]) for p, q, r, s, w in zip(a, b, d, c, left, strict=True)
    ]
    return points, subdivide(points, np.array(quads).reshape(-1, 3))


def fold(*places: tuple[int, float, float]) -> np.ndarray:
    """A mode (49, 3) that moves points of a row sideways."""
    mode = np.zeros((SIDE * SIDE, 3))
    for place, dx, dy in places:
        mode[place, :2] = dx, dy
    return mode


# the first pushes two points of the middle row past the one between them, the second carries them up past the next row,
# the third is harmless
MODES = np.stack(
    [
        fold((23, 0.8, 0.0), (25, -0.8, 0.0)),
        fold((23, 0.0, 0.7), (25, 0.0, 0.7)),
        fold((3, 0.0, -0.2), (17, 0.0, 0.1)),
    ]
)


def fine(mesh: Subdivision, mean: np.ndarray, modes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return mesh.refine(mean), np.stack([mesh.refine(mode) for mode in modes])


def test_kept_areas_are_those_of_a_naive_loop(sheet: tuple[np.ndarray, Subdivision]) -> None:
    mean, modes = fine(sheet[1], sheet[0], MODES)
    triangles = sheet[1].triangles
    kept = kept_areas(mean, modes, triangles)
    assert kept.shape == (2, len(MODES), len(triangles))
    for side, sign in enumerate((-RANGE, RANGE)):
        for k, mode in enumerate(modes):
            for f in range(0, len(triangles), 37):
                a, b, c = mean[triangles[f]]
                rest = np.cross(b - a, c - a)
                a, b, c = (mean + sign * mode)[triangles[f]]
                assert kept[side, k, f] == pytest.approx(np.cross(b - a, c - a) @ rest / (rest @ rest), abs=1e-9)


def test_no_triangle_turns_over_afterwards(sheet: tuple[np.ndarray, Subdivision]) -> None:
    points, mesh = sheet
    before = kept_areas(*fine(mesh, points, MODES), mesh.triangles)
    assert before[:, :2].min() < 0
    assert before[:, 2].min() > 0
    after = unfold(points, MODES, mesh, PARTNER)
    assert kept_areas(*fine(mesh, after.mean, after.modes), mesh.triangles).min() > 0
    # both sides stay each other's image
    flip = np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(after.mean[PARTNER] * flip, after.mean, atol=1e-12)
    np.testing.assert_allclose(after.modes[:, PARTNER] * flip, after.modes, atol=1e-12)


def test_what_folds_nothing_stays_as_it_is(sheet: tuple[np.ndarray, Subdivision]) -> None:
    points, mesh = sheet
    same = unfold(points, MODES[2:], mesh, PARTNER)
    np.testing.assert_array_equal(same.mean, points)
    np.testing.assert_array_equal(same.modes, MODES[2:])
    np.testing.assert_array_equal(unfold(points, MODES, mesh, PARTNER).modes[2], MODES[2])


def test_modes_change_less_than_by_making_them_weaker(sheet: tuple[np.ndarray, Subdivision]) -> None:
    points, mesh = sheet
    after = unfold(points, MODES[:1], mesh, PARTNER)
    shares = np.linspace(0, 1, 101)
    flat = next(s for s in shares[::-1] if kept_areas(*fine(mesh, points, s * MODES[:1]), mesh.triangles).min() > 0)
    weaker = np.linalg.norm((1 - flat) * MODES[0])
    assert 0 < np.linalg.norm(after.modes[0] - MODES[0]) < weaker


def test_folds_left_after_the_last_round_are_an_error(
    sheet: tuple[np.ndarray, Subdivision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face.unfolding._STEPS", 1)
    monkeypatch.setattr("face.unfolding._ROUNDS", 1)
    with pytest.raises(RuntimeError, match="still turn over"):
        unfold(sheet[0], MODES, sheet[1], PARTNER)
