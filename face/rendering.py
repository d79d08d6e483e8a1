"""From coefficients to pictures of a face: pose, light, rasterise, interpolate.

The light-weight renderer of the paper (3.3): Lambertian albedo under spherical harmonics, no eyes, no teeth, no hair.
What it draws is one layer with its coverage, to be laid over any background.
"""

import difflib
from dataclasses import dataclass

import torch

from face.camera import CAMERA_DISTANCE, Camera, pose_vertices
from face.coefficients import ANGLES, TRANSLATION
from face.lit_vertices import fit_for_loops, light_face, pose_in_loops, shape_face
from face.models.morphable_model import MorphableModel
from face.rasterizers import RASTERIZERS
from face.rasterizers.fragments import Surfaces
from face.rasterizers.interface import Rasterizer
from media.errors import InputError

_SKIN, _MOUTH = 0, 1


@dataclass(frozen=True)
class PosedFace:
    """Geometry of a batch of frames before the camera.

    Attributes:
        projected: (B, V, 3) x, y in pixels, depth in decimetres.
        normals: (B, V, 3) unit normals in camera axes.
        facing: (B, V) cosine between the normal and the direction to the camera; negative on the far side.
    """

    projected: torch.Tensor
    normals: torch.Tensor
    facing: torch.Tensor


@dataclass(frozen=True)
class Rendering:
    """A drawn face, without background.

    Attributes:
        image: (B, 3, H, W) colour of the skin in [0, 1], not multiplied by its coverage; 0 where there is none.
        mask: (B, 1, H, W) share of each pixel that skin covers.
        mouth: (B, 1, H, W) share of each pixel in which one looks between the lips.
    """

    image: torch.Tensor
    mask: torch.Tensor
    mouth: torch.Tensor


def pose_face(model: MorphableModel, camera: Camera, chi: torch.Tensor) -> PosedFace:
    """Shape, place and project a face.

    Args:
        model: The morphable face.
        camera: Camera of the image.
        chi: (B, 257) coefficients.

    Returns:
        Projected vertices and their normals.
    """
    shape = shape_face(model, chi)
    if fit_for_loops(shape, chi):
        return PosedFace(*pose_in_loops(model, camera, shape, chi))
    posed = pose_vertices(shape, chi[:, ANGLES], chi[:, TRANSLATION])
    normals = model.normals(posed)
    to_camera = torch.nn.functional.normalize(posed.new_tensor([0.0, 0.0, CAMERA_DISTANCE]) - posed, dim=-1)
    return PosedFace(camera.project(posed), normals, (normals * to_camera).sum(-1))


class Renderer:
    """Draws a morphable face from coefficients and an albedo.

    Args:
        model: The morphable face; its device is where colours are computed.
        rasterizer: Name in `RASTERIZERS`.
        size: Side of the square image in pixels.

    Raises:
        InputError: If the rasteriser is unknown or not installed.
    """

    def __init__(self, model: MorphableModel, rasterizer: str = "numba", size: int = 256) -> None:
        if rasterizer not in RASTERIZERS:
            near = difflib.get_close_matches(rasterizer, RASTERIZERS, n=1, cutoff=0) or list(RASTERIZERS)
            raise InputError(f"face.rasterizer={rasterizer} is unknown; did you mean {near[0]}?")
        self.model = model
        self.size = size
        self.camera = Camera(size)
        self.rasterizer: Rasterizer = RASTERIZERS[rasterizer]()
        # The surface between the lips is drawn from both sides: it folds over when they close.
        mouth = model.mouth_triangles
        triangles = torch.cat([model.triangles, mouth, mouth.flip(1)])
        labels = torch.full((len(triangles),), _MOUTH, device=mouth.device)
        labels[: len(model.triangles)] = _SKIN
        self._surfaces = Surfaces(triangles, labels, kinds=2)

    def render(self, chi: torch.Tensor, albedo: torch.Tensor) -> Rendering:
        """Draw a batch of frames.

        Where `chi` or `albedo` asks for gradients, the image has them at fixed visibility (see `Rasterizer.draw`);
        the mask and the mouth have none.

        Args:
            chi: (B, 257) coefficients.
            albedo: (V, 3) or (B, V, 3) colour of each vertex under unit light, 0 to 1.

        Returns:
            The rendering, on the device of `chi`.
        """
        projected, colours = light_face(self.model, self.camera, chi, albedo)
        layers = self.rasterizer.draw(projected, colours, self._surfaces, self.size)
        return Rendering(layers.image, layers.share[:, _SKIN, None], layers.share[:, _MOUTH, None])

    def depth(self, face: PosedFace) -> torch.Tensor:
        """Depth of what the centre of each pixel sees, the surface between the lips included.

        Args:
            face: Geometry from `pose_face` with this renderer's camera.

        Returns:
            (B, size, size) decimetres, infinite where there is nothing.
        """
        return self.rasterizer.depth(face.projected, self._surfaces.triangles, self.size)


def compose(rendering: Rendering, background: torch.Tensor, interior: torch.Tensor | None = None) -> torch.Tensor:
    """Lay a rendered face over a background; eye holes show the background.

    Args:
        rendering: From `Renderer.render`.
        background: (B, 3, H, W) in [0, 1].
        interior: (B, 3, H, W) in [0, 1], what is seen between the lips; None for black.

    Returns:
        (B, 3, H, W) in [0, 1]. Source: original code (facts 1.9): the mouth is for the network to paint.
    """
    free = (1 - rendering.mask - rendering.mouth).clamp_min(0)
    image = rendering.image * rendering.mask + background * free
    return image if interior is None else image + interior * rendering.mouth
