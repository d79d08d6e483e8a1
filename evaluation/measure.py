"""From a video file to what the metrics compare: face crop, key points, head angles, mouth opening, beats of its sound.

Every file is measured the same way, from itself alone, whoever made it. This is the one file of `evaluation` that
knows a face; the metrics take arrays.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from evaluation.sound import speech_beats
from face import landmarks as mesh
from face.assets import tracker_assets
from face.camera import CAMERA_DISTANCE, Camera
from face.crop import Crop, crop_around
from face.identity import ArcFaceEncoder
from face.models.registry import load_face_model
from face.mouth_from_sound import predicted_opening
from face.rasterizers import RASTERIZERS
from face.tracking import Track, track
from media.audio import read_audio
from media.digest import sha256
from media.errors import InputError
from media.video import VideoInfo, probe, stream_frames

SIZE = 256  # px, the crop on which everything is measured (SPEC)
_STEPS = 8  # Gauss-Newton from a frontal face is exact to 1e-12 rad after 6, up to 45 degrees; ours: two more
_BLOCK = 512  # frames solved together; a minute of video needs about 100 MB
_SAME_SHAPE = 0.02  # ours: width : height may differ by rounding to whole or even pixels


@dataclass(frozen=True)
class Sound:
    """What was heard in one video.

    Attributes:
        beats: (N,) onsets of the speech, seconds from the first frame on.
        mouth_opening: float32 (T,) mouth opening that the sound suggests at 25/s, in no unit.
    """

    beats: np.ndarray
    mouth_opening: np.ndarray


@dataclass(frozen=True)
class Measurement:
    """What was measured in one video.

    Attributes:
        path: The file.
        sha256: Of its bytes.
        width: Width of its frames in pixels.
        height: Height of its frames in pixels.
        fps: Pictures per second of the file; what follows is at 25.
        crop: The square of its frames in which everything is measured.
        landmarks: float32 (T, 468, 3) in pixels of the crop.
        angles: float32 (T, 3) pitch, yaw, roll of the head in degrees.
        mouth_opening: float32 (T,) distance of the inner lips / distance of the outer eye corners.
        bridged: bool (T,) frames in which no face was found; their values are interpolated.
        sound: What was heard; None in a silent file.
    """

    path: Path
    sha256: str
    width: int
    height: int
    fps: float
    crop: Crop
    landmarks: np.ndarray
    angles: np.ndarray
    mouth_opening: np.ndarray
    bridged: np.ndarray
    sound: Sound | None

    def __len__(self) -> int:
        return len(self.landmarks)

    @property
    def key_points(self) -> np.ndarray:
        """float32 (T, 68, 2), dlib's 68 points in pixels of the crop."""
        return self.landmarks[:, mesh.KEY_POINTS_68, :2]

    def frames(self) -> Iterator[np.ndarray]:
        """The crop of every frame, uint8 (256, 256, 3), decoded again from the file one by one."""
        for frame in stream_frames(self.path):
            yield self.crop.apply(frame)

    def face_mask(self, frame: int) -> np.ndarray:
        """Boolean (256, 256): the tracked face of a frame with the mouth, without the eye holes."""
        return _covered(self.landmarks[frame])

    def identity(self, encoder: ArcFaceEncoder, frames: np.ndarray, start: int) -> np.ndarray:
        """Identity features (N, 512) of the crops (N, 256, 256, 3) of frames start ... start + N - 1."""
        return encoder(frames, mesh.five_points(self.landmarks[start : start + len(frames), :, :2]))


@dataclass(frozen=True)
class TrackedFile:
    """A video and the face followed through it, before anything is measured."""

    info: VideoInfo
    found: Track


def track_file(path: str | Path, progress: bool = False) -> TrackedFile:
    """Track the face of a video: the part of measuring that takes time, and needs no other file.

    Raises:
        InputError: The file cannot be read, has no face or two (with the frame and the time).
    """
    info = probe(path)
    return TrackedFile(info, track(stream_frames(path), source=str(path), total=info.frames, progress=progress))


def measure(path: str | Path | TrackedFile, like: Measurement | None = None, progress: bool = False) -> Measurement:
    """Track the face of a video and measure it in a 256 px crop.

    A file of 256 x 256 px is taken whole, as a crop already (`evaluation.face_crop` checks that). The crop of another
    file is that of the reference, brought to this file's size; the reference's own is 1.25 x the square around its face
    in all its frames.

    Args:
        path: A video file, or one that was tracked already.
        like: The reference this file is to be compared with; None for a reference.
        progress: Show a progress bar.

    Returns:
        The measurement.

    Raises:
        InputError: The file cannot be read, has no face or two (with the frame and the time), or its frames have
            another shape than those of `like`.
    """
    info = path.info if isinstance(path, TrackedFile) else probe(path)
    crop = _known_crop(info, like)
    found = (path if isinstance(path, TrackedFile) else track_file(path, progress)).found
    crop = crop or crop_around(found.landmarks, size=SIZE)
    landmarks = np.concatenate([crop.to_crop(part) for part in _blocks(found.landmarks)])
    return Measurement(
        path=info.path,
        sha256=sha256(info.path),
        width=info.width,
        height=info.height,
        fps=info.fps,
        crop=crop,
        landmarks=landmarks,
        angles=head_angles(landmarks, canonical_face(), Camera(SIZE)),
        mouth_opening=mesh.mouth_opening(landmarks),
        bridged=found.bridged,
        sound=_heard(info),
    )


def load_arcface(path: str | Path) -> ArcFaceEncoder:
    """The network that `Measurement.identity` takes, from the user's ONNX file.

    Raises:
        InputError: The file is missing or no such network.
    """
    return ArcFaceEncoder(path)


def _heard(info: VideoInfo) -> Sound | None:
    """The sound of a file; None if it has none, or an empty track."""
    if info.has_audio:
        with suppress(InputError):
            samples = read_audio(info.path)
            return Sound(speech_beats(samples), predicted_opening(samples))
    return None


def _known_crop(info: VideoInfo, like: Measurement | None) -> Crop | None:
    """The crop of a file that is known before tracking it; None for its own."""
    if (info.width, info.height) == (SIZE, SIZE):
        return Crop(0.0, 0.0, float(SIZE), SIZE)
    if like is None:
        return None
    scale = info.width / like.width
    if abs(info.height / like.height / scale - 1) > _SAME_SHAPE:
        raise InputError(
            f"{info.path} has frames of {info.width}x{info.height} px, {like.path} of {like.width}x{like.height}: they "
            "do not show the same view; give both in the same shape, or both as the same 256x256 px crop of the face"
        )
    return Crop(like.crop.x * scale, like.crop.y * scale, like.crop.side * scale, SIZE)


@cache
def canonical_face() -> np.ndarray:
    """float64 (468, 3): the mean face of the embedded face model at the mesh points, decimetres, facing +z.

    Head angles of all people are measured against this one face. A person's own shape shifts them by a constant,
    which is the same for every video of that person.
    """
    model = load_face_model("facemesh")
    return model.mean_shape[model.landmark_vertices].double().numpy()


def head_angles(landmarks: np.ndarray, face: np.ndarray, camera: Camera) -> np.ndarray:
    r"""Angles of the head in every frame, by a perspective fit of a rigid face.

    .. math:: \min_{R_t, \tau_t} \sum_i \lVert \pi(v_i R_t + \tau_t) - x_{t,i} \rVert^2

    over the points that neither speech nor blinking moves, by Gauss-Newton; :math:`\pi` is the camera. The third
    coordinate of the landmarks is a guess of the tracker and is not used.

    Args:
        landmarks: (T, 468, D) pixels of the crop, D >= 2.
        face: (468, 3) rigid face in decimetres.
        camera: Camera of the crop.

    Returns:
        float32 (T, 3) pitch, yaw, roll in degrees, in the convention of `face.camera.rotation_matrix`.
    """
    rigid = _rigid_points(face)
    blocks = [_fit_rigid(part[:, rigid, :2].astype(np.float64), face[rigid], camera) for part in _blocks(landmarks)]
    return np.degrees(np.concatenate(blocks)).astype(np.float32)


def _blocks(frames: np.ndarray) -> Iterator[np.ndarray]:
    """Views of some hundred frames: double precision of a whole video at once would take gigabytes."""
    return (frames[first : first + _BLOCK] for first in range(0, len(frames), _BLOCK))


def _rigid_points(face: np.ndarray) -> np.ndarray:
    """Indices of the mesh points from the base of the nose up, without eyelids and brows."""
    nose_base = face[2, 1]  # mesh point 2: where nose and upper lip meet
    corners = {*mesh.RIGHT_EYE_CORNERS, *mesh.LEFT_EYE_CORNERS}
    moving = {*mesh.RIGHT_EYE, *mesh.LEFT_EYE, *mesh.RIGHT_BROW, *mesh.LEFT_BROW} - corners
    return np.array([i for i in range(mesh.COUNT) if face[i, 1] >= nose_base and i not in moving])


def _fit_rigid(points: np.ndarray, face: np.ndarray, camera: Camera) -> np.ndarray:
    """Pitch, yaw, roll (T, 3) in radians of a rigid face (P, 3) seen at points (T, P, 2)."""
    frames = len(points)
    centre = face.mean(0)
    shape = face - centre  # turning about its own middle keeps angles and translation apart
    spread = np.linalg.norm(points - points.mean(1, keepdims=True), axis=2).mean(1)
    depth = camera.focal * np.linalg.norm(shape[:, :2], axis=1).mean() / spread
    middle = (points.mean(1) - camera.centre) * [1, -1] * depth[:, None] / camera.focal
    translation = np.concatenate([middle, CAMERA_DISTANCE - depth[:, None]], axis=1)
    rotation = np.tile(np.eye(3), (frames, 1, 1))
    for _ in range(_STEPS):
        turned = shape @ rotation
        seen = camera.project(turned + translation[:, None])
        x, y = (seen[..., 0] - camera.centre) / camera.focal, (camera.centre - seen[..., 1]) / camera.focal
        scale, zero = camera.focal / seen[..., 2], np.zeros_like(x)
        by_position = scale[..., None, None] * np.stack(
            [np.stack([zero + 1, zero, x], -1), np.stack([zero, zero - 1, -y], -1)], axis=-2
        )  # (T, P, 2, 3): pixels per decimetre
        # a small turn w moves p to p + w x p, so the derivative by w is (p x row) of the derivative by position
        by_turn = np.cross(turned[..., None, :], by_position)
        jacobian = np.concatenate([by_turn, by_position], axis=-1).reshape(frames, -1, 6)
        residual = (points - seen[..., :2]).reshape(frames, -1, 1)
        transposed = jacobian.transpose(0, 2, 1)
        step = np.linalg.solve(transposed @ jacobian, transposed @ residual)[..., 0]
        # scipy's matrices turn columns, ours rows: one is the transpose of the other
        rotation = rotation @ Rotation.from_rotvec(step[:, :3]).as_matrix().transpose(0, 2, 1)
        translation = translation + step[:, 3:]
    return Rotation.from_matrix(rotation.transpose(0, 2, 1)).as_euler("xyz")  # about fixed axes: Rz Ry Rx, facts 4.3


@cache
def _face_triangles() -> torch.Tensor:
    """int64 (F, 3): the mesh, its eyes open, its mouth closed by a fan."""
    lips = mesh.INNER_LIPS[::-1]  # counter-clockwise, as the rasteriser wants a front face
    fan = [(lips[0], *edge) for edge in pairwise(lips[1:])]
    return torch.from_numpy(np.concatenate([tracker_assets().triangles, np.array(fan, np.int64)]))


def _covered(landmarks: np.ndarray) -> np.ndarray:
    """Boolean (256, 256): pixels whose centre the mesh of (468, 3) landmarks covers."""
    flat = torch.from_numpy(landmarks).clone()
    flat[:, 2] = 1.0  # coverage needs no depth
    return (RASTERIZERS["numba"]()(flat[None], _face_triangles(), SIZE).triangle[0] >= 0).numpy()
