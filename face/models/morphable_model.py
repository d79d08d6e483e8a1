"""The morphable face: shape and texture as linear functions of coefficients (paper, 3.1).

    S = mean + B_id α + B_exp β,   T = mean + B_tex δ

Every face model is an instance of the one class here, with the same numbers of coefficients; `face.models.registry`
knows their names.
"""

import numpy as np
import torch
from torch import Tensor, nn

from face.landmarks import INNER_LIP_68, OUTER_EYES_68

# ours: region weights fade over these distances, about a finger's width around the lips and half of it around the eyes
_MOUTH_REACH, _EYE_REACH = 0.12, 0.06  # decimetres
_REST_OF_FACE = 0.2  # ours: weight of a vertex far from the mouth when movements are compared, the mouth counts 1


class MorphableModel(nn.Module):
    """A linear model of face shape and texture on a fixed mesh of V vertices and F triangles.

    The bases are multiplied by the standard deviations, so coefficients are about one in size. Face space: decimetres,
    x to the right of the image, y up, z toward the camera.

    Attributes:
        mean_shape: (V, 3) decimetres.
        identity_basis: (80, V, 3).
        expression_basis: (64, V, 3).
        mean_texture: (V, 3) colours in [0, 1], pixel value / 255.
        texture_basis: (80, V, 3).
        triangles: int64 (F, 3), corners counter-clockwise seen from outside; the eyes and the mouth are open.
        mouth_triangles: int64 (M, 3), a membrane across the inner lips, to be drawn as a hole.
        landmark_vertices: int64 (468,) vertices that are the tracked landmarks; empty for a model without them.
        key_point_vertices: int64 (68,) vertices of dlib's points.
        mouth_weight: (V,) 1 on the lips, fading to 0 around them.
        eye_weight: (V,) 1 on the lids, fading to 0 around them.
        skin_weight: (V,) 1 where the surface is bare skin, 0 on lips and lids.
    """

    mean_shape: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    mean_texture: Tensor
    texture_basis: Tensor
    triangles: Tensor
    mouth_triangles: Tensor
    landmark_vertices: Tensor
    key_point_vertices: Tensor
    mouth_weight: Tensor
    eye_weight: Tensor
    skin_weight: Tensor

    def __init__(
        self,
        mean_shape: np.ndarray,
        identity_basis: np.ndarray,
        expression_basis: np.ndarray,
        mean_texture: np.ndarray,
        texture_basis: np.ndarray,
        triangles: np.ndarray,
        mouth_triangles: np.ndarray,
        landmark_vertices: np.ndarray,
        key_point_vertices: np.ndarray,
        lip_vertices: np.ndarray,
        lid_vertices: np.ndarray,
    ) -> None:
        super().__init__()
        mean = np.asarray(mean_shape, np.float64)
        mouth = _weight_around(mean, mean[lip_vertices], _MOUTH_REACH)
        eyes = _weight_around(mean, mean[lid_vertices], _EYE_REACH)
        values = {
            "mean_shape": mean_shape,
            "identity_basis": identity_basis,
            "expression_basis": expression_basis,
            "mean_texture": mean_texture,
            "texture_basis": texture_basis,
            "mouth_weight": mouth,
            "eye_weight": eyes,
            "skin_weight": (1 - mouth) * (1 - eyes),
        }
        indices = {
            "triangles": triangles,
            "mouth_triangles": mouth_triangles,
            "landmark_vertices": landmark_vertices,
            "key_point_vertices": key_point_vertices,
        }
        for name, value in values.items():
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(value, np.float32)), persistent=False)
        for name, value in indices.items():
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(value, np.int64)), persistent=False)

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Vertices of the face before its pose.

        Args:
            identity: (B, 80) α.
            expression: (B, 64) β.

        Returns:
            (B, V, 3) decimetres.
        """
        flat = torch.addmm(self.mean_shape.flatten(), identity, self.identity_basis.flatten(1))
        return torch.addmm(flat, expression, self.expression_basis.flatten(1)).unflatten(1, (-1, 3))

    def texture(self, delta: Tensor) -> Tensor:
        """Colour of every vertex without light.

        Args:
            delta: (B, 80) δ.

        Returns:
            (B, V, 3) pixel value / 255, not clipped.
        """
        return torch.addmm(self.mean_texture.flatten(), delta, self.texture_basis.flatten(1)).unflatten(1, (-1, 3))

    def normals(self, vertices: Tensor) -> Tensor:
        """Outward unit normals: the mean of the adjacent triangles' normals, weighted by their areas.

        Args:
            vertices: (B, V, 3) in any pose.

        Returns:
            (B, V, 3).
        """
        # Vertices first and faces of the batch last: rows to gather and add lie together, which is 10 times faster.
        points = vertices.permute(1, 2, 0).contiguous()  # (V, 3, B)
        a, b, c = (points.index_select(0, corner) for corner in self.triangles.unbind(1))
        (ux, uy, uz), (vx, vy, vz) = (b - a).unbind(1), (c - a).unbind(1)
        faces = torch.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], dim=1)  # twice the area long
        sums = torch.zeros_like(points)
        for corner in self.triangles.unbind(1):
            sums = sums.index_add(0, corner, faces)
        x, y, z = sums.unbind(1)
        length = (x * x + y * y + z * z).sqrt().clamp_min(1e-12)
        return (sums / length[:, None]).permute(2, 0, 1).contiguous()


def _weight_around(vertices: np.ndarray, region: np.ndarray, reach: float) -> np.ndarray:
    distance = np.linalg.norm(vertices[:, None] - region[None], axis=-1).min(axis=1)
    return np.exp(-((distance / reach) ** 2))


def expression_scale(model: MorphableModel) -> np.ndarray:
    """How far the face moves per unit of each expression coefficient, the mouth counting most (SPEC, stage 1).

    Returns:
        float32 (64,) root of the weighted mean of the squared vertex movements, decimetres.
    """
    weight = model.mouth_weight.double() + _REST_OF_FACE * (1 - model.mouth_weight.double())
    squares = model.expression_basis.double().square().sum(dim=-1)  # (64, V)
    return (squares @ weight / weight.sum()).sqrt().numpy().astype(np.float32)


def mouth_opening_map(model: MorphableModel) -> np.ndarray:
    """Linear map from expression coefficients to the change of the mouth opening around the mean face.

    At nearly closed lips the distance of their midpoints has a kink; so the gap is measured along the direction in
    which expressions open it most, positive downwards from the upper lip.

    Returns:
        float32 (64,); `expression @ map` is the change of `face.landmarks.mouth_opening`.
    """
    mean, basis = model.mean_shape.double().numpy(), model.expression_basis.double().numpy()
    upper, lower, right, left = (int(model.key_point_vertices[p]) for p in (*INNER_LIP_68, *OUTER_EYES_68))
    gaps = basis[:, lower] - basis[:, upper]  # (64, 3)
    direction = np.linalg.svd(gaps, full_matrices=False)[2][0]
    direction = -direction if direction[1] > 0 else direction
    return (gaps @ direction / np.linalg.norm(mean[right] - mean[left])).astype(np.float32)
