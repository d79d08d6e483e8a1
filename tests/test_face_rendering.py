import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from face.coefficients import ANGLES, IDENTITY, ILLUMINATION, SIZE, TRANSLATION
from face.illumination import irradiance
from face.models.registry import load_face_model
from face.rendering import Renderer, Rendering, compose, pose_face
from media.errors import InputError
from tests.sphere_face import SphereFace


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SphereFace(), size=96)


def coefficients(batch: int = 1) -> torch.Tensor:
    return torch.zeros(batch, SIZE)


def rays(renderer: Renderer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the ray of each pixel meets the sphere: normals (H, W, 3), inside (H, W), window of the mouth (H, W)."""
    camera, radius = renderer.camera, SphereFace.radius
    y, x = (np.mgrid[: camera.size, : camera.size] + 0.5 - camera.centre) / camera.focal
    a, b, c = x**2 + y**2 + 1, -20.0, 100 - radius**2
    discriminant = b * b - 4 * a * c
    depth = (-b - np.sqrt(np.maximum(discriminant, 0))) / (2 * a)
    normals = np.stack([x * depth, -y * depth, 10 - depth], -1) / radius
    window = (np.abs(normals[..., 0]) < 0.25) & (np.abs(normals[..., 1] + 0.3) < 0.15)
    return normals, discriminant > 0, window


def test_mask_mouth_and_background_fill_every_pixel(renderer):
    rendering = renderer.render(coefficients(), renderer.model.mean_texture)
    _, inside, window = rays(renderer)
    total = (rendering.mask + rendering.mouth)[0, 0].numpy()
    # Away from the outline there is no crack between skin, skin and mouth.
    core = inside.copy()
    for _ in range(2):
        core[1:-1, 1:-1] &= core[:-2, 1:-1] & core[2:, 1:-1] & core[1:-1, :-2] & core[1:-1, 2:]
    assert (total[core] == 1).all()
    assert total[~inside].mean() < 0.01
    assert abs(total.sum() - inside.sum()) < 0.01 * inside.sum()
    assert abs(rendering.mouth.sum().item() - window[inside].sum()) < 0.1 * window[inside].sum()
    assert 0 < ((total > 0) & (total < 1)).sum() < 0.1 * inside.sum()


def test_colour_is_albedo_times_irradiance_at_the_point_seen(renderer):
    chi = coefficients()
    chi[0, ILLUMINATION] = 0.1 * torch.randn(27, generator=torch.Generator().manual_seed(0))
    albedo = renderer.model.mean_texture
    rendering = renderer.render(chi, albedo)
    normals, inside, window = rays(renderer)
    lit = irradiance(torch.from_numpy(normals).float().reshape(1, -1, 3), chi[:, ILLUMINATION])
    expected = (albedo[0] * lit).reshape(*inside.shape, 3).numpy()
    known = inside & ~window & (rendering.mask[0, 0].numpy() == 1)
    found = rendering.image[0].permute(1, 2, 0).numpy()
    assert known.sum() > 1000
    assert np.abs(found - expected)[known].max() < 0.02  # facets of three degrees
    assert np.abs(found - expected)[known].mean() < 0.001


def test_outline_moves_smoothly(renderer):
    """Movement by tenths of a pixel moves the centre of the mask by as much, to a twentieth: no steps, no flicker."""
    chi = coefficients(21)
    steps = torch.linspace(0, 2, 21)  # pixels
    depth = 10.0
    chi[:, TRANSLATION.start] = steps * depth / renderer.camera.focal
    rendering = renderer.render(chi, renderer.model.mean_texture)
    total = (rendering.mask + rendering.mouth)[:, 0]
    columns = torch.arange(96) + 0.5
    centre = (total.sum(1) * columns).sum(1) / total.sum((1, 2))
    assert (centre - centre[0] - steps).abs().max() < 0.05


def test_no_dark_rim(renderer):
    rendering = renderer.render(coefficients(), torch.ones_like(renderer.model.mean_texture))
    constant = 0.8 * math.sqrt(math.pi) / 2
    shown = rendering.mask[0, 0] > 0
    torch.testing.assert_close(rendering.image[0, 0][shown], torch.full_like(rendering.image[0, 0][shown], constant))
    assert (rendering.image[0, 0][~shown & (rendering.mouth[0, 0] == 0)] == 0).all()


def test_folded_mouth_is_drawn_from_its_back_too(renderer):
    folded = SphereFace()
    folded.mouth_triangles = folded.mouth_triangles.flip(1)
    seen = [r.render(coefficients(), renderer.model.mean_texture).mouth for r in (renderer, Renderer(folded, size=96))]
    assert torch.equal(*seen)


def test_through_a_hole_one_sees_the_background_not_the_back_of_the_head():
    model = SphereFace()
    window = model.mouth_triangles
    model.mouth_triangles = window[:0]
    renderer = Renderer(model, size=96)
    background = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    rendering = renderer.render(coefficients(), model.mean_texture)
    _, inside, hole = rays(renderer)
    hole = torch.from_numpy(hole & inside)
    assert rendering.mask[0, 0][hole].float().mean() < 0.15  # its rim only
    empty = hole & (rendering.mask[0, 0] == 0)
    assert empty.sum() > 50
    assert torch.equal(compose(rendering, background)[0][:, empty], background[0][:, empty])


def test_compose_is_skin_over_background_and_black_in_the_mouth():
    mask = torch.tensor([1.0, 0.5, 0.0, 0.25, 0.0]).reshape(1, 1, 1, 5)
    mouth = torch.tensor([0.0, 0.0, 1.0, 0.5, 0.0]).reshape(1, 1, 1, 5)
    image = torch.full((1, 3, 1, 5), 0.8)
    found = compose(Rendering(image, mask, mouth), torch.full((1, 3, 1, 5), 0.4))
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([0.8, 0.6, 0.0, 0.3, 0.4]))
    shown = compose(Rendering(image, mask, mouth), torch.full((1, 3, 1, 5), 0.4), torch.full((1, 3, 1, 5), 0.6))
    torch.testing.assert_close(shown[0, 0, 0], torch.tensor([0.8, 0.6, 0.6, 0.6, 0.4]))


def test_batch_equals_single_frames(renderer):
    chi = 0.1 * torch.randn(3, SIZE, generator=torch.Generator().manual_seed(2))
    albedo = torch.rand(3, *renderer.model.mean_texture.shape, generator=torch.Generator().manual_seed(3))
    together = renderer.render(chi, albedo)
    for k in range(3):
        alone = renderer.render(chi[k : k + 1], albedo[k])
        for name in ("image", "mask", "mouth"):
            torch.testing.assert_close(getattr(together, name)[k], getattr(alone, name)[0])


def test_pose_face_knows_which_side_faces_the_camera(renderer):
    chi = coefficients()
    chi[0, ANGLES] = torch.tensor([0.2, 0.5, -0.3])
    face = pose_face(renderer.model, renderer.camera, chi)
    # Of a sphere of radius r at distance 10 the camera sees the cap whose cosine to its direction is above r / 10.
    edge, near = SphereFace.radius / 10, face.normals[..., 2]
    on_skin = face.normals.norm(dim=-1) > 0.5  # vertices of the mouth alone have no normal
    assert (face.facing[on_skin & (near > edge + 0.02)] > 0).all()
    assert (face.facing[on_skin & (near < edge - 0.02)] < 0).all()


def test_posing_in_loops_is_posing_in_tensors():
    renderer = Renderer(load_face_model("facemesh"))
    chi = 0.3 * torch.randn(3, SIZE, generator=torch.Generator().manual_seed(5))
    loops, tensors = (pose_face(renderer.model, renderer.camera, c) for c in (chi, chi.clone().requires_grad_()))
    for name in ("projected", "normals", "facing"):
        assert getattr(tensors, name).requires_grad
        assert not getattr(loops, name).requires_grad
        torch.testing.assert_close(getattr(loops, name), getattr(tensors, name).detach(), atol=1e-4, rtol=1e-5)


def test_a_frame_gives_gradients_to_its_own_identity(renderer):
    chi = torch.zeros(2, SIZE, requires_grad=True)
    pose_face(renderer.model, renderer.camera, chi).projected[1].sum().backward()
    assert not chi.grad[0].any()
    assert chi.grad[1, IDENTITY].any()


def test_unknown_rasterizer():
    with pytest.raises(InputError, match="did you mean numba"):
        Renderer(SphereFace(), "numbr")


def test_two_threads_draw_the_same(renderer):
    chi = 0.1 * torch.randn(6, SIZE, generator=torch.Generator().manual_seed(4))
    alone = renderer.render(chi, renderer.model.mean_texture)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: renderer.render(chi, renderer.model.mean_texture), range(8)))
    for one in both:
        assert torch.equal(one.image, alone.image)
        assert torch.equal(one.mask, alone.mask)


def test_gradients_of_coefficients_and_albedo_at_fixed_visibility():
    """Only the image has them, so only pixels whose triangle stays the same are compared with finite differences."""
    model = SphereFace(16, 32).double()
    renderer = Renderer(model, size=24)
    chi = 0.05 * torch.randn(1, SIZE, generator=torch.Generator().manual_seed(8)).double()
    albedo = 0.3 + 0.3 * torch.rand(len(model.mean_shape), 3, generator=torch.Generator().manual_seed(9)).double()
    moving = torch.cat([torch.arange(80, 81), torch.arange(224, SIZE)])

    def image(numbers: torch.Tensor, paint: torch.Tensor) -> torch.Tensor:
        return renderer.render(chi.index_copy(1, moving, numbers), paint).image[..., 8:16, 6:18]

    inputs = chi[:, moving].requires_grad_(), albedo.requires_grad_()
    assert torch.autograd.gradcheck(image, inputs, eps=1e-6, atol=1e-6, fast_mode=True)
    assert image(*inputs).sum() > 1


def test_without_gradients_nothing_asks_for_them(renderer):
    chi = coefficients().requires_grad_()
    assert renderer.render(chi, renderer.model.mean_texture).image.requires_grad
    with torch.no_grad():
        assert not renderer.render(chi, renderer.model.mean_texture).image.requires_grad
