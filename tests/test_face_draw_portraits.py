from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from face.draw_portraits import Painter
from face.portrait_curves import lids, lips, outline
from face.portrait_relief import SIZE, X, Y, turn
from face.random_faces import Expression, Person, random_expression, random_person


@pytest.fixture(scope="module")
def person() -> Person:
    plain = random_person(np.random.default_rng(0))
    head = replace(plain.head, offset=0.0, fringe=0.0, strands=(0.0, 0.0))
    eyes = replace(plain.eyes, unequal=0.0, glasses=0.0)
    mouth = replace(plain.mouth, tilt=0.0, offset=0.0)
    colours = replace(plain.colours, backdrop=np.full((2, 3), 0.3), blotches=np.zeros((5, 5, 3)))
    return Person(head, eyes, replace(plain.nose, bend=0.0), mouth, colours)


def test_portraits_are_pictures_and_repeat_from_their_seed() -> None:
    def paint(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        painter = Painter(random_person(rng))
        return painter.portrait(random_expression(rng), rng), painter.albedo()

    for first, again, other in zip(paint(3), paint(3), paint(4), strict=True):
        assert first.shape == (SIZE, SIZE, 3)
        assert first.dtype == np.float32
        assert first.min() >= 0
        assert first.max() <= 1
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0.1


def test_a_symmetric_person_has_a_symmetric_albedo(person: Person) -> None:
    albedo = Painter(person).albedo()
    np.testing.assert_allclose(albedo, albedo[:, ::-1], atol=0.12)  # polygons cover pixels to about half of one
    assert np.abs(albedo - albedo[:, ::-1]).mean() < 2e-3


def test_the_albedo_has_no_light_in_it(person: Person) -> None:
    albedo = Painter(person).albedo()
    forehead = albedo[int((person.eyes.y - 0.3 + 1) * SIZE / 2), 60:132]
    np.testing.assert_allclose(forehead, np.broadcast_to(forehead[0], forehead.shape), atol=0.02)
    np.testing.assert_allclose(forehead.mean(axis=0), person.colours.skin, atol=0.03)


def test_lips_part_as_told(person: Person) -> None:
    assert np.abs(lips(person, Expression()).gap).max() == 0
    mouth = lips(person, Expression(gap_upper=0.02, gap_lower=0.05))
    assert mouth.gap[:, 1].max() == pytest.approx(0.07)
    assert mouth.gap[20, 1] == mouth.gap[:, 1].max()  # widest in the middle
    assert mouth.gap[0, 1] == mouth.gap[-1, 1] == 0
    wide = lips(person, Expression(stretch=1.3)).inner_top
    assert np.ptp(wide[:, 0]) == pytest.approx(1.3 * 2 * person.mouth.half_width)
    smiling = lips(person, Expression(smile=0.05)).inner_top
    assert smiling[0, 1] < smiling[20, 1]  # corners above the middle: y runs down


def test_lids_shut_and_jaws_drop(person: Person) -> None:
    upper, lower = lids(person, 1.0, -1)
    shut, _ = lids(person, 0.0, -1)
    open_height = (lower - upper)[:, 1].max()
    assert open_height > 0.02
    assert (lower - shut)[:, 1].max() < 0.3 * open_height
    np.testing.assert_allclose(upper[[0, -1]], lower[[0, -1]], atol=1e-12)
    still, dropped = outline(person, Expression()), outline(person, Expression(jaw_drop=0.1))
    assert dropped[:, 1].max() - still[:, 1].max() == pytest.approx(0.1, abs=1e-3)
    assert dropped[:, 1].min() == still[:, 1].min()


def test_turning_moves_what_is_near_and_roll_turns_the_plane() -> None:
    picture = np.zeros((SIZE, SIZE, 3), np.float32)
    picture[..., 0] = np.exp(-((X / 0.08) ** 2) - (Y / 0.08) ** 2)
    near = np.full((SIZE, SIZE), 0.5, np.float32)  # everything 0.3 before the axis of the turn
    yawed = turn(picture, near, (0.0, 0.2, 0.0))[..., 0]
    moved = (np.array(ndimage.center_of_mass(yawed)) + 0.5) * 2 / SIZE - 1
    np.testing.assert_allclose(moved, [0, 0.3 * np.sin(0.2)], atol=2e-3)
    off = np.roll(picture, 40, axis=1)
    rolled = turn(off, np.full_like(near, 0.2), (0.0, 0.0, 0.3))[..., 0]
    place = (np.array(ndimage.center_of_mass(rolled)) + 0.5) * 2 / SIZE - 1
    radius = 40 * 2 / SIZE
    np.testing.assert_allclose(np.abs(place), [radius * np.sin(0.3), radius * np.cos(0.3)], atol=3e-3)
