from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from face.camera import Camera, pose_vertices
from face.landmarks import COUNT, KEY_POINTS_68, mouth_opening
from face.models.bfm import load_bfm
from face.models.morphable_model import MorphableModel, expression_scale, mouth_opening_map
from face.models.registry import load_face_model, model_version
from face.reconstructors.closed_form import fit_geometry
from face.subdivision import boundary_loops
from media.digest import sha256
from media.errors import InputError
from tests.basel_face import DEEP3D, basel_file, official_mesh_file


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return basel_file(tmp_path_factory.mktemp("basel") / "BFM_model_front.mat")


@pytest.fixture(scope="module")
def model(file) -> MorphableModel:
    return load_face_model("bfm", file)


@pytest.fixture(scope="module")
def facemesh() -> MorphableModel:
    return load_face_model("facemesh")


def directed_sides(triangles: torch.Tensor) -> list[tuple[int, int]]:
    return [(int(t[k]), int(t[(k + 1) % 3])) for t in triangles for k in range(3)]


def test_the_file_is_read_as_deep3d_reads_it(model, facemesh):
    rng = np.random.default_rng(0)
    alpha, beta, delta = (torch.tensor(rng.normal(size=(2, k)), dtype=torch.float32) for k in (80, 64, 80))
    shape, expected = model.shape(alpha, beta), facemesh.shape(alpha, beta)
    centre = facemesh.mean_shape.double().mean(0).float()
    torch.testing.assert_close(shape, expected - centre, atol=2e-5, rtol=0)
    torch.testing.assert_close(model.mean_shape.double().mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(model.texture(delta), facemesh.texture(delta), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.triangles, facemesh.triangles)
    torch.testing.assert_close(model.normals(shape), facemesh.normals(expected), atol=5e-3, rtol=0)


def test_it_has_key_points_and_no_landmarks(model, facemesh):
    assert model.landmark_vertices.shape == (0,)
    assert tuple(model.key_point_vertices.tolist()) == KEY_POINTS_68
    assert float(model.mouth_weight[list(KEY_POINTS_68[48:])].min()) == pytest.approx(1)
    assert float(model.eye_weight[list(KEY_POINTS_68[36:48])].min()) == pytest.approx(1)
    # 20 points say nearly what the 40 of the lips say
    assert np.corrcoef(model.mouth_weight, facemesh.mouth_weight)[0, 1] > 0.95


def test_the_membrane_closes_the_mouth_and_nothing_else(model, facemesh):
    sides = directed_sides(torch.cat([model.triangles, model.mouth_triangles]))
    assert len(set(sides)) == len(sides)  # wound like the mesh around it
    before = boundary_loops(model.triangles.numpy())
    after = boundary_loops(torch.cat([model.triangles, model.mouth_triangles]).numpy())
    closed = [loop for loop in before if loop not in after]
    assert len(after) == len(before) - 1
    assert set(closed[0]) == set(np.unique(facemesh.mouth_triangles).tolist())


def test_the_membrane_of_an_open_mouth_covers_it(model, facemesh):
    beta = torch.zeros(1, 64)
    beta[0] = torch.from_numpy(mouth_opening_map(facemesh)) * 4
    points = facemesh.shape(torch.zeros(1, 80), beta)[0, :, :2].double().numpy()

    def area(triangles: torch.Tensor) -> float:
        a, b, c = points[triangles.numpy()].transpose(1, 2, 0)
        (ux, uy), (vx, vy) = b - a, c - a
        return float(np.abs(ux * vy - uy * vx).sum() / 2)

    loop = next(loop for loop in boundary_loops(model.triangles.numpy()) if KEY_POINTS_68[62] in loop)
    x, y = points[loop].T
    polygon = abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2  # the shoelace formula
    assert polygon > 0.005  # square decimetres
    assert area(model.mouth_triangles) == pytest.approx(polygon, rel=0.05)


def test_what_training_asks_of_a_model_is_the_same_without_landmarks(model, facemesh):
    np.testing.assert_allclose(mouth_opening_map(model), mouth_opening_map(facemesh), atol=1e-5)
    np.testing.assert_allclose(expression_scale(model), expression_scale(facemesh), rtol=0.05)


def test_geometry_is_found_from_key_points_alone(model, facemesh):
    rng = np.random.default_rng(1)
    count = 40
    time = np.arange(count)[:, None] / 25
    beta = 1.2 * np.sin(6.3 * time * rng.uniform(0.3, 1, 64) + rng.uniform(0, 6.3, 64)) / (1 + np.arange(64)) ** 0.5
    angles = np.radians([4, 10, 3]) * np.sin(6.3 * time * [0.3, 0.4, 0.2] + [0, 1, 2])
    shape = model.shape(torch.zeros(count, 80), torch.tensor(beta, dtype=torch.float32)).double()
    posed = pose_vertices(shape.numpy(), angles, np.tile([0.05, 0.1, -0.8], (count, 1)))
    points = Camera().project(posed[:, :COUNT])  # the first vertices of this file are the landmarks
    points[..., 2] *= Camera().focal / points[..., 2].mean()
    found = fit_geometry(points, np.ones(count), model, Camera(), 25)
    assert np.degrees(np.abs(found.angles - angles)).mean() < 1.5
    opening = mouth_opening(facemesh.shape(torch.zeros(count, 80), torch.tensor(beta).float())[:, :COUNT]).numpy()
    fitted = model.shape(torch.tensor(found.identity).expand(count, -1), torch.tensor(found.expression))[:, :COUNT]
    assert np.corrcoef(mouth_opening(fitted).numpy(), opening)[0, 1] > 0.97


def test_the_version_is_that_of_the_file(file, tmp_path):
    assert model_version("bfm", file) == sha256(file)
    assert model_version("facemesh", file) == model_version("facemesh")  # which reads its own
    other = basel_file(tmp_path / "other.mat", meantex=np.ones((1, 3 * len(load_bfm(file).mean_shape))))
    assert model_version("bfm", other) != model_version("bfm", file)
    assert float(load_bfm(other).mean_texture.max()) == pytest.approx(1 / 255)


@pytest.mark.parametrize("ask", [load_face_model, model_version])
def test_a_missing_file_says_where_to_apply(ask, tmp_path):
    for path in (None, tmp_path / "nowhere.mat"):
        with pytest.raises(InputError, match=r"face\.model_file.*faces\.dmi\.unibas\.ch") as refusal:
            ask("bfm", path)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exBase": None}, "no field exBase"),
        ({"exBase": np.zeros((30, 64))}, r"exBase has shape \(30, 64\) instead of"),
        ({"texBase": np.zeros((30, 79))}, "texBase has shape"),
        ({"tri": np.array([[0.0, 1, 2]])}, "tri names vertices 0 to 2"),
        ({"keypoints": np.full((1, 68), 1e6)}, "keypoints names vertices"),
    ],
)
def test_other_layouts_are_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=rf"unfit\.mat.*{message}"):
        load_bfm(basel_file(tmp_path / "unfit.mat", **changes))


def test_what_is_no_matlab_file_is_refused(tmp_path):
    path = tmp_path / "page.mat"
    path.write_text("<html>please log in</html>" * 50)
    with pytest.raises(InputError, match=r"page\.mat: not a MATLAB file"):
        load_bfm(path)
    savemat(path, {"something": np.ones(3)})
    with pytest.raises(InputError, match="has no field meanshape"):
        load_bfm(path)


@pytest.mark.data
@pytest.mark.skipif(not DEEP3D.exists(), reason="needs the tables of Deep3D")
def test_the_official_mesh_faces_outward_and_its_mouth_is_closed(tmp_path):
    model = load_bfm(official_mesh_file(tmp_path / "BFM_model_front.mat"))
    assert model.mean_shape.shape == (35709, 3)
    assert model.triangles.shape == (70789, 3)
    assert model.mouth_triangles.shape == (76, 3)  # its boundary has 78 vertices (facts 1.8)
    normals = model.normals(model.mean_shape[None])[0]
    assert (normals[:, 2] > 0).float().mean() > 0.99  # a smooth surface through the key points looks at the camera
    after = boundary_loops(torch.cat([model.triangles, model.mouth_triangles]).numpy())
    assert [len(loop) for loop in after] == [551]
    middle = model.mean_shape[model.mouth_triangles].mean((0, 1))
    lips = model.mean_shape[model.key_point_vertices[60:]].mean(0)
    assert float((middle - lips)[:2].norm()) < 0.03
    a, b, c = model.mean_shape[model.mouth_triangles].unbind(1)
    longest = max(float((p - q).norm()) for p, q in ((a, b), (b, c), (c, a)) for p, q in zip(p, q, strict=True))
    assert longest < 0.15  # decimetres: from lip to lip, never along the mouth, which is 0.5 wide
