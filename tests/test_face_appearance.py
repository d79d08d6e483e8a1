import time

import numpy as np
import pytest
import torch

from face.appearance import fit_appearance, observe, spread, texture_per_frame
from face.camera import Camera
from face.coefficients import ANGLES, ILLUMINATION, SIZE, TEXTURE, TRANSLATION
from face.illumination import irradiance
from face.rendering import Renderer, compose
from tests.sphere_face import SphereFace

PIXELS = 96


@pytest.fixture(scope="module")
def model() -> SphereFace:
    return SphereFace(mouth=False)


def video(model: SphereFace, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A sphere of known texture and light that turns a little, before a grey wall."""
    generator = torch.Generator().manual_seed(0)
    chi = torch.zeros(count, SIZE)
    chi[:, TEXTURE] = torch.randn(80, generator=generator)
    chi[:, ILLUMINATION] = 0.12 * torch.randn(27, generator=generator)
    chi[:, ANGLES] = 0.3 * torch.randn(count, 3, generator=generator)
    chi[:, TRANSLATION] = 0.1 * torch.randn(count, 3, generator=generator)
    rendering = Renderer(model, size=PIXELS).render(chi, model.texture(chi[:, TEXTURE]))
    pictures = compose(rendering, torch.full_like(rendering.image, 0.5))
    frames = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return frames, chi.numpy()


def geometry(chi: np.ndarray) -> np.ndarray:
    known = chi.copy()
    known[:, TEXTURE] = 0
    known[:, ILLUMINATION] = 0
    return known


def test_observed_colours_are_albedo_times_irradiance(model):
    frames, chi = video(model)
    tensor = torch.from_numpy(chi)
    expected_albedo = model.texture(tensor[:1, TEXTURE])
    start = 0
    for seen in observe(frames, chi, Renderer(model, size=PIXELS)):
        stop = start + len(seen.colours)
        expected = (expected_albedo * irradiance(seen.normals, tensor[start:stop, ILLUMINATION])).clamp(0, 1)
        error = (seen.colours - expected).abs().mean(-1)
        assert (error * seen.weights).sum() / seen.weights.sum() < 0.01
        # Never the far side, and the share that is seen: the cap of cosine 0.2 has 40 % of the area of a sphere.
        assert (seen.normals[..., 2][seen.weights > 0] > 0.1).all()
        assert 0.3 < (seen.weights > 0).float().mean() < 0.5
        start = stop
    assert start == len(frames)


def test_hidden_vertices_are_not_observed(model):
    frames, chi = video(model, 2)

    class Shadowed(SphereFace):
        """Every vertex twice, the second set 0.2 dm behind the first, without triangles of its own."""

    twin = Shadowed(mouth=False)
    for name in ("mean_shape", "mean_texture"):
        value = getattr(twin, name)
        setattr(twin, name, torch.cat([value, value * 0.75 if name == "mean_shape" else value]))
    for name in ("identity_basis", "expression_basis", "texture_basis"):
        setattr(twin, name, torch.cat([getattr(twin, name)] * 2, 1))
    weights = torch.cat([o.weights for o in observe(frames, chi, Renderer(twin, size=PIXELS))])
    assert (weights[:, len(model.mean_shape) :] == 0).all()
    assert (weights[:, : len(model.mean_shape)] > 0).any()


def test_texture_and_light_are_recovered(model):
    frames, chi = video(model)
    found = fit_appearance(frames, geometry(chi), model, Camera(PIXELS))
    assert found.texture.shape == (80,)
    assert found.illumination.shape == (27,)
    assert found.texture.dtype == found.illumination.dtype == np.float32
    # What each factor leaves to the other is not decided, but pictures are, in poses that were not in the video too.
    chi[:, ANGLES] *= -0.7
    guessed = chi.copy()
    guessed[:, TEXTURE], guessed[:, ILLUMINATION] = found.texture, found.illumination
    renderer = Renderer(model, size=PIXELS)
    true, ours = (
        renderer.render(torch.from_numpy(c), model.texture(torch.from_numpy(c[:, TEXTURE]))) for c in (chi, guessed)
    )
    error = (true.image - ours.image).abs().mean(1)[true.mask[:, 0] == 1]
    assert error.mean() < 0.015


def test_a_covered_quarter_does_not_change_the_rest(model):
    frames, chi = video(model)
    clean = fit_appearance(frames, geometry(chi), model, Camera(PIXELS))
    covered = frames.copy()
    covered[:, :34] = [250, 20, 250]  # a bright hat over a fifth of the face
    spoilt = fit_appearance(covered, geometry(chi), model, Camera(PIXELS))
    low = model.mean_shape[:, 1] < 0.2
    albedo = [model.texture(torch.from_numpy(a.texture)[None])[0, low] for a in (clean, spoilt)]
    normals = model.normals(model.mean_shape[None])[:, low]
    lit = [
        texture * irradiance(normals, torch.from_numpy(a.illumination)[None])[0]
        for texture, a in zip(albedo, (clean, spoilt), strict=True)
    ]
    front = normals[0, :, 2] > 0.5
    assert (lit[0] - lit[1])[front].abs().mean() < 0.03


def test_texture_per_frame(model):
    frames, chi = video(model, 20)
    known = chi.copy()
    known[:, TEXTURE] = 0
    found = texture_per_frame(frames, known, model, Camera(PIXELS))
    assert found.shape == (20, 80)
    assert found.dtype == np.float32
    shown = torch.from_numpy(np.stack([found[0], chi[0, TEXTURE]]))
    front = model.mean_shape[:, 2] > 0.5
    difference = (model.texture(shown[:1]) - model.texture(shown[1:]))[0, front]
    assert difference.abs().mean() < 0.02


def test_refuses_frames_of_another_size(model):
    frames, chi = video(model, 2)
    with pytest.raises(ValueError, match="frames"):
        fit_appearance(frames[:, :-1], chi, model, Camera(PIXELS))


def test_spread_takes_first_and_last():
    assert spread(300, 4).tolist() == [0, 100, 199, 299]
    assert spread(3, 40).tolist() == [0, 1, 2]


def test_speed(model):
    frames, chi = video(model, 30)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for _ in range(3):
            start = time.process_time()
            texture_per_frame(frames, chi, model, Camera(PIXELS))
            times.append((time.process_time() - start) / 30)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 5 / 100  # 300 frames in 5 s, and three times that for a busy machine
