"""Where a few vertices of a face are, without computing the others."""

import torch
from torch import Tensor

from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, TRANSLATION
from face.models.morphable_model import MorphableModel


class ChosenVertices:
    """Some vertices of a morphable face, shaped, posed and projected.

    Args:
        model: The morphable face.
        camera: Camera of the image.
        vertices: (R,) int64 which ones.
    """

    def __init__(self, model: MorphableModel, camera: Camera, vertices: Tensor):
        self._camera = camera
        self._mean = model.mean_shape[vertices]
        self._identity, self._expression = model.identity_basis[:, vertices], model.expression_basis[:, vertices]

    def shape(self, chi: Tensor) -> Tensor:
        """Before the pose.

        Args:
            chi: (B, 257) coefficients.

        Returns:
            (B, R, 3) decimetres.
        """
        return (
            self._mean
            + torch.einsum("bk,kvc->bvc", chi[:, IDENTITY], self._identity)
            + torch.einsum("bk,kvc->bvc", chi[:, EXPRESSION], self._expression)
        )

    def seen(self, chi: Tensor) -> Tensor:
        """In the picture.

        Args:
            chi: (B, 257) coefficients.

        Returns:
            (B, R, 2) pixels.
        """
        posed = pose_vertices(self.shape(chi), chi[:, ANGLES], chi[:, TRANSLATION])
        return self._camera.project(posed)[..., :2]
