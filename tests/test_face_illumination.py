import math

import pytest
import torch
from scipy.integrate import lebedev_rule

from face.illumination import fit_illumination, irradiance, robust_weights, sh_basis


def sphere(count: int = 4000) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1
    )


def light_from(direction: torch.Tensor) -> torch.Tensor:
    """γ of one distant white light of irradiance 1: the projection of a delta, less the ambient offset.

    The basis here carries attenuation a and normalisation; dividing by a leaves the plain harmonics, whose values at
    the light's direction are the coefficients of a delta.
    """
    attenuation = torch.tensor([math.pi] + [2 * math.pi / math.sqrt(3)] * 3 + [2 * math.pi / math.sqrt(8)] * 5)
    gamma = sh_basis(direction) / attenuation
    gamma[0] -= 0.8
    return gamma.repeat(3)


def test_functions_are_orthogonal_and_of_one_size_per_band():
    points, weights = lebedev_rule(11)
    basis = sh_basis(torch.from_numpy(points.T))
    gram = (basis * torch.from_numpy(weights)[:, None]).mT @ basis
    off_diagonal = gram - torch.diag(gram.diag())
    assert off_diagonal.abs().max() < 1e-10
    # Integral of the squared harmonics is 1, so what remains is the attenuation squared of each band: Deep3D's a.
    expected = [math.pi**2] + [(2 * math.pi / math.sqrt(3)) ** 2] * 3 + [(2 * math.pi / math.sqrt(8)) ** 2] * 5
    torch.testing.assert_close(gram.diag(), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


def test_constant_light():
    gamma = torch.zeros(1, 27)
    expected = 0.8 * math.sqrt(math.pi) / 2
    torch.testing.assert_close(irradiance(sphere().float()[None], gamma), torch.full((1, 4000, 3), expected))
    gamma[0, 9] = 0.2  # more green
    light = irradiance(sphere().float()[None], gamma)[0]
    torch.testing.assert_close(light[:, 1], torch.full((4000,), math.sqrt(math.pi) / 2))
    torch.testing.assert_close(light[:, 0], torch.full((4000,), expected))


@pytest.mark.parametrize("axis", [(0.0, 0, 1), (1.0, 0, 0), (0.0, 1, 0), (-0.6, 0.0, 0.8), (0.48, -0.6, 0.64)])
def test_sphere_under_one_light(axis):
    direction = torch.tensor(axis, dtype=torch.float64)
    normals = sphere()
    found = irradiance(normals[None], light_from(direction)[None])[0]
    cosine = normals @ direction
    # Addition theorem: each band is a_l (2l + 1) / (4 pi) P_l(c); Deep3D's a_l are larger than the Lambertian ones.
    legendre = [torch.ones_like(cosine), cosine, (3 * cosine**2 - 1) / 2]
    attenuation = [math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8)]
    expected = sum(
        a * (2 * k + 1) / (4 * math.pi) * p for k, (a, p) in enumerate(zip(attenuation, legendre, strict=True))
    )
    torch.testing.assert_close(found, expected[:, None].expand(-1, 3), rtol=1e-6, atol=1e-6)


def seen_half() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    normals = sphere()
    normals = normals[normals[:, 2] > 0.2]
    generator = torch.Generator().manual_seed(1)
    albedo = 0.2 + 0.6 * torch.rand(len(normals), 3, generator=generator, dtype=torch.float64)
    gamma = 0.15 * torch.randn(27, generator=generator, dtype=torch.float64)
    return normals, albedo, gamma


def test_fit_recovers_the_light():
    normals, albedo, gamma = seen_half()
    colours = albedo * irradiance(normals[None], gamma[None])[0]
    torch.testing.assert_close(fit_illumination(colours, albedo, normals, prior=1e-9), gamma, atol=1e-5, rtol=0)
    # With the default prior the coefficients may move where a half sphere cannot tell, the colours not.
    found = fit_illumination(colours, albedo, normals)
    assert (albedo * irradiance(normals[None], found[None])[0] - colours).abs().max() < 0.02


def test_fit_ignores_a_tenth_of_nonsense():
    normals, albedo, gamma = seen_half()
    colours = albedo * irradiance(normals[None], gamma[None])[0]
    spoilt = colours.clone()
    spoilt[::10] = 0.95
    found = fit_illumination(spoilt, albedo, normals, prior=1e-9)
    assert (found - gamma).abs().max() < 0.01
    trusted = torch.ones(len(colours), dtype=torch.float64)
    trusted[::10] = 0
    torch.testing.assert_close(fit_illumination(spoilt, albedo, normals, trusted, prior=1e-9), gamma, atol=1e-4, rtol=0)


def test_fit_needs_samples():
    with pytest.raises(ValueError, match="at least one sample"):
        fit_illumination(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3))


def test_robust_weights_are_one_for_the_bulk_and_small_for_outliers():
    residuals = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 0.01
    residuals[:10] = 1.0
    weights = robust_weights(residuals)
    assert weights[10:].mean() > 0.85
    assert weights[:10].max() < 0.01
    assert (robust_weights(torch.zeros(5, 3)) == 1).all()
