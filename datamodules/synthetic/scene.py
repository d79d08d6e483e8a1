"""The person as triangles before the camera, frame by frame.

Everything stands in the space of the face model. The face follows its coefficients; skull, ears, hair and upper teeth
follow the head; lower teeth and tongue also the jaw; the neck bends between head and body; clothes follow the body.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skimage.measure import points_in_poly

from datamodules.synthetic import body, eyes_and_mouth, hair, paint, skin
from datamodules.synthetic.eyes_and_mouth import Eye, Fan
from datamodules.synthetic.person import Person
from datamodules.synthetic.shading import MATERIAL_INDEX, NORMAL, TANGENT, TEXTURE, TINT, Atlas, pack_attributes
from datamodules.synthetic.surfaces import Surface, grid_triangles, smoothstep, vertex_normals
from face.camera import Camera, rotation_matrix
from face.landmarks import OUTER_LIPS
from face.models.morphable_model import MorphableModel
from face.subdivision import boundary_loops

NECK_JOINT = np.array([0.0, -0.70, -0.62])  # what the head turns about: between the ears and the collar
_WAIST = np.array([0.0, -3.0, -0.8])
_BODY_SHARE = 0.15  # of the head's turn that the body joins in
_RIGHT_EAR, _LEFT_EAR = 234, 454  # outline points at the ears


@dataclass(frozen=True)
class Pose:
    """One moment.

    Attributes:
        expression: (64,) β.
        angles: (3,) of the head, radians.
        lean: (3,) of the body, decimetres.
        gaze: (2,) of the eyes in the room (0 looks into the camera), radians.
        tongue: 0 flat to 1 at the upper teeth.
    """

    expression: np.ndarray
    angles: np.ndarray
    lean: np.ndarray
    gaze: np.ndarray
    tongue: float


def head_translation(person: Person, angles: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """The translation in χ of a head that turns about its neck and leans with its body.

    Args:
        person: Whose head.
        angles: (..., 3) radians.
        lean: (..., 3) decimetres.

    Returns:
        (..., 3) decimetres.
    """
    return person.translation + lean + NECK_JOINT - NECK_JOINT @ rotation_matrix(angles)


class Scene:
    """A person ready to be posed.

    Args:
        person: Who.
        model: Face model.
        detail: Resolution of the textures. At 1 a pixel of a 512 px picture holds about four pixels of the skin's
            texture in each direction; a quarter is enough for 256 px, and keeps brows and pores from flickering.

    Attributes:
        triangles: int64 (F, 3) of all surfaces.
        surfaces: int64 (F, 2) number of the surface each belongs to, and its material.
        atlas: Textures.
        neutral: (V, 3) the person's face at rest.
    """

    def __init__(self, person: Person, model: MorphableModel, detail: float = 1.0) -> None:
        self.person = person
        rng = np.random.default_rng([person.seed, 4])
        mean = model.mean_shape.numpy().astype(np.float64)
        alpha = torch.from_numpy(person.identity.astype(np.float32))[None]
        self.neutral = model.shape(alpha, torch.zeros(1, 64))[0].numpy().astype(np.float64)
        self._expression_basis = model.expression_basis.numpy().reshape(64, -1)
        self._landmarks = model.landmark_vertices.numpy()
        faces = model.triangles.numpy()
        outline, mouth, right_eye, left_eye = _openings(faces, self.neutral)
        colours = model.texture(torch.from_numpy(person.texture.astype(np.float32))[None])[0].numpy()
        face_texture = skin.paint_skin(mean, faces, colours.astype(np.float64), person.complexion, rng, detail)
        first, last, left, right = (round(detail * edge) for edge in (440, 640, 250, 780))  # cheeks and nose
        skin_colour = np.median(face_texture[first:last, left:right].reshape(-1, 3), axis=0)
        # Hair and neck are painted coarser than the face from the start, ribs of cloth just fine enough.
        fine, coarse = round(detail * paint.TILE), round(min(1, 2 * detail) * paint.TILE)
        self.atlas = Atlas.of(
            {
                "skin": face_texture,
                "pores": paint.paint_pores(rng, coarse),
                "strands": paint.paint_strands(rng, coarse),
                "knit": paint.paint_knit(rng),
                "eye": paint.paint_eye(person.iris, rng, eyes_and_mouth.EYE_TILE, fine),
                "upper_teeth": paint.paint_teeth(True, rng, fine),
                "lower_teeth": paint.paint_teeth(False, rng, fine),
            }
        )
        self._outline = outline
        self._head, self._follow = self._make_head(mean, faces)
        self._eyes = [Eye.of(self.neutral, loop, left) for loop, left in ((right_eye, False), (left_eye, True))]
        self._mouth = Fan.over(mouth, eyes_and_mouth.MOUTH_RINGS)
        neck, self._neck_share = body.neck(skin_colour)
        self._tongue = eyes_and_mouth.tongue(self.neutral)
        fixed = hair.grow(person.haircut, rng)
        if person.haircut.style == "short":
            fixed += body.ears(self.neutral, (_RIGHT_EAR, _LEFT_EAR), skin_colour)
        self._fixed = [*fixed, eyes_and_mouth.teeth(self.neutral, True)]
        self._jaw = [eyes_and_mouth.teeth(self.neutral, False), self._tongue]
        self._body = [neck, *body.clothes(person.cloth)]
        self._join(person)

    def _make_head(self, mean: np.ndarray, faces: np.ndarray) -> tuple[Surface, np.ndarray]:
        """Face and skull as one surface, and how the skull follows the outline."""
        centre = np.array([0.0, 0.1, 0.3])
        rim = faces[np.isin(faces, self._outline).any(1)]
        inner = np.array([_inward(rim, self.neutral, vertex, centre) for vertex in self._outline])
        points, follow, triangles = body.skull(self.neutral, self._outline, inner)
        rings = len(points) // len(self._outline)
        uv = skin.skin_uv(mean)
        uv = np.concatenate([uv, np.tile(uv[self._outline], (rings, 1))])
        vertices = np.concatenate([self.neutral, points])
        # Hair keeps light from the skin beside it, the chin from the throat.
        tint = np.ones((len(vertices), 1))
        y = vertices[:, 1]
        tint[:, 0] *= 1 - 0.28 * smoothstep(y, 0.70, 0.92) - 0.22 * smoothstep(np.abs(vertices[:, 0]), 0.58, 0.74)
        throat = np.repeat(smoothstep(np.linspace(0, 1, rings + 1)[1:], -0.1, 0.35), len(self._outline))
        tint[len(mean) :, 0] *= 1 - 0.45 * throat * (points[:, 1] < -0.2)
        surface = Surface(vertices, np.concatenate([faces, triangles]), uv, "skin", "face", tint * np.ones(3))
        return surface, follow

    def _join(self, person: Person) -> None:
        """Lay all surfaces into common arrays; remember what moves."""
        neutral = self.neutral
        surfaces = [self._head]
        for eye in self._eyes:
            vertices, _, uv = eye.surface(neutral, np.zeros(2))
            surfaces.append(Surface(vertices, eye.fan.triangles, uv, "eye", "eye", eye.shade[:, None] * np.ones(3)))
        for eye in self._eyes:
            strip = eye.lash_strip(neutral)
            triangles = grid_triangles(2, len(strip) // 2)
            both = np.concatenate([triangles, triangles[:, ::-1]])
            dark = np.full((len(strip), 3), 0.05 if person.complexion.liner > 0.6 else 0.12)
            surfaces.append(Surface(strip, both, np.zeros((len(strip), 2)), "pores", "dark", dark))
        inside = eyes_and_mouth.cavity(self._mouth, neutral)
        shade = np.repeat(eyes_and_mouth.cavity_shade(), len(self._mouth.loop))[:, None] * [0.50, 0.20, 0.20]
        surfaces.append(Surface(inside, self._mouth.triangles, np.zeros((len(inside), 2)), "pores", "dark", shade))
        surfaces += self._jaw + self._fixed + self._body
        offsets = np.cumsum([0] + [len(surface.vertices) for surface in surfaces])
        self.triangles = np.concatenate([s.triangles + o for s, o in zip(surfaces, offsets[:-1], strict=True)])
        self.surfaces = np.concatenate(
            [np.tile([k, MATERIAL_INDEX[s.material]], (len(s.triangles), 1)) for k, s in enumerate(surfaces)]
        )
        self._mark_lips()
        texture = np.concatenate([self.atlas.locate(s.texture, s.uv) for s in surfaces])
        self._tint = np.concatenate([s.tint for s in surfaces])
        self._tangent = np.concatenate([s.tangent for s in surfaces])
        self._normals = np.concatenate([vertex_normals(s.vertices, s.triangles) for s in surfaces])
        self._at_rest = pack_attributes(self._normals, texture, self._tint, self._tangent)
        self._starts = offsets

    def _mark_lips(self) -> None:
        """Give the triangles of the face within the outer lips the gloss of lips."""
        ring = self.neutral[list(OUTER_LIPS), :2]
        faces = self._head.triangles
        middle = self._head.vertices[faces][..., :2].mean(1)
        self.surfaces[: len(faces), 1][points_in_poly(middle, ring)] = MATERIAL_INDEX["lips"]

    def face(self, expression: np.ndarray) -> np.ndarray:
        """(V, 3) vertices of the face in head space."""
        return self.neutral + (expression.astype(np.float32) @ self._expression_basis).reshape(-1, 3)

    def pose(self, moment: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Place everything for one frame.

        Args:
            moment: Of the frame.

        Returns:
            Posed vertices (V, 3) in decimetres before the camera, and their attributes (see `pack_attributes`).
        """
        face = self.face(moment.expression)
        moved = np.tile(face[self._outline] - self.neutral[self._outline], (len(self._follow) // len(self._outline), 1))
        head = np.concatenate([face, self._head.vertices[len(face) :] + self._follow[:, None] * moved])
        rotation = rotation_matrix(moment.angles)
        translation = head_translation(self.person, moment.angles, moment.lean)
        # The eyes stay on the camera while the head turns.
        gaze = moment.gaze - np.array([moment.angles[1], -moment.angles[0]])
        eyes = [eye.surface(face, gaze) for eye in self._eyes]
        jaw = eyes_and_mouth.jaw_offset(face, self.neutral)
        tongue = eyes_and_mouth.raise_tip(self._tongue.vertices, moment.tongue) + jaw
        in_head = [
            head,
            *(vertices for vertices, _, _ in eyes),
            *(eye.lash_strip(face) for eye in self._eyes),
            eyes_and_mouth.cavity(self._mouth, face),
            self._jaw[0].vertices + jaw,
            tongue,
            *(surface.vertices for surface in self._fixed),
        ]
        with_head = np.concatenate(in_head)
        turn = rotation_matrix(_BODY_SHARE * moment.angles * np.array([0.3, 1.0, 1.0]))
        neck, *clothes = (surface.vertices for surface in self._body)
        place = self.person.translation + moment.lean
        share = self._neck_share[:, None]
        bent = share * (neck @ rotation + translation) + (1 - share) * (_about_waist(neck, turn) + place)
        posed = np.concatenate(
            [with_head @ rotation + translation, bent, *(_about_waist(part, turn) + place for part in clothes)]
        )
        return posed, self._attributes(posed, face, eyes, rotation, len(with_head))

    def _attributes(
        self,
        posed: np.ndarray,
        face: np.ndarray,
        eyes: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
        rotation: np.ndarray,
        heads: int,
    ) -> np.ndarray:
        packed, count = self._at_rest.copy(), len(self._head.vertices)
        packed[count:heads, NORMAL] = self._normals[count:heads] @ rotation
        packed[:heads, TANGENT] = self._tangent[:heads] @ rotation
        packed[:count, NORMAL] = vertex_normals(posed[:count], self._head.triangles)
        for k, (eye, (_, eye_normals, uv)) in enumerate(zip(self._eyes, eyes, strict=True)):
            rows = slice(self._starts[1 + k], self._starts[2 + k])
            packed[rows, NORMAL] = eye_normals @ rotation
            packed[rows, TEXTURE] = self.atlas.locate("eye", uv)
            packed[rows, TINT] = self._tint[rows] * (0.25 + 0.75 * eye.openness(face))
        facing = slice(self._starts[3], self._starts[6])  # lashes and cavity take the light of a wall
        packed[facing, NORMAL] = [0.0, 0.0, 1.0]
        return packed

    def true_landmarks(self, posed: np.ndarray, camera: Camera) -> np.ndarray:
        """The 468 landmarks in pixels, (468, 3): x, y, and depth in the scale of x relative to the head's centre."""
        points = camera.project(posed[self._landmarks])
        scale = camera.focal / points[:, 2].mean()
        points[:, 2] = (points[:, 2] - points[:, 2].mean()) * scale
        return points


def _openings(faces: np.ndarray, vertices: np.ndarray) -> list[np.ndarray]:
    """Outline, mouth, right eye and left eye of the face as counter-clockwise loops (seen from the front)."""
    # Loops follow the winding of the triangles: the outline runs counter-clockwise, holes clockwise. Their areas would
    # not tell, since closed lips may cross by a hair.
    outline, *rest = (np.array(loop) for loop in boundary_loops(faces))
    rest = [loop[::-1].copy() for loop in rest]
    rest.sort(key=lambda loop: vertices[loop, 1].mean())
    mouth, *eyes = rest
    eyes.sort(key=lambda loop: vertices[loop, 0].mean())
    return [outline, mouth, *eyes]


def _inward(faces: np.ndarray, vertices: np.ndarray, vertex: int, centre: np.ndarray) -> int:
    """The neighbour of an outline vertex that lies nearest to the way to the centre of the face."""
    near = np.unique(faces[(faces == vertex).any(1)])
    near = near[near != vertex]
    way = vertices[near] - vertices[vertex]
    toward = centre - vertices[vertex]
    return int(near[np.argmax(way @ toward / np.linalg.norm(way, axis=1))])


def _about_waist(points: np.ndarray, turn: np.ndarray) -> np.ndarray:
    return (points - _WAIST) @ turn + _WAIST
