"""A photo as a mesh that can be moved: face, surroundings, eyes behind the lids, mouth behind the lips."""

import numpy as np
import torch

from datamodules.synthetic.eyes_and_mouth import Fan
from face.camera import rotation_matrix
from face.landmarks import LEFT_EYE_CORNERS, MOUTH_CORNERS, RIGHT_EYE_CORNERS, mouth_opening
from face.models.morphable_model import MorphableModel
from face.rasterizers.numba_backend import NumbaRasterizer
from face.subdivision import boundary_loops
from synthesis.photo.lids import closing_movement
from synthesis.photo.lookup import SAMPLES, look_up
from synthesis.photo.mouth import Interior
from synthesis.photo.portrait import Portrait
from synthesis.photo.surroundings import Surroundings, surround

# Ours, in the model's space (decimetres): the joint of head and neck, between and below the ears, about which heads
# turn; and the plane of the ears, in which the silhouette of a head seen from the front lies.
_NECK_JOINT = np.array([0.0, -0.30, -0.60])
_SILHOUETTE = np.array([0.0, 0.10, -0.55])
_EYE_BEHIND = 0.05  # decimetres, of the eye behind the edge of its lids
_EYE_BEYOND = 0.3  # of its size, by which it reaches beyond them
_GUMS = 0.07  # of the face's height, by which the gums reach up behind the lip
_TEETH_BEHIND = 0.08  # decimetres, of what a photo shows between its lips behind their edge
_SMILE = 0.03  # opening of the mouth, of the eye distance, from which a photo shows its own teeth
_TYPICAL_SKIN = np.array([0.80, 0.62, 0.54])  # ours: of a light skin in a well exposed photo


class AnimatedPhoto:
    """A photographed head that turns, speaks and blinks.

    Args:
        portrait: The fitted photo.
        model: The face model of the fit.
    """

    def __init__(self, portrait: Portrait, model: MorphableModel):
        self.portrait, self.model = portrait, model
        self._shape = portrait.shape(model)
        posed = portrait.posed(self._shape)
        face = portrait.camera.project(posed)
        outline, self._lips, right_eye, left_eye = _loops(model)
        axis = portrait.camera.project(portrait.posed(np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])))
        self._up = (axis[1] - axis[0])[:2] / np.linalg.norm((axis[1] - axis[0])[:2])
        around = self._surround(face, outline)
        self._outline, self._following = outline, around.following
        light = np.clip(_skin_colour(portrait.picture, face, model) / _TYPICAL_SKIN, 0.35, 1.15)
        smiling = float(mouth_opening(face[model.landmark_vertices.numpy()])) > _SMILE
        neutral = portrait.shape(model, np.zeros(len(portrait.expression)))
        self._interior = Interior.of(neutral, self._lips, light, upper_teeth=not smiling)
        self.lids = sum(
            closing_movement(self._shape, loop, corners)
            for loop, corners in ((right_eye, RIGHT_EYE_CORNERS), (left_eye, LEFT_EYE_CORNERS))
        )
        loops = [right_eye, left_eye]
        patches = [_patch(face[loop], _EYE_BEHIND, _EYE_BEYOND * _from_middle(face[loop])) for loop in loops]
        if smiling:
            loops.append(self._lips)
            gums = _raised(face[self._lips], self._up, _GUMS * portrait.height(face))
            patches.append(_patch(face[self._lips], _TEETH_BEHIND, gums))
        self._patches = portrait.camera.lift(np.concatenate([points for points, _ in patches]))
        self._anchors = portrait.camera.lift(around.points)
        self._rigidity = around.rigidity[:, None]
        self.source, self.triangles = self._assemble(face, around.points, patches, around.triangles, loops)
        self.paint = np.zeros((len(self.source), 4))
        self.paint[-len(self._interior.colours) :] = np.pad(
            self._interior.colours, ((0, 0), (0, 1)), constant_values=1.0
        )
        self._rasterizer, self._faces = NumbaRasterizer(), torch.from_numpy(self.triangles)

    def frame(self, expression: np.ndarray, turn: np.ndarray, closure: float = 0.0) -> np.ndarray:
        """Draw the photo's person.

        Args:
            expression: (64,) β.
            turn: (3,) pitch, yaw, roll in radians, beside those of the photo.
            closure: Of the lids, 0 as in the photo to 1 shut.

        Returns:
            (H, W, 3) uint8.
        """
        height, width = self.portrait.picture.shape[:2]
        projected = self.project(expression, turn, closure)
        enlarged = torch.from_numpy((projected * [SAMPLES, SAMPLES, 1]).astype(np.float32))[None]
        fragments = self._rasterizer(enlarged, self._faces, SAMPLES * max(height, width))
        return look_up(fragments, self.triangles, self.source, self.paint, self.portrait.picture)

    def project(self, expression: np.ndarray, turn: np.ndarray, closure: float = 0.0) -> np.ndarray:
        """Where all vertices are in a frame, (V, 3) pixels and depth; arguments as of `frame`."""
        portrait = self.portrait
        spoken = portrait.shape(self.model, expression)
        shape = spoken + closure * self.lids
        face, inside = portrait.posed(shape), portrait.posed(self._interior.vertices(spoken))
        moved = (face - portrait.posed(self._shape))[self._outline]
        rings = len(self._anchors) // len(self._outline)
        anchors = self._anchors + self._following[:, None] * np.tile(moved, (rings, 1))
        angles = portrait.angles.astype(np.float64)
        rotation = rotation_matrix(angles).T @ rotation_matrix(angles + turn)
        joint = portrait.posed(_NECK_JOINT[None])

        def turned(points: np.ndarray) -> np.ndarray:
            return (points - joint) @ rotation + joint

        anchors = anchors + self._rigidity * (turned(anchors) - anchors)
        return portrait.camera.project(np.concatenate([turned(face), anchors, turned(self._patches), turned(inside)]))

    def _surround(self, face: np.ndarray, outline: np.ndarray) -> Surroundings:
        portrait = self.portrait
        plane = portrait.camera.project(portrait.posed(_SILHOUETTE[None]))[0, 2]
        size = portrait.picture.shape[:2]
        return surround(face[outline], self._up, portrait.height(face), float(plane), (size[0], size[1]))

    def _assemble(
        self,
        face: np.ndarray,
        anchors: np.ndarray,
        patches: list[tuple[np.ndarray, np.ndarray]],
        around: np.ndarray,
        loops: list[np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places in the photo (V, 3) and triangles (F, 3) of all vertices."""
        count = len(face)
        numbers = np.concatenate([self._outline, count + np.arange(len(anchors))])
        triangles = [self.model.triangles.numpy(), numbers[around]]
        start = count + len(anchors)
        for (points, _), loop in zip(patches, loops, strict=True):
            triangles.append(Fan.over(loop, len(points) // len(loop)).triangles + start)
            start += len(points)
        triangles.append(self._interior.triangles + start)
        source = np.concatenate(
            [face, anchors, *(places for _, places in patches), np.ones((len(self._interior.colours), 3))]
        )
        return source, np.concatenate(triangles).astype(np.int64)


def _patch(loop: np.ndarray, behind: float, beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is seen through an opening of the face, as rings that keep still while lids or lips move over them.

    Args:
        loop: (n, 3) pixels and depth around the opening.
        behind: Decimetres by which it lies behind.
        beyond: (n, 2) pixels by which it reaches beyond the opening; there it repeats the edge of the opening.

    Returns:
        (4 n, 3) pixels and depth of the rings, and (4 n, 3) the places in the photo they show.
    """
    middle = loop.mean(0)
    inner = [middle + share * (loop - middle) + [0, 0, behind] for share in (1.0, 0.5, 0.0)]
    outer = inner[0] + np.pad(beyond, ((0, 0), (0, 1)))
    return np.concatenate([outer, *inner]), np.concatenate([inner[0], *inner])


def _from_middle(loop: np.ndarray) -> np.ndarray:
    return loop[:, :2] - loop[:, :2].mean(0)


def _raised(lips: np.ndarray, up: np.ndarray, reach: float) -> np.ndarray:
    """(n, 2) offsets that widen the opening of a mouth upward, not at its corners.

    Upward only: a raised lip shows gums, much like the lip's edge; a lowered one what is below the teeth.
    """
    offset = _from_middle(lips)
    across, height = offset @ [-up[1], up[0]], offset @ up
    return reach * np.where(height > 0, 1 - (across / np.abs(across).max()) ** 2, 0)[:, None] * up


def _loops(model: MorphableModel) -> list[np.ndarray]:
    """Outline, lips, right eye and left eye, counter-clockwise seen from the front."""
    outline, *holes = (np.array(loop) for loop in boundary_loops(model.triangles.numpy()))
    ends = (MOUTH_CORNERS[0], RIGHT_EYE_CORNERS[0], LEFT_EYE_CORNERS[0])
    mean = model.mean_shape.double().numpy()

    def near(landmark: int) -> np.ndarray:
        point = mean[landmark]
        return min(holes, key=lambda loop: float(np.linalg.norm(mean[loop] - point, axis=1).min()))[::-1].copy()

    return [outline, *(near(landmark) for landmark in ends)]


def _skin_colour(picture: np.ndarray, face: np.ndarray, model: MorphableModel) -> np.ndarray:
    """(3,) median colour of the bare skin in the photo, 0 to 1."""
    skin = face[model.skin_weight.numpy() > 0.9]
    column, row = (skin[:, k].astype(int).clip(0, picture.shape[1 - k] - 1) for k in (0, 1))
    return np.median(picture[row, column], axis=0) / 255
