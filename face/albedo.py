"""Three ways to colour the vertices of a face; rendering always multiplies an albedo by the irradiance.

`low_frequency` and `detailed` are the paper's (3.3), `mean` is ours: the detail of the video without the noise and the
passing shadows of one frame. What no frame shows is taken from the other half of the face, then from the texture model.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree

from face.appearance import observe, spread
from face.coefficients import ANGLES, EXPRESSION, ILLUMINATION, TEXTURE
from face.illumination import irradiance
from face.models.morphable_model import MorphableModel
from face.rendering import Renderer

_FRAMES = 300  # ours: 12 s; an even choice of a longer video
_ROUNDS = 3  # ours: of re-weighting
# ours, in units of a full view in every frame: faces are not quite symmetric; neighbours decide only what views do not
_MIRRORED, _SMOOTH = 0.01, 0.002
_ANGLE_UNIT = 0.1  # radians, ours: six degrees off the front count as much as one standard deviation of expression


class Frames(Protocol):
    """Frames uint8 (N, H, W, 3) in memory, or read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: np.ndarray | slice, /) -> np.ndarray: ...


def mean_albedo(frames: Frames, chi: np.ndarray | torch.Tensor, renderer: Renderer) -> torch.Tensor:
    """Robust mean of colour / irradiance over all frames, each vertex weighted by how it faces the camera.

    Args:
        frames: uint8 (N, H, W, 3) crops of the training part.
        chi: (N, 257) complete coefficients.
        renderer: Gives model, camera and visibility.

    Returns:
        float32 (V, 3) on the model's device.
    """
    chosen = spread(len(frames), _FRAMES)
    colours, light, weights = _views(frames[chosen], chi[chosen], renderer)
    robust = weights
    for _ in range(_ROUNDS):
        albedo, _ = _average(colours, light, robust)
        residual = (colours - albedo * light).abs().mean(-1)  # (N, V)
        # Each vertex has its own scale: cheeks hold still, the lids and the lips move in and out of other colours.
        spread_of = (residual * robust).sum(0) / robust.sum(0).clamp_min(1e-6)
        # 1.25 x the mean deviation is a standard deviation, 2.385 is the usual width of Cauchy weights.
        robust = weights / (1 + (residual / (1.25 * 2.385 * spread_of).clamp_min(1e-3)).square())
    return _completed(*_average(colours, light, robust), len(chosen), chi, renderer)


def low_frequency_albedo(frames: Frames, chi: np.ndarray | torch.Tensor, renderer: Renderer) -> torch.Tensor:
    """The texture of the coefficients, smooth and complete (paper, 3.3, personalised mapping).

    Args:
        frames: Not used.
        chi: (N, 257) complete coefficients.
        renderer: Gives the model.

    Returns:
        float32 (V, 3) on the model's device.
    """
    model = renderer.model
    delta = torch.as_tensor(chi, dtype=torch.float32, device=model.mean_texture.device)[:, TEXTURE]
    return model.texture(delta.mean(0, keepdim=True))[0].clamp(0, 1)


def detailed_albedo(frames: Frames, chi: np.ndarray | torch.Tensor, renderer: Renderer) -> torch.Tensor:
    """Colour / irradiance of the frame that is nearest to neutral and frontal (paper, 3.3, general mapping).

    Args:
        frames: uint8 (N, H, W, 3) crops of the training part.
        chi: (N, 257) complete coefficients.
        renderer: Gives model, camera and visibility.

    Returns:
        float32 (V, 3) on the model's device.
    """
    best = most_neutral(chi)
    views = _views(frames[best : best + 1], chi[best : best + 1], renderer)
    return _completed(*_average(*views), 1, chi, renderer)


def most_neutral(chi: np.ndarray | torch.Tensor) -> int:
    """The frame with the most neutral expression and the smallest rotation (paper, 3.3).

    Args:
        chi: (N, 257).

    Returns:
        Its index: smallest sum of the root mean square of expression and of the angles in units of 0.1 radians.
    """
    numbers = torch.as_tensor(chi, dtype=torch.float32)
    expression = numbers[:, EXPRESSION].square().mean(-1).sqrt()
    angles = numbers[:, ANGLES].square().mean(-1).sqrt() / _ANGLE_UNIT
    return int((expression + angles).argmin())


ALBEDOS: dict[str, Callable[[Frames, np.ndarray | torch.Tensor, Renderer], torch.Tensor]] = {
    "mean": mean_albedo,
    "low_frequency": low_frequency_albedo,
    "detailed": detailed_albedo,
}


def _views(
    frames: np.ndarray, chi: np.ndarray | torch.Tensor, renderer: Renderer
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colours (N, V, 3), irradiance (N, V, 3) and weights (N, V) of every vertex in every frame."""
    seen = list(observe(frames, chi, renderer))
    colours = torch.cat([o.colours for o in seen])
    gamma = torch.as_tensor(chi, dtype=torch.float32, device=colours.device)[:, ILLUMINATION]
    # A light that comes out negative somewhere is a failure of the fit there, not a reason to divide by it.
    light = irradiance(torch.cat([o.normals for o in seen]), gamma).clamp_min(0.05)
    return colours, light, torch.cat([o.weights for o in seen])


def _average(colours: torch.Tensor, light: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Albedo (V, 3) that explains the colours best, and the total weight (V,) behind it."""
    trust = weights[..., None]
    # Least squares of colour = albedo x light: bright views count more than dark, noisy ones.
    albedo = (trust * light * colours).sum(0) / (trust * light.square()).sum(0).clamp_min(1e-6)
    return albedo, weights.sum(0)


def _completed(
    albedo: torch.Tensor, total: torch.Tensor, count: int, chi: np.ndarray | torch.Tensor, renderer: Renderer
) -> torch.Tensor:
    """Continues what was seen into what was not: from the other half of the face, then smoothly along the surface.

    The difference to the texture model is the least-squares fit to each vertex's own observation, to its mirrored
    one with a small weight, and to its neighbours; so detail fades out into the model without a seam.
    """
    model = renderer.model
    texture = low_frequency_albedo(np.empty(0), chi, renderer)
    twin, laplacian, order = _mesh(model)
    own = (total / count).cpu().numpy().astype(np.float64)
    other = _MIRRORED * own[twin]
    seen = albedo.cpu().numpy().astype(np.float64)
    base = texture.cpu().numpy().astype(np.float64)
    pull = own[:, None] * seen + other[:, None] * seen[twin] - (own + other)[:, None] * base
    # the last keeps parts that nobody saw at the model
    system = _SMOOTH * laplacian + sparse.diags_array((own + other + 1e-6)[order])
    difference = np.empty_like(pull)
    difference[order] = _factors(system, "NATURAL").solve(pull[order])
    return torch.as_tensor(base + difference, dtype=torch.float32, device=albedo.device).clamp(0, 1)


@lru_cache(maxsize=1)
def _mesh(model: MorphableModel) -> tuple[np.ndarray, sparse.csc_array, np.ndarray]:
    """What albedos of a model have in common, most of their work.

    Returns:
        The vertex (V,) opposite to each vertex; the Laplacian, its vertices in an order that suits elimination; and
        which vertices (V,) these are.
    """
    points = model.mean_shape.cpu().numpy().astype(np.float64)
    twin = cKDTree(points).query(points * [-1, 1, 1])[1]
    laplacian = _laplacian(model.triangles.cpu().numpy(), len(points))
    order = np.argsort(_factors(laplacian + sparse.eye_array(len(points)), "MMD_AT_PLUS_A").perm_c)
    return twin, laplacian[order][:, order].tocsc(), order


def _factors(system: sparse.sparray, order: str) -> SuperLU:
    """Of a symmetric and positive system: no pivots have to be looked for."""
    return splu(system.tocsc(), order, diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def _laplacian(triangles: np.ndarray, count: int) -> sparse.csr_array:
    """Graph Laplacian of the mesh, (V, V)."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    ones = np.ones(len(edges))
    adjacency = sparse.coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(count, count)).tocsr()
    adjacency = adjacency + adjacency.T
    return sparse.diags_array(adjacency.sum(axis=1)).tocsr() - adjacency
