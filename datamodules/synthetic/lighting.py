"""Lamps of a scene as the 27 illumination coefficients γ, and what shading needs of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from face.illumination import AMBIENT_OFFSET, sh_basis


@dataclass(frozen=True)
class Light:
    """Light on the scene.

    Attributes:
        gamma: (27,) illumination coefficients.
        lamps: (L, 3) unit directions toward the lamps that make highlights.
        colours: (L, 3) of the highlights.
    """

    gamma: np.ndarray
    lamps: np.ndarray
    colours: np.ndarray

    @cached_property
    def polynomial(self) -> np.ndarray:
        """Irradiance as a polynomial of the normal, (10, 3): terms 1, x, y, z, xx, yy, zz, xy, yz, xz."""
        harmonics = self.gamma.reshape(3, 9).T.astype(np.float64)
        harmonics[0] += AMBIENT_OFFSET
        normals = _sphere(64, seed=1)
        x, y, z = normals.T
        terms = np.stack([np.ones(len(x)), x, y, z, x * x, y * y, z * z, x * y, y * z, x * z], -1)
        return np.linalg.lstsq(terms, sh_basis(torch.from_numpy(normals)).numpy() @ harmonics, rcond=None)[0]

    @cached_property
    def halfway(self) -> np.ndarray:
        """Directions (L, 3) halfway between lamps and camera: a surface that faces there shines."""
        halfway = self.lamps + np.array([0.0, 0.0, 1.0])
        return halfway / np.linalg.norm(halfway, axis=1, keepdims=True)


def fit_light(
    ambient: np.ndarray, lamps: Sequence[tuple[tuple[float, float, float], tuple[float, float, float], float]]
) -> Light:
    """Find the harmonics nearest to an ambient light and lamps on a Lambertian sphere.

    Args:
        ambient: (3,) irradiance from everywhere.
        lamps: Direction toward the lamp, colour, and softness (0 a point, 1 a sky) of each.
    """
    normals = _sphere(2000, seed=0)
    target = np.tile(ambient, (len(normals), 1)).astype(float)
    directions = []
    for direction, colour, softness in lamps:
        toward = np.array(direction) / np.linalg.norm(direction)
        directions.append(toward)
        target += np.maximum((normals @ toward + softness) / (1 + softness), 0)[:, None] * np.array(colour)
    basis = sh_basis(torch.from_numpy(normals)).numpy()
    harmonics = np.linalg.lstsq(basis, target, rcond=None)[0]
    harmonics[0] -= AMBIENT_OFFSET
    colours = np.array([colour for _, colour, _ in lamps])
    return Light(harmonics.T.reshape(27).astype(np.float32), np.array(directions), colours)


def _sphere(count: int, seed: int) -> np.ndarray:
    """Unit vectors all around, (count, 3)."""
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)
