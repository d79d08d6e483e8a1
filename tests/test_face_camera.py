import numpy as np
import torch
from scipy.spatial.transform import Rotation

from face.camera import Camera, pose_vertices, rotation_matrix


def test_rotation_is_the_transpose_of_rz_ry_rx():
    angles = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    expected = Rotation.from_euler("xyz", angles).as_matrix().transpose(0, 2, 1)  # extrinsic x, then y, then z
    np.testing.assert_allclose(rotation_matrix(angles), expected, atol=1e-12)


def test_numpy_and_torch_agree():
    rng = np.random.default_rng(1)
    vertices, angles, translation = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    expected = Camera().project(pose_vertices(vertices, angles, translation))
    tensors = (torch.from_numpy(a) for a in (vertices, angles, translation))
    np.testing.assert_allclose(Camera().project(pose_vertices(*tensors)).numpy(), expected, atol=1e-9)


def test_projection_is_deep3d_scaled_with_the_image():
    camera = Camera(224)
    assert (camera.focal, camera.centre) == (1015.0, 112.0)
    assert Camera(256).focal == 1160.0
    # One decimetre to the right and up at the origin: 1015 / 10 pixels right of and above the centre.
    np.testing.assert_allclose(camera.project(np.array([[1.0, 1.0, 0.0]])), [[213.5, 10.5, 10.0]])
    # Twice as near, twice as large.
    np.testing.assert_allclose(camera.project(np.array([[1.0, 0.0, 5.0]])), [[315.0, 112.0, 5.0]])


def test_signs_of_the_angles():
    nose = np.array([[0.0, 0.0, 1.0]])
    still = np.zeros(3)
    assert pose_vertices(nose, np.array([0.3, 0, 0]), still)[0, 1] < 0  # pitch > 0 looks down
    assert pose_vertices(nose, np.array([0, 0.3, 0]), still)[0, 0] > 0  # yaw > 0 looks to the image's right
    top = np.array([[0.0, 1.0, 0.0]])
    assert pose_vertices(top, np.array([0, 0, 0.3]), still)[0, 0] < 0  # roll > 0 turns counter-clockwise


def test_gradients_flow():
    angles = torch.zeros(1, 3, requires_grad=True)
    Camera().project(pose_vertices(torch.rand(1, 4, 3), angles, torch.zeros(1, 3))).sum().backward()
    assert angles.grad is not None
    assert torch.isfinite(angles.grad).all()
