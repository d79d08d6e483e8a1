import numpy as np
import pytest
import torch

from face.albedo import ALBEDOS, most_neutral
from face.coefficients import ANGLES, EXPRESSION, ILLUMINATION, SIZE, TEXTURE
from face.rendering import Renderer, compose
from tests.sphere_face import SphereFace

PIXELS = 160


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(SphereFace(mouth=False), size=PIXELS)


def stripes(model: SphereFace) -> torch.Tensor:
    """A pattern that no texture coefficient can express, mirror symmetric."""
    x, y = model.mean_shape[:, 0].abs(), model.mean_shape[:, 1]
    wave = 0.5 + 0.2 * torch.sin(10 * y) * torch.cos(8 * x)
    return torch.stack([wave, 0.8 * wave, 0.6 * wave], -1)


def video(renderer: Renderer, count: int = 24, turn: float = 0.35) -> tuple[np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    chi = torch.zeros(count, SIZE)
    chi[:, ILLUMINATION] = 0.08 * torch.randn(27, generator=generator)
    chi[:, ANGLES.start + 1] = torch.linspace(-turn, turn, count)
    chi[:, ANGLES.start] = 0.1 * torch.randn(count, generator=generator)
    rendering = renderer.render(chi, stripes(renderer.model))
    pictures = compose(rendering, torch.full_like(rendering.image, 0.9))
    return (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), chi.numpy()


@pytest.mark.parametrize("name", ["mean", "detailed"])
def test_seen_vertices_get_their_true_albedo(renderer, name):
    frames, chi = video(renderer)
    found = ALBEDOS[name](frames, chi, renderer)
    assert found.shape == renderer.model.mean_texture.shape
    assert found.dtype == torch.float32
    front = renderer.model.mean_shape[:, 2] > 0.3
    error = (found - stripes(renderer.model))[front].abs()
    assert error.mean() < 0.02  # pixels of 0.03 dm see a pattern of 0.6 dm
    assert error.max() < 0.1


def test_mean_ignores_what_covers_a_vertex_for_a_moment(renderer):
    frames, chi = video(renderer)
    clean = ALBEDOS["mean"](frames, chi, renderer)
    covered = frames.copy()
    for k in range(0, 24, 6):  # a hand, in one frame of six
        covered[k, :, : PIXELS // 2] = [20, 250, 20]
    spoilt = ALBEDOS["mean"](covered, chi, renderer)
    front = renderer.model.mean_shape[:, 2] > 0.3
    assert (spoilt - clean)[front].abs().mean() < 0.02  # an ordinary mean would be wrong by more than 0.03


def test_what_is_never_seen_comes_from_the_other_half_or_the_texture(renderer):
    frames, chi = video(renderer, count=4)
    chi[:, ANGLES] = 0
    chi[:, ANGLES.start + 1] = 0.9  # one side only
    tensor = torch.from_numpy(chi)
    rendering = renderer.render(tensor, stripes(renderer.model))
    pictures = compose(rendering, torch.full_like(rendering.image, 0.9))
    frames = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    found = ALBEDOS["mean"](frames, chi, renderer)
    x, z = renderer.model.mean_shape[:, 0], renderer.model.mean_shape[:, 2]
    # A yaw of 0.9 turns +z to +x, so the camera sees the side of negative x; its mirror image was never seen.
    hidden = (x > 0.6) & (z > 0)
    assert (found - stripes(renderer.model))[hidden].abs().mean() < 0.03
    # The back continues the difference to the texture model without a step.
    difference = found - renderer.model.mean_texture
    edges = renderer.model.triangles[:, :2]
    back = (z[edges] < -0.6).all(1)
    assert (difference[edges[back, 0]] - difference[edges[back, 1]]).abs().max() < 0.01
    assert difference[z < -0.7].abs().max() < difference.abs().max()


def test_a_part_that_nobody_saw_and_nothing_touches_is_the_texture_model(renderer):
    frames, chi = video(renderer, count=2)
    model = SphereFace(mouth=False)
    far = model.mean_shape * 0.1 - torch.tensor([0.0, 0.0, 2.0])  # a second, small sphere behind the first
    count = len(far)
    model.mean_shape = torch.cat([model.mean_shape, far])
    model.mean_texture = torch.cat([model.mean_texture, model.mean_texture * 0.5])
    model.triangles = torch.cat([model.triangles, model.triangles + count])
    for name in ("identity_basis", "expression_basis", "texture_basis"):
        setattr(model, name, torch.cat([getattr(model, name)] * 2, 1))
    found = ALBEDOS["mean"](frames, chi, Renderer(model, size=PIXELS))
    torch.testing.assert_close(found[count:], model.mean_texture[count:], atol=1e-4, rtol=0)


def test_low_frequency_is_the_texture_of_the_coefficients(renderer):
    chi = torch.zeros(5, SIZE)
    chi[:, TEXTURE] = torch.randn(80, generator=torch.Generator().manual_seed(0))
    found = ALBEDOS["low_frequency"](np.empty(0), chi, renderer)
    torch.testing.assert_close(found, renderer.model.texture(chi[:1, TEXTURE])[0].clamp(0, 1))


def test_most_neutral_frame():
    chi = np.zeros((4, SIZE), np.float32)
    chi[0, EXPRESSION] = 1.0
    chi[1, ANGLES] = [0.3, 0.2, 0.0]
    chi[2, EXPRESSION], chi[2, ANGLES] = 0.1, [0.01, 0.02, 0.0]
    chi[3, EXPRESSION], chi[3, ANGLES] = 0.5, [0.05, 0.0, 0.0]
    assert most_neutral(chi) == 2


def test_detailed_is_the_most_neutral_frame_alone(renderer):
    frames, chi = video(renderer)
    best = most_neutral(chi)
    alone = ALBEDOS["detailed"](frames[best : best + 1], chi[best : best + 1], renderer)
    torch.testing.assert_close(ALBEDOS["detailed"](frames, chi, renderer), alone)
