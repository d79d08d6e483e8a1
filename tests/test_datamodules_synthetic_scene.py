import numpy as np
import pytest
import torch
from skimage.draw import polygon

from datamodules.synthetic.expressions import ACTIONS, fit_actions, wish
from datamodules.synthetic.lighting import fit_light
from datamodules.synthetic.person import Person, draw_person
from datamodules.synthetic.scene import Pose, Scene, head_translation
from datamodules.synthetic.shading import MATERIAL_INDEX, Atlas, shade
from datamodules.synthetic.surfaces import grid_triangles, vertex_normals
from face.camera import Camera, pose_vertices
from face.illumination import irradiance
from face.landmarks import CHIN, INNER_LIPS, mouth_opening
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.rasterizers.numba_backend import NumbaRasterizer

SIZE = 256


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(0)


@pytest.fixture(scope="module")
def scene(person: Person, model: MorphableModel) -> Scene:
    return Scene(person, model)


def _moment(expression: np.ndarray, yaw: float = 0.0) -> Pose:
    return Pose(expression, np.array([0.0, yaw, 0.0]), np.zeros(3), np.zeros(2), 0.0)


def _visible(scene: Scene, moment: Pose, material: str) -> int:
    """Number of pixels in which a material is seen."""
    posed, _ = scene.pose(moment)
    projected = torch.from_numpy(Camera(SIZE).project(posed).astype(np.float32))[None]
    triangle = NumbaRasterizer()(projected, torch.from_numpy(scene.triangles), SIZE).triangle.numpy()
    seen = scene.surfaces[triangle[triangle >= 0], 1]
    return int((seen == MATERIAL_INDEX[material]).sum())


def _action(model: MorphableModel, **strengths: float) -> np.ndarray:
    table = fit_actions(model)
    return np.sum([value * table[ACTIONS.index(name)] for name, value in strengths.items()], axis=0)


def test_the_same_seed_draws_the_same_person() -> None:
    one, same, other = draw_person(4), draw_person(4), draw_person(5)
    np.testing.assert_array_equal(one.identity, same.identity)
    assert one.voice == same.voice
    assert np.abs(one.identity - other.identity).max() > 0.5
    assert one.haircut.style != other.haircut.style


def test_actions_do_what_they_are_named_for(model: MorphableModel) -> None:
    face = model.mean_shape.numpy()[model.landmark_vertices.numpy()].astype(float)
    basis = model.expression_basis.numpy()[:, model.landmark_vertices.numpy()]
    moved = {name: face + np.tensordot(row, basis, 1) for name, row in zip(ACTIONS, fit_actions(model), strict=True)}
    assert mouth_opening(moved["opening"]) > 0.2
    assert moved["opening"][CHIN, 1] < face[CHIN, 1] - 0.1
    assert all(mouth_opening(moved[name]) < 0.02 for name in ("spread", "rounding", "press", "lids", "brows", "smile"))
    width = {name: points[291, 0] - points[61, 0] for name, points in moved.items()}
    neutral = face[291, 0] - face[61, 0]
    assert width["spread"] > neutral + 0.08
    assert width["rounding"] < neutral - 0.10
    assert moved["rounding"][0, 2] > face[0, 2] + 0.04  # upper lip forward
    for upper, lower in ((159, 145), (386, 374)):
        opening = (face[upper] - face[lower])[1]
        assert abs((moved["lids"][upper] - moved["lids"][lower])[1]) < 0.2 * opening
        assert (moved["opening"][upper] - moved["opening"][lower])[1] > 0.85 * opening  # eyes do not mind the mouth
    assert moved["brows"][105, 1] > face[105, 1] + 0.015
    assert moved["smile"][61, 1] > face[61, 1] + 0.03


def test_a_wish_moves_only_what_it_names(model: MorphableModel) -> None:
    face = model.mean_shape.numpy()[model.landmark_vertices.numpy()].astype(float)
    assert np.abs(wish("lids", face)[face[:, 1] < 0]).max() == 0
    assert np.abs(wish("spread", face)[face[:, 1] > 0]).max() == 0


def test_the_face_of_the_scene_is_that_of_the_model(scene: Scene, person: Person, model: MorphableModel) -> None:
    # Placed by χ through the model's own functions, the vertices are the same: the neck joint is only another way
    # to say the translation.
    expression = _action(model, opening=0.6, smile=0.3)
    angles, lean = np.array([0.1, -0.2, 0.05]), np.array([0.05, 0.0, -0.1])
    posed, _ = scene.pose(Pose(expression, angles, lean, np.zeros(2), 0.0))
    shape = model.shape(
        torch.from_numpy(person.identity.astype(np.float32))[None],
        torch.from_numpy(expression.astype(np.float32))[None],
    )
    expected = pose_vertices(shape[0].numpy(), angles, head_translation(person, angles, lean))
    np.testing.assert_allclose(posed[: len(expected)], expected, atol=1e-4)


def test_closed_lips_hide_the_teeth_and_open_ones_show_them(scene: Scene, model: MorphableModel) -> None:
    assert _visible(scene, _moment(_action(model, press=1.0, opening=-0.03)), "teeth") <= 3
    assert _visible(scene, _moment(_action(model, opening=0.8)), "teeth") > 40


@pytest.mark.parametrize("seed", [0, 4])  # at rest, the lips of person 4 cross
def test_nothing_but_a_mouth_is_seen_between_the_lips(seed: int, scene: Scene, model: MorphableModel) -> None:
    scene = scene if seed == 0 else Scene(draw_person(seed), model)
    expression = _action(model, opening=1.2)
    inside = {MATERIAL_INDEX[name] for name in ("teeth", "wet", "dark", "lips", "face")}
    for pitch in (-0.2, 0.0, 0.2):
        posed, _ = scene.pose(Pose(expression, np.array([pitch, 0.15, 0.0]), np.zeros(3), np.zeros(2), 0.0))
        projected = Camera(SIZE).project(posed).astype(np.float32)
        triangle = NumbaRasterizer()(
            torch.from_numpy(projected)[None], torch.from_numpy(scene.triangles), SIZE
        ).triangle[0]
        opening = polygon(*projected[list(INNER_LIPS), 1::-1].T, shape=(SIZE, SIZE))
        assert len(opening[0]) > 100
        assert set(scene.surfaces[triangle.numpy()[opening], 1]) <= inside


def test_shut_lids_hide_the_eyes(scene: Scene, model: MorphableModel) -> None:
    for yaw in (-0.2, 0.2):
        opened = _visible(scene, _moment(_action(model, smile=0.0), yaw), "eye")
        shut = _visible(scene, _moment(_action(model, lids=1.0), yaw), "eye")
        assert opened > 150
        assert shut < 0.15 * opened


def test_no_background_shows_through_the_head(scene: Scene, model: MorphableModel) -> None:
    from scipy.ndimage import label

    for yaw in (-0.25, 0.0, 0.25):
        posed, _ = scene.pose(_moment(_action(model, opening=0.8), yaw))
        projected = torch.from_numpy(Camera(SIZE).project(posed).astype(np.float32))[None]
        empty = NumbaRasterizer()(projected, torch.from_numpy(scene.triangles), SIZE).triangle[0].numpy() < 0
        regions, count = label(empty)
        assert count == 1, np.bincount(regions.ravel())


def test_normals_are_those_of_a_sphere() -> None:
    v, u = np.meshgrid(np.linspace(0.02, np.pi - 0.02, 60), np.linspace(0, 2 * np.pi, 80), indexing="ij")
    # Columns run to the right seen from outside, rows downward.
    points = np.stack([np.sin(v) * np.sin(u), np.cos(v), np.sin(v) * np.cos(u)], -1).reshape(-1, 3)
    normals = vertex_normals(2.5 * points, grid_triangles(60, 80))
    inner = (np.abs(points[:, 1]) < 0.99) & (np.arange(len(points)) % 80 % 79 > 0)
    assert (normals * points).sum(1)[inner].min() > 0.999


def test_the_polynomial_is_the_irradiance_of_the_harmonics(person: Person) -> None:
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    x, y, z = normals.T
    terms = np.stack([np.ones(50), x, y, z, x * x, y * y, z * z, x * y, y * z, x * z], -1)
    gamma = torch.from_numpy(person.light.gamma)[None]
    expected = irradiance(torch.from_numpy(normals).float()[None], gamma)[0].numpy()
    np.testing.assert_allclose(terms @ person.light.polynomial, expected, atol=1e-4)


def test_a_lamp_lights_the_side_it_stands_on() -> None:
    light = fit_light(np.full(3, 0.2), [((1.0, 0.0, 0.5), (0.8, 0.7, 0.6), 0.2)])
    right, left = (
        irradiance(torch.tensor([[[x, 0.0, 0.0]]]), torch.from_numpy(light.gamma)[None])[0, 0] for x in (1, -1)
    )
    assert (right > left + 0.3).all()
    assert right[0] > right[2]


def test_textures_keep_their_place_in_the_atlas() -> None:
    rng = np.random.default_rng(0)
    textures = {"a": rng.random((8, 16, 3)).astype(np.float32), "b": rng.random((5, 4, 3)).astype(np.float32)}
    atlas = Atlas.of(textures)
    for name, texture in textures.items():
        (column, row), (right, bottom) = atlas.locate(name, np.array([[0.0, 0.0], [1.0, 1.0]])).astype(int)
        np.testing.assert_array_equal(atlas.pixels[row, column], texture[0, 0])
        np.testing.assert_array_equal(atlas.pixels[bottom, right], texture[-1, -1])


def test_shading_leaves_the_backdrop_and_is_repeatable(scene: Scene, person: Person) -> None:
    posed, attributes = scene.pose(_moment(np.zeros(64)))
    projected = torch.from_numpy(Camera(2 * SIZE).project(posed).astype(np.float32))[None]
    fragments = NumbaRasterizer()(projected, torch.from_numpy(scene.triangles), 2 * SIZE)
    backdrop = np.random.default_rng(0).random((SIZE, SIZE, 3)).astype(np.float32)
    one, two = (
        shade(fragments, scene.triangles, scene.surfaces, attributes, scene.atlas, person.light, backdrop)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    empty = (fragments.triangle[0].numpy() < 0).reshape(SIZE, 2, SIZE, 2).all((1, 3))
    assert 0.2 < empty.mean() < 0.8
    np.testing.assert_allclose(one[empty] / 255, backdrop[empty], atol=0.6 / 255)


def test_small_textures_show_the_same_person(scene: Scene, person: Person, model: MorphableModel) -> None:
    def picture(of: Scene) -> np.ndarray:
        posed, attributes = of.pose(_moment(np.zeros(64)))
        projected = torch.from_numpy(Camera(2 * SIZE).project(posed).astype(np.float32))[None]
        fragments = NumbaRasterizer()(projected, torch.from_numpy(of.triangles), 2 * SIZE)
        backdrop = np.zeros((SIZE, SIZE, 3), np.float32)
        return shade(fragments, of.triangles, of.surfaces, attributes, of.atlas, person.light, backdrop).astype(float)

    fine, coarse, other = (picture(s) for s in (scene, Scene(person, model, 0.25), Scene(draw_person(2), model, 0.25)))
    shown = fine.any(-1)
    assert np.abs(fine - coarse)[shown].mean() < 6
    assert np.abs(fine - coarse)[shown].mean() < 0.3 * np.abs(fine - other)[shown].mean()
    assert scene.atlas.pixels.nbytes > 4 * Scene(person, model, 0.25).atlas.pixels.nbytes
