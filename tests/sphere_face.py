"""Geometry with closed forms in place of a face: a sphere with the attributes of a `MorphableModel`."""

import numpy as np
import torch
from torch import nn


class SphereFace(nn.Module):
    """A sphere of radius 0.8 dm round the origin, with a square window on its front as mouth if it shall have one.

    Identity 0 grows the radius, expression 0 moves everything up, texture k is a smooth pattern.
    """

    radius = 0.8

    def __init__(self, rows: int = 60, columns: int = 120, mouth: bool = True) -> None:
        super().__init__()
        # Poles on the y axis; vertices repeat at neither pole nor seam.
        theta = np.pi * np.arange(1, rows) / rows
        phi = 2 * np.pi * np.arange(columns) / columns
        ring = np.stack(
            [
                np.sin(theta)[:, None] * np.sin(phi),
                np.cos(theta)[:, None] * np.ones(columns),
                np.sin(theta)[:, None] * np.cos(phi),
            ],
            -1,
        )
        unit = np.concatenate([ring.reshape(-1, 3), [[0, 1, 0], [0, -1, 0]]]).astype(np.float32)
        index = np.arange((rows - 1) * columns).reshape(rows - 1, columns)
        right = np.roll(index, -1, 1)
        a, b, c, d = index[:-1], index[1:], right[:-1], right[1:]  # a over b, c over d, c and d to the right
        north, south = index.size, index.size + 1
        triangles = np.concatenate(
            [
                np.stack([a, b, c], -1).reshape(-1, 3),
                np.stack([b, d, c], -1).reshape(-1, 3),
                np.stack([np.full(columns, north), index[0], right[0]], -1),
                np.stack([np.full(columns, south), right[-1], index[-1]], -1),
            ]
        )
        centre = unit[triangles].mean(1)
        window = (np.abs(centre[:, 0]) < 0.25) & (np.abs(centre[:, 1] + 0.3) < 0.15) & (centre[:, 2] > 0) & mouth
        points = torch.from_numpy(unit)
        patterns = torch.stack(
            [torch.cos(points @ direction + k) for k, direction in enumerate(_directions(80))]
        )  # (80, V)
        colours = torch.eye(3)[torch.arange(80) % 3]
        growth = torch.zeros(80, *unit.shape)
        growth[0] = 0.05 * points
        lift = torch.zeros(64, *unit.shape)
        lift[0, :, 1] = 0.05
        self.register_buffer("mean_shape", self.radius * points)
        self.register_buffer("identity_basis", growth)
        self.register_buffer("expression_basis", lift)
        self.register_buffer("mean_texture", torch.tensor([0.7, 0.5, 0.4]).expand(len(unit), 3).clone())
        self.register_buffer("texture_basis", 0.02 * patterns[..., None] * colours[:, None])
        self.register_buffer("triangles", torch.from_numpy(triangles[~window]))
        self.register_buffer("mouth_triangles", torch.from_numpy(triangles[window]))

    def shape(self, identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        moved = torch.einsum("bk,kvc->bvc", identity, self.identity_basis)
        return self.mean_shape + moved + torch.einsum("bk,kvc->bvc", expression, self.expression_basis)

    def texture(self, delta: torch.Tensor) -> torch.Tensor:
        return self.mean_texture + torch.einsum("bk,kvc->bvc", delta, self.texture_basis)

    def normals(self, vertices: torch.Tensor) -> torch.Tensor:
        """Of a sphere, wherever and however it stands: away from its centre."""
        return nn.functional.normalize(vertices - vertices.mean(1, keepdim=True), dim=-1)


def _directions(count: int) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(0)) * 2
