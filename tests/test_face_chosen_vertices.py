"""A few vertices against all of them."""

import torch

from face.camera import Camera
from face.chosen_vertices import ChosenVertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, SIZE, TRANSLATION
from face.models.registry import load_face_model
from face.rendering import pose_face


def test_chosen_vertices_are_where_the_whole_face_has_them():
    model, camera = load_face_model(), Camera(256)
    draw = torch.Generator().manual_seed(0)
    chi = torch.zeros(3, SIZE)
    for part, size in ((IDENTITY, 1.0), (EXPRESSION, 1.0), (ANGLES, 0.3), (TRANSLATION, 0.2)):
        chi[:, part] = size * torch.randn(chi[:, part].shape, generator=draw)
    vertices = model.mouth_triangles.unique()
    chosen = ChosenVertices(model, camera, vertices)
    whole = model.shape(chi[:, IDENTITY], chi[:, EXPRESSION])[:, vertices]
    torch.testing.assert_close(chosen.shape(chi), whole, atol=1e-5, rtol=0)
    seen = pose_face(model, camera, chi).projected[:, vertices, :2]
    torch.testing.assert_close(chosen.seen(chi), seen, atol=1e-2, rtol=0)  # pixels
