"""Where the vertices of a face are on the picture and which colour they have there: all that drawing needs of them."""

from typing import Any, NamedTuple

import numba
import numpy as np
import torch

from face.camera import CAMERA_DISTANCE, Camera, pose_vertices, rotation_matrix
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, TRANSLATION
from face.illumination import irradiance, irradiance_forms
from face.models.morphable_model import MorphableModel
from media.threads import share_frames


def light_face(
    model: MorphableModel, camera: Camera, chi: torch.Tensor, albedo: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shape, place, light and project a face.

    On a CPU, in float32 and without gradients, one compiled loop does what tensors do otherwise.

    Args:
        model: The morphable face.
        camera: Camera of the image.
        chi: (B, 257) coefficients.
        albedo: (V, 3) or (B, V, 3) colour of each vertex under unit light, 0 to 1.

    Returns:
        (B, V, 3) x, y in pixels and depth in decimetres, and (B, V, 3) colours in [0, 1].
    """
    shape = shape_face(model, chi)
    if fit_for_loops(shape, chi, albedo):
        return _light_in_loops(model, camera, shape.detach(), chi.detach(), albedo.detach())
    posed = pose_vertices(shape, chi[:, ANGLES], chi[:, TRANSLATION])
    light = irradiance(model.normals(posed), chi[:, ILLUMINATION])
    return camera.project(posed), (albedo * light).clamp(0, 1)


def shape_face(model: MorphableModel, chi: torch.Tensor) -> torch.Tensor:
    """(B, V, 3) vertices in decimetres before the pose, from (B, 257) coefficients."""
    identity = chi[:, IDENTITY]
    wanted = torch.is_grad_enabled() and identity.requires_grad  # of each row by itself
    if len(chi) > 1 and not wanted and bool((identity == identity[:1]).all()):
        identity = identity[:1]  # one person: their basis is multiplied once for all frames
    return model.shape(identity, chi[:, EXPRESSION])


def fit_for_loops(*tensors: torch.Tensor) -> bool:
    """Whether compiled loops may take the place of tensors: on a CPU, in float32 and without gradients."""
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return not wanted and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)


def pose_in_loops(
    model: MorphableModel, camera: Camera, shape: torch.Tensor, chi: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Place and project a face (see `fit_for_loops`).

    Args:
        model: The morphable face.
        camera: Camera of the image.
        shape: (B, V, 3) of `shape_face`.
        chi: (B, 257) coefficients.

    Returns:
        (B, V, 3) x, y in pixels and depth in decimetres, (B, V, 3) unit normals in camera axes and (B, V) cosines
        between them and the directions to the camera.
    """
    projected, normals, facing = torch.empty(shape.shape), torch.empty(shape.shape), torch.empty(shape.shape[:2])
    faces, outputs = _faces(model, camera, shape, chi), (projected.numpy(), normals.numpy(), facing.numpy())
    kernel: Any = _pose_frames  # compiled for these types, of which the checker knows nothing
    share_frames(lambda first, step: kernel(faces, first, step, *outputs), len(shape))
    return projected, normals, facing


def _light_in_loops(
    model: MorphableModel, camera: Camera, shape: torch.Tensor, chi: torch.Tensor, albedo: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`light_face` from the shape (B, V, 3) on."""
    projected, colours = torch.empty(shape.shape), torch.empty(shape.shape)
    forms, paint = irradiance_forms(chi[:, ILLUMINATION]), albedo if albedo.ndim == 3 else albedo[None]
    lit = _array(forms), _array(paint)
    faces, outputs = _faces(model, camera, shape, chi), (projected.numpy(), colours.numpy())
    kernel: Any = _light_frames  # likewise
    share_frames(lambda first, step: kernel(faces, *lit, first, step, *outputs), len(shape))
    return projected, colours


class _Faces(NamedTuple):
    """Faces before the pose, and what places them.

    Attributes:
        vertices: (B, V, 3) float32 decimetres.
        rotation: (B, 3, 3) float32.
        translation: (B, 3) float32 decimetres.
        triangles: (F, 3) integers.
        focal: Of the camera, pixels.
        centre: Of the picture, pixels.
    """

    vertices: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    triangles: np.ndarray
    focal: np.float32
    centre: np.float32


def _faces(model: MorphableModel, camera: Camera, shape: torch.Tensor, chi: torch.Tensor) -> _Faces:
    return _Faces(
        vertices=_array(shape),
        rotation=_array(rotation_matrix(chi[:, ANGLES])),
        translation=_array(chi[:, TRANSLATION]),
        triangles=_array(model.triangles),
        focal=np.float32(camera.focal),
        centre=np.float32(camera.centre),
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


# Of array elements: numba asks of each signed number whether it counts from the end, which costs as much as the rest.
_index: Any = np.uint64


_compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _light_frames(
    faces: _Faces,
    forms: np.ndarray,
    albedo: np.ndarray,
    begin: int,
    step: int,
    projected: np.ndarray,
    colours: np.ndarray,
) -> None:
    """Fills `projected` and `colours` (B, V, 3) in the frames `begin`, `begin + step`, ..."""
    count = faces.vertices.shape[1]
    posed, normals = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    for frame in range(begin, faces.vertices.shape[0], step):
        _stand(faces, frame, posed, projected[frame], normals)
        _light(normals, forms[frame], albedo[min(frame, albedo.shape[0] - 1)], colours[frame])


@_compiled
def _pose_frames(
    faces: _Faces, begin: int, step: int, projected: np.ndarray, normals: np.ndarray, facing: np.ndarray
) -> None:
    """Fills `projected` and `normals` (B, V, 3) and `facing` (B, V) in the frames `begin`, `begin + step`, ..."""
    posed = np.empty((faces.vertices.shape[1], 3), np.float32)
    for frame in range(begin, faces.vertices.shape[0], step):
        _stand(faces, frame, posed, projected[frame], normals[frame])
        _face_camera(posed, normals[frame], facing[frame])


@_compiled
def _face_camera(posed: np.ndarray, normals: np.ndarray, facing: np.ndarray) -> None:
    """Gives `normals` (V, 3) unit length and fills `facing` (V,), their cosines to the directions to the camera."""
    one, tiny, distance = np.float32(1), np.float32(1e-12), np.float32(CAMERA_DISTANCE)
    for vertex in range(posed.shape[0]):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        inverse = one / max(np.sqrt(x * x + y * y + z * z), tiny)
        x, y, z = x * inverse, y * inverse, z * inverse
        right, up, depth = -posed[vertex, 0], -posed[vertex, 1], distance - posed[vertex, 2]
        away = max(np.sqrt(right * right + up * up + depth * depth), tiny)
        normals[vertex, 0], normals[vertex, 1], normals[vertex, 2] = x, y, z
        facing[vertex] = (x * right + y * up + z * depth) / away


@_compiled
def _stand(faces: _Faces, frame: int, posed: np.ndarray, projected: np.ndarray, normals: np.ndarray) -> None:
    """Places the face of one frame; `normals` as `_add_normals` leaves them."""
    vertices, rotation, translation = faces.vertices[frame], faces.rotation[frame], faces.translation[frame]
    _place(vertices, rotation, translation, faces.focal, faces.centre, posed, projected)
    _add_normals(posed, faces.triangles, normals)


@_compiled
def _place(
    shape: np.ndarray,
    r: np.ndarray,
    t: np.ndarray,
    focal: np.float32,
    centre: np.float32,
    posed: np.ndarray,
    projected: np.ndarray,
) -> None:
    """Turns, moves and projects the vertices of one frame."""
    distance = np.float32(CAMERA_DISTANCE)
    for vertex in range(shape.shape[0]):
        x, y, z = shape[vertex, 0], shape[vertex, 1], shape[vertex, 2]
        right = x * r[0, 0] + y * r[1, 0] + z * r[2, 0] + t[0]
        up = x * r[0, 1] + y * r[1, 1] + z * r[2, 1] + t[1]
        near = x * r[0, 2] + y * r[1, 2] + z * r[2, 2] + t[2]
        posed[vertex, 0], posed[vertex, 1], posed[vertex, 2] = right, up, near
        depth = distance - near
        scale = focal / depth
        projected[vertex, 0] = right * scale + centre
        projected[vertex, 1] = centre - up * scale
        projected[vertex, 2] = depth


@_compiled
def _add_normals(posed: np.ndarray, triangles: np.ndarray, normals: np.ndarray) -> None:
    """Fills `normals` with the sums over the adjacent triangles, each as long as twice its area."""
    normals[:] = 0
    for face in range(triangles.shape[0]):
        a, b, c = _index(triangles[face, 0]), _index(triangles[face, 1]), _index(triangles[face, 2])
        ux, vx = posed[b, 0] - posed[a, 0], posed[c, 0] - posed[a, 0]
        uy, vy = posed[b, 1] - posed[a, 1], posed[c, 1] - posed[a, 1]
        uz, vz = posed[b, 2] - posed[a, 2], posed[c, 2] - posed[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz


@_compiled
def _light(normals: np.ndarray, forms: np.ndarray, albedo: np.ndarray, colours: np.ndarray) -> None:
    """Colours of the vertices of one frame; in plain rows, so that many are worked on per instruction."""
    count = normals.shape[0]
    along, upward, nearer = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    lit = np.empty(count, np.float32)
    zero, one, tiny = np.float32(0), np.float32(1), np.float32(1e-12)
    for vertex in range(count):
        x, y, z = normals[vertex, 0], normals[vertex, 1], normals[vertex, 2]
        inverse = one / max(np.sqrt(x * x + y * y + z * z), tiny)
        along[vertex], upward[vertex], nearer[vertex] = x * inverse, y * inverse, z * inverse
    for colour in range(3):
        q = forms[colour]
        xx, yy, zz, xy, yz, zx = q[0], q[1], q[2], q[3], q[4], q[5]
        x1, y1, z1, constant = q[6], q[7], q[8], q[9]
        for vertex in range(count):
            x, y, z = along[vertex], upward[vertex], nearer[vertex]
            lit[vertex] = (
                (xx * x + xy * y + x1) * x + (yy * y + yz * z + y1) * y + (zz * z + zx * x + z1) * z + constant
            )
        for vertex in range(count):
            colours[vertex, colour] = min(max(albedo[vertex, colour] * lit[vertex], zero), one)
