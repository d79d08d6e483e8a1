"""Following one face through a video: 468 landmarks a frame, from the previous ones where possible."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from face import landmarks as mesh
from face.assets import tracker_assets
from face.detection import SMALLEST_SHARE, TILE_LEVELS, Detection, FaceDetector, overlap
from face.landmark_net import INPUT_SIZE, LandmarkNet
from face.warp import Square, reduce_around
from media.errors import InputError
from media.video import FPS

_MARGIN = 1.5  # side of the network's square / longer side of the face (the published design)
_PRESENT = 0.5  # lowest probability that the square shows a face (the published design)
# Ours: the mean of two looks, turned by 6 degrees to either side, has 10-15 % less jitter than one and no lag.
_LOOKS = (0.1, -0.1)
_SETTLE = 3  # ours: looks that carry a detected box over to a square around the landmarks
_JUMP = 1.5  # ours: a face does not grow or shrink by this factor from one frame to the next
SMALLEST_FACE = 64.0  # pixels, ours: smaller faces are refused
LONGEST_GAP = FPS  # frames, 1 s: longer gaps are refused, shorter ones bridged
_CHECK_INTERVAL = FPS  # frames between looks for a second face
_SECOND_FACE = 0.5  # ours: a second face counts when its side is more than this share of the followed one's
_PERSISTENT = 2  # ours: looks in a row that must show it; someone who passes by in a second does not spoil a video
_SAME_FACE = 0.2  # intersection over union of two landmark boxes above which they are one face


@dataclass(frozen=True)
class Track:
    """One face through a video.

    Attributes:
        landmarks: float32 (T, 468, 3); x, y in pixels of the source (continuous, y down), z in the same unit,
            smaller = nearer.
        confidence: float32 (T,) probability that the landmarks lie on a face; 0 where they were bridged.
        bridged: bool (T,) frames in which no face was found and the landmarks were interpolated.
    """

    landmarks: np.ndarray
    confidence: np.ndarray
    bridged: np.ndarray


@dataclass(frozen=True)
class Face:
    """The face of one frame: landmarks float64 (468, 3) in pixels and the probability that they lie on a face."""

    landmarks: np.ndarray
    confidence: float

    @cached_property
    def box(self) -> np.ndarray:
        """(4,) left, top, right, bottom of the landmarks."""
        return np.concatenate([self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)])

    @cached_property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float((self.box[2:] - self.box[:2]).max())

    @cached_property
    def square(self) -> Square:
        """Where to look for this face: upright with the eyes, around all landmarks, with a margin."""
        points = self.landmarks[:, :2]
        across = points[mesh.OUTER_EYES[1]] - points[mesh.OUTER_EYES[0]]
        angle = math.atan2(across[1], across[0])
        axes = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        turned = points @ axes
        x, y = axes @ (turned.min(0) + turned.max(0)) / 2
        return Square(float(x), float(y), float(np.ptp(turned, axis=0).max()) * _MARGIN, angle)


class Looker:
    """The landmark network, asked several times about one face.

    One after the other: handing looks of 3 ms to threads costs what it saves, and half as much processor time again.
    Two videos, or decoding and tracking, go well side by side.

    Args:
        model: Its TFLite file.
    """

    def __init__(self, model: Path) -> None:
        self._net = LandmarkNet(model)

    def __call__(self, frame: np.ndarray, square: Square) -> Face:
        """Landmarks of the face that fills a square of a frame, the mean over the looks."""
        squares = [Square(square.x, square.y, square.side, square.angle + turn) for turn in _LOOKS]
        reduced = reduce_around(frame, squares, INPUT_SIZE)
        seen = [self._net(reduced.sample(turned, INPUT_SIZE)) for turned in squares]
        points = [turned.to_picture(sight.points / INPUT_SIZE) for turned, sight in zip(squares, seen, strict=True)]
        logit = np.clip(np.mean([sight.logit for sight in seen]), -50, 50)
        return Face(np.mean(points, axis=0), 1 / (1 + math.exp(-logit)))


class FaceTracker:
    """Follows the largest face it finds; `find` starts it, `follow` goes from frame to frame."""

    def __init__(self) -> None:
        assets = tracker_assets()
        self._detector = FaceDetector(assets.detector)
        self._look = Looker(assets.landmarks)

    def find(self, frame: np.ndarray) -> Face | None:
        """The largest face of a frame, by detection; None if there is none."""
        for level in TILE_LEVELS:
            faces = self._confirmed(frame, self._detector.detect(frame, level))
            if faces:
                return faces[0]
        return None

    def follow(self, frame: np.ndarray, previous: Face | None) -> Face | None:
        """The face of a frame, from where it was in the frame before, or by detection when it is not there any more."""
        if previous is not None:
            face = self._look(frame, previous.square)
            if _plausible(face, previous, frame):
                return face
        return self.find(frame)

    def second(self, frame: np.ndarray, face: Face) -> Face | None:
        """Another face that is not much smaller than the followed one, or None."""
        smallest = face.side * _SECOND_FACE
        for level in TILE_LEVELS:
            for other in self._confirmed(frame, self._detector.detect(frame, level)):
                if other.side > smallest and overlap(face.box, other.box[None])[0] < _SAME_FACE:
                    return other
            if max(frame.shape) * level * SMALLEST_SHARE <= smallest:
                break
        return None

    def _confirmed(self, frame: np.ndarray, found: list[Detection]) -> list[Face]:
        """Detections on which the landmark network agrees, largest first: tiles show false faces in foliage."""
        faces = []
        for detection in found:
            eyes = detection.key_points[1] - detection.key_points[0]
            x, y = detection.centre
            square = Square(x, y, detection.side * _MARGIN, math.atan2(eyes[1], eyes[0]))
            for _ in range(_SETTLE):
                face = self._look(frame, square)
                square = face.square
            if face.confidence >= _PRESENT:
                faces.append(face)
        return sorted(faces, key=lambda face: -face.side)


def track(
    frames: Iterable[np.ndarray],
    source: str,
    total: int | None = None,
    progress: bool = False,
    tracker: FaceTracker | None = None,
) -> Track:
    """Follow the one face of a video.

    Frames without a face are bridged by interpolation between their neighbours, or by the nearest face at the ends.

    Args:
        frames: (H, W, 3) uint8 pictures at 25 per second; they are taken one by one.
        source: Name of the video, for messages.
        total: Number of frames, for the progress bar only.
        progress: Show a progress bar with the rate.
        tracker: Networks that are loaded already, for many short videos one after the other; one video at a time.

    Raises:
        InputError: No frame, no face, no face for more than 1 s, two faces, or a face smaller than 64 px; with the
            frame and the time.
    """
    shown = tqdm(frames, total=total, desc="tracking", unit="frame", disable=not progress)
    return track_of([face for _, face in follow_face(shown, source, tracker or FaceTracker())], source)


def follow_face(
    frames: Iterable[np.ndarray], source: str, tracker: FaceTracker
) -> Iterator[tuple[np.ndarray, Face | None]]:
    """Each frame with its face, None where there is none; see `track`, whose errors are raised at their frame.

    Args:
        frames: (H, W, 3) uint8 pictures at 25 per second; they are taken one by one.
        source: Name of the video, for messages.
        tracker: One video at a time.
    """
    face: Face | None = None
    gap = crowded = 0
    for index, frame in enumerate(frames):
        face = tracker.follow(frame, face)
        gap = 0 if face else gap + 1
        if gap > LONGEST_GAP:
            raise _no_face(source, index - gap + 1)
        if face and face.side < SMALLEST_FACE:
            raise InputError(
                f"the face in {source} is {face.side:.0f} px at {_moment(index)}, at least {SMALLEST_FACE:.0f} px are "
                "needed; film closer or use a larger picture"
            )
        if face and index % _CHECK_INTERVAL == 0:
            crowded = crowded + 1 if tracker.second(frame, face) else 0
            if crowded == _PERSISTENT:
                first = _moment(index - (_PERSISTENT - 1) * _CHECK_INTERVAL)
                raise InputError(
                    f"two faces in {source} from {first} on; use a video of one person, or crop the other one away"
                )
        yield frame, face


def _plausible(face: Face, previous: Face, frame: np.ndarray) -> bool:
    x, y = face.square.x, face.square.y
    inside = 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]
    return inside and face.confidence >= _PRESENT and 1 / _JUMP < face.side / previous.side < _JUMP


def _moment(index: int) -> str:
    return f"frame {index} ({index / FPS:.2f} s)"


def _no_face(source: str, index: int) -> InputError:
    if index == 0:
        return InputError(
            f"no face of at least {SMALLEST_FACE:.0f} px in {source} from {_moment(0)} on; use a video of one person "
            "who faces the camera, or film closer"
        )
    return InputError(
        f"no face in {source} from {_moment(index)} on for more than {LONGEST_GAP / FPS:.0f} s; cut the video there, "
        "or use one in which the face stays in view"
    )


def track_of(found: Sequence[Face | None], source: str) -> Track:
    """Fill the frames without a face: linearly between neighbours, constant at the ends.

    Args:
        found: The face of each frame, or None.
        source: Name of the video, for messages.

    Raises:
        InputError: No frame, or no face in any of them.
    """
    known = np.array([index for index, face in enumerate(found) if face], np.int64)
    if not len(known):
        raise _no_face(source, 0) if found else InputError(f"{source} holds no pictures; choose another video")
    # frame by frame in single precision: an hour of video must not lie in memory several times
    landmarks = np.empty((len(found), mesh.COUNT, 3), np.float32)
    for time, face in enumerate(found):
        if face is None:
            after = int(np.searchsorted(known, time))
            left, right = known[max(after - 1, 0)], known[min(after, len(known) - 1)]
            share = min(max((time - left) / max(right - left, 1), 0.0), 1.0)
            landmarks[time] = (1 - share) * _landmarks(found[left]) + share * _landmarks(found[right])
        else:
            landmarks[time] = face.landmarks
    confidence = np.zeros(len(found), np.float32)
    confidence[known] = [face.confidence for face in found if face]
    return Track(
        landmarks=landmarks,
        confidence=confidence,
        bridged=np.array([face is None for face in found]),
    )


def joined(first: Track, second: Track) -> Track:
    """The track of two stretches of a video, one after the other."""
    names = ("landmarks", "confidence", "bridged")
    return Track(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def _landmarks(face: Face | None) -> np.ndarray:
    assert face is not None  # frames beside a gap show a face
    return face.landmarks
