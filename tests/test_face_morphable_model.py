import time

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from face.landmarks import COUNT, KEY_POINTS_68, LEFT_EYE, OUTLINE, RIGHT_EYE, five_points, mouth_opening
from face.models.morphable_model import MorphableModel, expression_scale, mouth_opening_map
from face.models.registry import load_face_model
from face.subdivision import boundary_loops
from media.errors import InputError


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


def area_vectors(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def test_dimensions(model: MorphableModel) -> None:
    v = len(model.mean_shape)
    assert model.identity_basis.shape == (80, v, 3)
    assert model.expression_basis.shape == (64, v, 3)
    assert model.texture_basis.shape == (80, v, 3)
    assert model.mean_texture.shape == (v, 3)
    assert model.triangles.shape == (852 * 16, 3)
    assert model.triangles.dtype == torch.int64
    assert 6_000 < v < 8_000
    torch.testing.assert_close(model.landmark_vertices, torch.arange(COUNT))
    assert tuple(model.key_point_vertices.tolist()) == KEY_POINTS_68
    assert not model.state_dict()  # fixed data, not weights: checkpoints do not carry it


def test_the_mean_face_stands_where_deep3d_has_its_own(model: MorphableModel) -> None:
    five = five_points(model.mean_shape)
    assert float((five[1] - five[0]).norm()) == pytest.approx(0.62, abs=1e-4)  # facts 4.1
    reference = torch.tensor(
        [
            [-0.3107, 0.29, 0.133],
            [0.3107, 0.29, 0.133],
            [0, -0.046, 0.552],
            [-0.25, -0.381, 0.223],
            [0.25, -0.381, 0.223],
        ]
    )
    assert float((five - reference).norm(dim=1).max()) < 0.04


def test_the_mean_face_is_its_own_mirror_image(model: MorphableModel) -> None:
    points = model.mean_shape.double().numpy()
    distance, partner = cKDTree(points).query(points * [-1, 1, 1])
    assert distance.max() < 1e-5
    texture = model.mean_texture.numpy()
    np.testing.assert_allclose(texture[partner], texture, atol=2e-5)


def test_shape_and_texture_are_the_linear_model(model: MorphableModel) -> None:
    rng = np.random.default_rng(0)
    alpha, beta, delta = (rng.normal(size=(2, k)).astype("float32") for k in (80, 64, 80))
    shape = model.shape(torch.tensor(alpha), torch.tensor(beta)).numpy()
    texture = model.texture(torch.tensor(delta)).numpy()
    for b in range(2):
        expected = model.mean_shape.double().numpy().copy()
        for k in range(80):
            expected += alpha[b, k] * model.identity_basis[k].double().numpy()
        for k in range(64):
            expected += beta[b, k] * model.expression_basis[k].double().numpy()
        np.testing.assert_allclose(shape[b], expected, atol=1e-5)
        colours = model.mean_texture.double().numpy() + np.tensordot(delta[b], model.texture_basis.double().numpy(), 1)
        np.testing.assert_allclose(texture[b], colours, atol=1e-5)


def test_normals_are_area_weighted_and_outward(model: MorphableModel) -> None:
    vertices = model.shape(torch.zeros(2, 80), 0.5 * torch.randn(2, 64, generator=torch.Generator().manual_seed(0)))
    normals = model.normals(vertices).numpy()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    triangles = model.triangles.numpy()
    faces = area_vectors(vertices[1].double().numpy(), triangles)
    for v in range(0, len(model.mean_shape), 97):
        expected = faces[(triangles == v).any(axis=1)].sum(axis=0)
        np.testing.assert_allclose(normals[1, v], expected / np.linalg.norm(expected), atol=1e-4)
    assert (normals[0, :, 2] > 0).mean() > 0.95  # toward the camera but for the sides of the nose
    assert normals[0, KEY_POINTS_68[30], 2] > 0.7


def test_normals_turn_with_the_face(model: MorphableModel) -> None:
    angle = torch.tensor(0.7, dtype=torch.float64)  # in single precision slivers at the mouth's corners would show
    turn = torch.tensor([[angle.cos(), 0, -angle.sin()], [0, 1, 0], [angle.sin(), 0, angle.cos()]], dtype=torch.float64)
    vertices = model.mean_shape[None].double()
    torch.testing.assert_close(model.normals(vertices @ turn), model.normals(vertices) @ turn, atol=1e-9, rtol=0)


def test_the_mesh_is_wound_consistently_and_the_membrane_closes_the_mouth(model: MorphableModel) -> None:
    triangles = torch.cat([model.triangles, model.mouth_triangles]).numpy()
    sides = np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    assert len(np.unique(sides, axis=0)) == len(sides)
    open_rings = [sorted(v for v in loop if v < COUNT) for loop in boundary_loops(triangles)]
    assert sorted(open_rings) == sorted(map(sorted, (OUTLINE, RIGHT_EYE, LEFT_EYE)))


def test_no_mode_turns_a_triangle_over_within_two_deviations(model: MorphableModel) -> None:
    triangles, mean = model.triangles.numpy(), model.mean_shape.double().numpy()
    rest = area_vectors(mean, triangles)
    for component in (*model.identity_basis.double().numpy(), *model.expression_basis.double().numpy()):
        for sign in (-2, 2):
            assert ((area_vectors(mean + sign * component, triangles) * rest).sum(axis=1) > 0).all()


def test_bases_are_scaled_by_their_deviations(model: MorphableModel) -> None:
    for basis in (model.identity_basis, model.expression_basis, model.texture_basis):
        size = basis.double().flatten(1).norm(dim=1)
        if basis is not model.texture_basis:
            size = basis[:, :COUNT].double().flatten(1).norm(dim=1)
        assert (size.diff() < 1e-6 * size[0]).all()
    moved = model.expression_basis[0, :COUNT].norm(dim=-1)
    assert 0.05 < float(moved.max()) < 0.5  # decimetres for one deviation of the strongest: a mouth half open


def test_texture_is_skin(model: MorphableModel) -> None:
    red, green, blue = model.mean_texture.mean(dim=0).tolist()
    assert 0.9 > red > green > blue > 0.2
    lips = model.mean_texture[[12, 15]].mean(dim=0)
    cheeks = model.mean_texture[[50, 280]].mean(dim=0)
    assert lips[1] / lips[0] < cheeks[1] / cheeks[0]  # redder
    brows, forehead = model.mean_texture[[105, 334]].mean(), model.mean_texture[[151]].mean()
    assert brows < forehead


def test_region_weights(model: MorphableModel) -> None:
    for weight in (model.mouth_weight, model.eye_weight, model.skin_weight):
        assert float(weight.min()) >= 0
        assert float(weight.max()) <= 1
    assert float(model.mouth_weight[[13, 14, 61, 291]].min()) == pytest.approx(1)
    assert float(model.mouth_weight[[10, 33, 263, 234]].max()) < 1e-3
    assert float(model.eye_weight[[33, 159, 386]].min()) == pytest.approx(1)
    assert float(model.skin_weight[[13, 33]].max()) < 1e-3
    assert float(model.skin_weight[[10, 234]].min()) > 0.99


def test_expression_scale_is_the_weighted_movement(model: MorphableModel) -> None:
    scale = expression_scale(model)
    assert scale.shape == (64,)
    assert scale.dtype == np.float32
    weight = 0.2 + 0.8 * model.mouth_weight.double().numpy()
    for k in (0, 7, 63):
        movement = np.linalg.norm(model.expression_basis[k].double().numpy(), axis=1)
        assert scale[k] == pytest.approx(np.sqrt(np.average(movement**2, weights=weight)), rel=1e-4)


def test_mouth_opening_map_agrees_with_the_measured_opening(model: MorphableModel) -> None:
    gain = mouth_opening_map(model)
    rng = np.random.default_rng(0)
    beta = rng.normal(size=(200, 64)).astype("float32")
    beta[:, 0] *= 3  # the strongest component opens the jaw
    faces = model.shape(torch.zeros(200, 80), torch.tensor(beta))[:, :COUNT]
    opening = mouth_opening(faces).numpy()
    predicted = beta @ gain
    opened = predicted > 0.05  # lips that press into each other have no opening to compare
    assert opened.sum() > 20
    assert np.corrcoef(predicted[opened], opening[opened])[0, 1] > 0.95
    assert np.abs(predicted - opening)[opened].mean() < 0.05


def test_shape_and_normals_take_little_time_on_one_core(model: MorphableModel) -> None:
    alpha, beta = torch.zeros(64, 80), torch.zeros(64, 64)
    times, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # then the time of this thread is all there is, however busy the machine
    try:
        for _ in range(5):
            start = time.thread_time()
            model.normals(model.shape(alpha, beta))
            times.append(time.thread_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 0.3  # 64 frames; about 0.07 s on one core


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'facemsh'.*facemesh"):
        load_face_model("facemsh")
