"""Light on a face: three bands of spherical harmonics on a Lambertian surface (paper, 3.1), in Deep3D's convention.

The colour of a vertex is its albedo times its irradiance, and the irradiance is linear in the 27 coefficients γ.
"""

import math

import torch

BANDS_SIZE = 9  # functions in three bands (paper, 3.1: B = 3)
AMBIENT_OFFSET = 0.8  # added to the first coefficient of every colour, Deep3D (facts 4.3): γ = 0 is a grey room

# Lambertian attenuation per band times normalisation of its functions, Deep3D (facts 4.3).
_BAND0 = math.pi / math.sqrt(4 * math.pi)
_BAND1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
_BAND2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)

_ITERATIONS = 6  # ours: re-weighted least squares settles to three digits in four or five


def sh_basis(normals: torch.Tensor) -> torch.Tensor:
    """The nine functions Φ of the paper, 3.1.

    Args:
        normals: (..., 3) unit normals in camera axes (x right, y up, z toward the camera).

    Returns:
        (..., 9) their values. Source: Deep3D (facts 4.3).
    """
    x, y, z = normals.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, _BAND0),
            -_BAND1 * y,
            _BAND1 * z,
            -_BAND1 * x,
            _BAND2 * x * y,
            -_BAND2 * y * z,
            _BAND2 / (2 * math.sqrt(3)) * (3 * z * z - 1),
            -_BAND2 * x * z,
            _BAND2 / 2 * (x * x - y * y),
        ],
        -1,
    )


def irradiance(normals: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Light that falls on a surface, per colour.

    Args:
        normals: (B, V, 3) unit normals in camera axes.
        gamma: (B, 27) illumination, three colours of nine coefficients each.

    Returns:
        (B, V, 3) factors of the albedo; about 0.7 everywhere for γ = 0.
    """
    return sh_basis(normals) @ _with_offset(gamma).mT


def irradiance_forms(gamma: torch.Tensor) -> torch.Tensor:
    """The irradiance as a quadratic form of the normal (x, y, z): ten numbers per colour and no basis to evaluate.

    Args:
        gamma: (B, 27) illumination.

    Returns:
        (B, 3, 10) factors of x², y², z², xy, yz, xz, x, y, z and 1. Source: Ramamoorthi and Hanrahan 2001, 3.2.
    """
    bands = _with_offset(gamma).unbind(-1)
    vertical, level = _BAND2 / (2 * math.sqrt(3)) * bands[6], _BAND2 / 2 * bands[8]
    return torch.stack(
        [
            level,
            -level,
            3 * vertical,
            _BAND2 * bands[4],
            -_BAND2 * bands[5],
            -_BAND2 * bands[7],
            -_BAND1 * bands[3],
            -_BAND1 * bands[1],
            _BAND1 * bands[2],
            _BAND0 * bands[0] - vertical,
        ],
        -1,
    )


def robust_weights(residuals: torch.Tensor) -> torch.Tensor:
    """Cauchy weights: near 1 for the bulk, falling with the square of the distance for hair, glasses, highlights.

    Args:
        residuals: (N,) or (N, C) residuals; with C channels a sample has one weight from all of them.

    Returns:
        (N,) weights in (0, 1].
    """
    size = residuals.abs() if residuals.ndim == 1 else residuals.square().mean(-1).sqrt()
    # 1.4826 makes the median a standard deviation, 2.385 gives 95 % efficiency on normal noise.
    scale = (1.4826 * 2.385) * size.median().clamp_min(1e-6)
    return 1 / (1 + (size / scale).square())


def fit_illumination(
    colours: torch.Tensor,
    albedo: torch.Tensor,
    normals: torch.Tensor,
    weights: torch.Tensor | None = None,
    prior: float = 1e-3,
) -> torch.Tensor:
    """The light under which a surface of known albedo shows the given colours: robust linear least squares.

    Args:
        colours: (N, 3) observed, 0 to 1.
        albedo: (N, 3).
        normals: (N, 3) unit normals in camera axes.
        weights: (N,) trust in each sample; equal if not given.
        prior: Pull of γ toward 0, relative to a sample of albedo 1; it decides what the visible side of a face
            cannot (ours: a tenth of a percent leaves what is seen unchanged).

    Returns:
        (27,) γ.

    Raises:
        ValueError: If there are no samples.
    """
    if len(colours) == 0:
        raise ValueError("fit_illumination needs at least one sample, got colours of shape (0, 3).")
    basis = sh_basis(normals)
    trust = torch.ones_like(colours[:, 0]) if weights is None else weights
    robust = torch.ones_like(trust)
    gamma = torch.zeros(27, dtype=colours.dtype, device=colours.device)
    for _ in range(_ITERATIONS):
        gamma = _solve(basis, colours, albedo, trust * robust, prior)
        robust = robust_weights(colours - albedo * (basis @ _with_offset(gamma).mT))
    return gamma


def _solve(
    basis: torch.Tensor, colours: torch.Tensor, albedo: torch.Tensor, weights: torch.Tensor, prior: float
) -> torch.Tensor:
    """One weighted least-squares solution, (27,), each colour by itself."""
    offset = AMBIENT_OFFSET * _BAND0
    share = weights / weights.sum()
    solutions = []
    for colour in range(3):
        design = basis * albedo[:, colour, None]
        weighted = design * share[:, None]
        normal = weighted.mT @ design + prior * torch.eye(BANDS_SIZE, dtype=basis.dtype, device=basis.device)
        target = colours[:, colour] - albedo[:, colour] * offset
        solutions.append(torch.linalg.solve(normal, weighted.mT @ target))
    return torch.cat(solutions)


def _with_offset(gamma: torch.Tensor) -> torch.Tensor:
    """(..., 27) -> (..., 3, 9) with Deep3D's offset on the first band."""
    bands = gamma.unflatten(-1, (3, BANDS_SIZE)).clone()
    bands[..., 0] += AMBIENT_OFFSET
    return bands
