import numpy as np
import pytest
import torch

from face.camera import Camera, rotation_matrix
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TRANSLATION
from face.illumination import irradiance, irradiance_forms
from face.lit_vertices import light_face
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


def some_chi(batch: int, people: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    chi = 0.3 * torch.randn(batch, SIZE, generator=generator)
    chi[:, IDENTITY] = chi[torch.arange(batch) % people][:, IDENTITY]
    return chi


def naive(model: MorphableModel, camera: Camera, chi: np.ndarray, albedo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One frame, straight from the definitions, in numpy and double precision."""
    points = model.mean_shape.double().numpy().copy()
    points += np.tensordot(chi[IDENTITY], model.identity_basis.double().numpy(), 1)
    points += np.tensordot(chi[EXPRESSION], model.expression_basis.double().numpy(), 1)
    posed = points @ rotation_matrix(chi[ANGLES]) + chi[TRANSLATION]
    depth = 10 - posed[:, 2]
    half, focal = camera.size / 2, 1015 * camera.size / 224
    projected = np.stack([half + focal * posed[:, 0] / depth, half - focal * posed[:, 1] / depth, depth], -1)
    triangles = model.triangles.numpy()
    a, b, c = (posed[triangles[:, corner]] for corner in range(3))
    normals = np.zeros_like(posed)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], np.cross(b - a, c - a))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    light = irradiance(torch.from_numpy(normals)[None], torch.from_numpy(chi[ILLUMINATION])[None])[0].numpy()
    return projected, np.clip(albedo * light, 0, 1)


@pytest.mark.parametrize("people", [1, 3])
def test_loops_equal_the_definitions(model, people):
    camera, chi = Camera(256), some_chi(3, people)
    albedo = torch.rand(3, len(model.mean_shape), 3, generator=torch.Generator().manual_seed(6))
    projected, colours = light_face(model, camera, chi, albedo)
    for k in range(3):
        places, lit = naive(model, camera, chi[k].double().numpy(), albedo[k].double().numpy())
        np.testing.assert_allclose(projected[k], places, atol=1e-3)
        np.testing.assert_allclose(colours[k], lit, atol=2e-3)  # normals of slivers have few digits in float32
        assert np.abs(colours[k].numpy() - lit).mean() < 1e-5
        assert 0.05 < ((lit > 0) & (lit < 1)).mean() < 1  # some colours are clipped, not all


def test_tensors_with_gradients_give_the_same(model):
    camera, chi = Camera(256), some_chi(2)
    albedo = torch.rand(len(model.mean_shape), 3, generator=torch.Generator().manual_seed(6))
    in_loops = light_face(model, camera, chi, albedo)
    in_tensors = light_face(model, camera, chi.clone().requires_grad_(), albedo)
    torch.testing.assert_close(in_loops[0], in_tensors[0].detach(), atol=1e-3, rtol=0)
    torch.testing.assert_close(in_loops[1], in_tensors[1].detach(), atol=2e-3, rtol=0)
    assert in_tensors[0].requires_grad
    assert in_tensors[1].requires_grad
    assert not in_loops[0].requires_grad


def test_quadratic_form_of_the_normal_is_the_irradiance():
    generator = torch.Generator().manual_seed(7)
    normals = torch.nn.functional.normalize(torch.randn(2, 50, 3, generator=generator).double(), dim=-1)
    gamma = torch.randn(2, 27, generator=generator).double()
    x, y, z = normals.unbind(-1)
    terms = torch.stack([x * x, y * y, z * z, x * y, y * z, x * z, x, y, z, torch.ones_like(x)], -1)
    torch.testing.assert_close(terms @ irradiance_forms(gamma).mT, irradiance(normals, gamma))
