"""Texture δ and illumination γ of a face from the pixels of its video, by linear least squares (paper, 3.1).

The colour of a vertex is (mean + B δ) times its irradiance, which is linear in γ: bilinear, so the two are solved in
turn. Pixels that do not follow the model (hair, glasses, highlights, shadows) lose their weight.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import grid_sample

from face.camera import Camera
from face.coefficients import ILLUMINATION, TEXTURE_SIZE
from face.illumination import fit_illumination, irradiance, robust_weights
from face.models.morphable_model import MorphableModel
from face.rendering import Renderer, pose_face

_CHUNK = 16  # frames per pass, to bound memory
_FRAMES = 40  # ours: one texture and one light have 107 unknowns; more frames no longer change them
_ROUNDS = 4  # ours: texture and light in turn settle in three
_STRIDE = 4  # ours: texture basis and light are smooth, every fourth vertex decides their numbers as well as all
_MIN_FACING = 0.2  # ours: vertices seen at more than 78 degrees sample their neighbours or the background
_DEPTH_TOLERANCE = 0.03  # decimetres behind the surface the z-buffer holds; a nose stands out by 2 or more
# ours: weight of the prior δ ~ N(0, 1) against colours that miss the model by 0.1 at as many independent places as the
# mesh has landmarks; neighbouring pixels err together, so their number would trust them too much.
_TEXTURE_PRIOR = 0.1**2 / 468


@dataclass(frozen=True)
class Appearance:
    """One texture and one light for a whole video.

    Attributes:
        texture: float32 (80,) δ.
        illumination: float32 (27,) γ.
    """

    texture: np.ndarray
    illumination: np.ndarray


@dataclass(frozen=True)
class Observation:
    """What the vertices of a posed face, or every so many of them, look like in some frames.

    Attributes:
        colours: (B, V, 3) pixel colours where the vertices project, in [0, 1].
        weights: (B, V) squared cosine of facing; 0 for vertices that are hidden, near edge-on or outside the picture.
        normals: (B, V, 3) unit normals in camera axes.
    """

    colours: torch.Tensor
    weights: torch.Tensor
    normals: torch.Tensor


def observe(
    frames: np.ndarray, chi: np.ndarray | torch.Tensor, renderer: Renderer, stride: int = 1
) -> Iterator[Observation]:
    """Look up the colours of visible vertices.

    Args:
        frames: uint8 (N, H, W, 3) of the renderer's size.
        chi: (N, 257), geometry filled.
        renderer: Gives model, camera and visibility.
        stride: Every how many vertices one is looked at.

    Yields:
        Observations of some frames at a time, in order, on the model's device.

    Raises:
        ValueError: If frames and coefficients do not match each other or the renderer's size.
    """
    size = renderer.size
    if len(frames) != len(chi) or len(frames) == 0 or frames.shape[1:] != (size, size, 3):
        raise ValueError(
            f"expected as many uint8 ({size}, {size}, 3) frames as coefficients and at least one, "
            f"got frames {frames.shape} and coefficients {tuple(chi.shape)}."
        )
    device = renderer.model.mean_shape.device
    coefficients = torch.as_tensor(chi, dtype=torch.float32, device=device)
    for start in range(0, len(frames), _CHUNK):
        part = slice(start, start + _CHUNK)
        face = pose_face(renderer.model, renderer.camera, coefficients[part])
        pictures = torch.from_numpy(np.ascontiguousarray(frames[part])).to(device).permute(0, 3, 1, 2).float()
        projected, facing, normals = (values[:, ::stride] for values in (face.projected, face.facing, face.normals))
        grid = (projected[..., :2] * (2 / size) - 1)[:, None]  # (B, 1, V, 2) in [-1, 1], x first
        colours = grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
        surface = renderer.depth(face)[:, None]
        nearest = grid_sample(surface, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0, 0]
        shown = projected[..., 2] <= nearest + _DEPTH_TOLERANCE  # zero depth outside the picture: not shown
        weights = facing.square() * (shown & (facing > _MIN_FACING))
        yield Observation(colours[:, :, 0].mT / 255, weights, normals)


def fit_appearance(
    frames: np.ndarray, chi: np.ndarray | torch.Tensor, model: MorphableModel, camera: Camera
) -> Appearance:
    """Fit one texture and one light to a video.

    Args:
        frames: uint8 (N, H, W, 3) crops of the training part; an even choice of at most 40 is used.
        chi: (N, 257) with identity, expression, angles and translation filled; the rest is not read.
        model: The morphable face.
        camera: Camera of the crops.

    Returns:
        Texture and illumination, float32.
    """
    chosen = spread(len(frames), _FRAMES)
    seen = list(observe(frames[chosen], chi[chosen], Renderer(model, size=camera.size), _STRIDE))
    weights = torch.cat([o.weights for o in seen])
    keep = weights > 0
    colours = torch.cat([o.colours for o in seen])[keep]
    normals = torch.cat([o.normals for o in seen])[keep]
    vertex = torch.arange(weights.shape[1], device=weights.device).expand(len(weights), -1)[keep]
    trust = weights[keep]
    mean, basis = model.mean_texture[::_STRIDE], model.texture_basis[:, ::_STRIDE]
    delta = torch.zeros(TEXTURE_SIZE, device=mean.device)
    gamma = torch.zeros(27, device=mean.device)
    for _ in range(_ROUNDS):
        albedo = (mean + torch.einsum("k,kvc->vc", delta, basis))[vertex]
        gamma = fit_illumination(colours, albedo, normals, trust)
        light = irradiance(normals[None], gamma[None])[0]
        robust = trust * robust_weights(colours - albedo * light)
        # All samples of a vertex share its row of the basis: summed first, the products are per vertex.
        square = mean.new_zeros(mean.shape).index_add_(0, vertex, robust[:, None] * light.square())
        product = mean.new_zeros(mean.shape).index_add_(0, vertex, robust[:, None] * light * colours)
        delta = _solve_texture(basis, mean, square[None], product[None], robust.sum()[None])[0]
    return Appearance(delta.cpu().numpy(), gamma.cpu().numpy())


def texture_per_frame(
    frames: np.ndarray, chi: np.ndarray | torch.Tensor, model: MorphableModel, camera: Camera
) -> np.ndarray:
    """Fit a texture to every frame by itself, under the light in its coefficients (for identity features).

    Args:
        frames: uint8 (N, H, W, 3) crops.
        chi: (N, 257) with everything but the texture filled.
        model: The morphable face.
        camera: Camera of the crops.

    Returns:
        float32 (N, 80).
    """
    mean, basis = model.mean_texture[::_STRIDE], model.texture_basis[:, ::_STRIDE]
    gamma = torch.as_tensor(chi, dtype=torch.float32, device=mean.device)[:, ILLUMINATION]
    textures: list[torch.Tensor] = []
    done = 0
    for seen in observe(frames, chi, Renderer(model, size=camera.size), _STRIDE):
        colours, weights = seen.colours, seen.weights[..., None]
        light = irradiance(seen.normals, gamma[done : done + len(colours)])
        done += len(colours)
        square, product = weights * light.square(), weights * light * colours
        textures.append(_solve_texture(basis, mean, square, product, weights.sum((1, 2))))
    return torch.cat(textures).cpu().numpy()


def spread(count: int, wanted: int) -> np.ndarray:
    """Indices of at most `wanted` of `count` frames, evenly spread, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(int))


def _solve_texture(
    basis: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, product: torch.Tensor, total: torch.Tensor
) -> torch.Tensor:
    """Ridge solutions δ of colour = (mean + B δ) light.

    Args:
        basis: (80, V, 3).
        mean: (V, 3).
        square: (B, V, 3) sums of weight x light².
        product: (B, V, 3) sums of weight x light x colour.
        total: (B,) sums of the weights.

    Returns:
        (B, 80).
    """
    flat = basis.flatten(1)
    prior = _TEXTURE_PRIOR * torch.eye(len(flat), device=flat.device)
    share = 1 / total.clamp_min(1e-6)[:, None]  # a frame that shows nothing gets δ = 0
    right = ((product - square * mean).flatten(1) * share) @ flat.mT
    scaled = (square.flatten(1) * share).sqrt()
    # One frame at a time and in the same memory: the weighted bases of all would be large, and products of this size
    # fill a core anyway.
    left, weighted = flat.new_empty(len(scaled), len(flat), len(flat)), torch.empty_like(flat)
    for row, matrix in zip(scaled, left, strict=True):
        torch.mul(flat, row, out=weighted)
        torch.mm(weighted, weighted.mT, out=matrix)
    return torch.linalg.solve(left + prior, right)
