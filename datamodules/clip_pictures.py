"""From a video to the track of its face and to its pictures on disk: crops and, of a person, whole training frames."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.clip import Clip, split_frames
from datamodules.fitness import check_frames
from datamodules.preparation import Preparation
from face.crop import Crop, crop_around
from face.tracking import Face, FaceTracker, Track, follow_face, joined, track, track_of
from media.ahead import ahead
from media.behind import behind
from media.errors import InputError
from media.video import VideoInfo, VideoWriter, stream_frames

Pictures = Callable[[slice], np.ndarray]  # crops of a range of frames, uint8 (n, 256, 256, 3)

# Ours: crops in memory, 200 MB: those of 40 s. Decoding one again takes as long as tracking a third of its frame.
_KEPT = 1000
_WAITING = 500  # ours: crops that may wait to be written, as many bytes; 12 s of tracking
_WHOLE_WAITING = 4  # whole frames that may
_HELD = 1_000_000_000  # ours: bytes of whole training frames in memory, half of what training takes later


@dataclass(frozen=True)
class TrackedPictures:
    """What looking at a video leaves beside `crop.mp4` and `gallery.mp4`, in which every frame is a key frame (SPEC).

    Attributes:
        track: Of its face; frames without one are bridged within the training and within the held-out part.
        crop: The square around the face in the training frames.
        training_frames: Number of them.
        note: Why that is not the number asked for, or empty.
        kept: uint8 (n, 256, 256, 3) the first crops, as they are in the file: of a person at most 1000; of a corpus,
            whose files are lossy, none.
    """

    track: Track
    crop: Crop
    training_frames: int
    note: str
    kept: np.ndarray


def track_and_write(
    folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool
) -> TrackedPictures:
    """Track the face of a video and write the pictures of its clip.

    Args:
        folder: Of the clip; gets the files.
        info: Of the video.
        preparation: Of a person or of a corpus.
        tracker: Networks that are loaded.
        progress: Show progress bars.

    Raises:
        InputError: See `face.tracking.track`; or a person's video holds too few frames.
    """
    if preparation.of_corpus:
        return _track_corpus_clip(folder, info, preparation, tracker, progress)
    return _track_person(folder, info, preparation, tracker, progress)


def pictures_of(clip: Clip, kept: np.ndarray) -> Pictures:
    """The crops of a clip, the first ones from memory (`TrackedPictures`), the others from its file."""

    def pictures(part: slice) -> np.ndarray:
        if part.stop <= len(kept):
            return kept[part]
        later = clip.frames(slice(max(part.start, len(kept)), part.stop))
        return np.concatenate([kept[part], later]) if part.start < len(kept) else later

    return pictures


def _track_corpus_clip(
    folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool
) -> TrackedPictures:
    """One after the other, for the workers of a corpus leave no core idle, and all frames decide the crop."""
    frames = ahead(stream_frames(info.path))
    tracked = track(frames, str(info.path), total=info.frames, progress=progress, tracker=tracker)
    total = len(tracked.landmarks)
    training, note = split_frames(total, preparation.train_seconds)
    crop = crop_around(tracked.landmarks[:training])
    # Above 42 dB (SPEC, clip).
    with VideoWriter(folder / "crop.mp4", crop.size, crop.size, crf=8, gop=1, archive=True) as crops:
        again = ahead(stream_frames(info.path, 0, total))
        for frame in tqdm(again, "cropping", total, unit="frame", disable=not progress):
            crops.write(crop.apply(frame))
    return TrackedPictures(tracked, crop, training, note, np.empty((0, crop.size, crop.size, 3), np.uint8))


def _track_person(
    folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool
) -> TrackedPictures:
    """Two cores have work, and no frame is decoded twice where there is room for those of the training part.

    While those are tracked, they are written whole. Then the crop is known, and while the held-out frames are tracked
    and cropped, the training frames are cropped.
    """
    expected, _ = split_frames(info.frames, preparation.train_seconds)
    source, faces = str(info.path), list[Face | None]()
    frames = tqdm(ahead(stream_frames(info.path)), "tracking", info.frames, unit="frame", disable=not progress)
    followed = follow_face(frames, source, tracker)
    held = _TrainingFrames(info, expected)
    with ExitStack() as files:
        gallery = files.enter_context(_gallery(folder, info))
        with behind(_WHOLE_WAITING) as later:
            for frame, face in islice(followed, expected):
                faces.append(face)
                held.add(frame)
                later(gallery.write, frame)
        crop = crop_around(track_of(faces, source).landmarks)
        crops = files.enter_context(_person_crops(folder, crop))
        kept, again = _empty_crops(crop, info.frames), enumerate(held.frames())
        with behind(expected + _WAITING) as later:
            for _ in range(len(faces)):
                later(_write_next, again, crop, crops, kept, source)
            for frame, face in followed:
                picture = crop.apply(frame)
                later(crops.write, picture)
                _keep(picture, len(faces), kept)
                faces.append(face)
    check_frames(len(faces), info, preparation)
    training, note = split_frames(len(faces), preparation.train_seconds)
    tracked = joined(track_of(faces[:training], source), track_of(faces[training:], source))
    if training != expected:  # the file declares another number of frames than it has
        crop = crop_around(tracked.landmarks[:training])
        kept = _write_again(folder, info, crop, training, len(faces), progress)
    return TrackedPictures(tracked, crop, training, note, kept[: len(faces)])


class _TrainingFrames:
    """Whole, until they are asked for: in memory if there is room for them, or decoded again.

    Args:
        info: Of the video.
        count: How many, from the first one on.
    """

    def __init__(self, info: VideoInfo, count: int) -> None:
        self._path, self._count = info.path, count
        self._has_room = 3 * info.width * info.height * count <= _HELD
        self._frames: deque[np.ndarray] = deque()

    def add(self, frame: np.ndarray) -> None:
        """The next one."""
        if self._has_room:
            self._frames.append(frame)

    def frames(self) -> Iterator[np.ndarray]:
        """All in order, once; what has been given is no longer held."""
        if not self._has_room:
            yield from stream_frames(self._path, 0, self._count)
        while self._frames:
            yield self._frames.popleft()


def _write_again(folder: Path, info: VideoInfo, crop: Crop, training: int, total: int, progress: bool) -> np.ndarray:
    """Write all pictures of a person once crop and training frames are known; returns the crops that are kept."""
    kept = _empty_crops(crop, total)
    frames = tqdm(ahead(stream_frames(info.path, 0, total)), "cropping", total, unit="frame", disable=not progress)
    with _gallery(folder, info) as gallery, _person_crops(folder, crop) as crops:
        for index, frame in enumerate(frames):
            if index < training:
                gallery.write(frame)
            _write_crop(index, frame, crop, crops, kept)
    return kept


def _write_next(
    frames: Iterator[tuple[int, np.ndarray]], crop: Crop, crops: VideoWriter, kept: np.ndarray, source: str
) -> None:
    """Write the crop of the next of some numbered frames.

    Raises:
        InputError: If there is none.
    """
    following = next(frames, None)
    if following is None:
        raise InputError(f"{source}: has fewer frames than before; it was changed meanwhile.")
    _write_crop(*following, crop, crops, kept)


def _write_crop(index: int, frame: np.ndarray, crop: Crop, crops: VideoWriter, kept: np.ndarray) -> None:
    """Write the crop of a frame, and keep it if there is room."""
    picture = crop.apply(frame)
    crops.write(picture)
    _keep(picture, index, kept)


def _keep(picture: np.ndarray, index: int, kept: np.ndarray) -> None:
    """Keep the crop of a frame if there is room for its number."""
    if index < len(kept):
        kept[index] = picture


def _empty_crops(crop: Crop, count: int) -> np.ndarray:
    """Room for as many of them as are kept (`TrackedPictures`)."""
    return np.empty((min(_KEPT, count), crop.size, crop.size, 3), np.uint8)


def _gallery(folder: Path, info: VideoInfo) -> VideoWriter:
    return VideoWriter(folder / "gallery.mp4", info.width, info.height, crf=14, gop=1)


def _person_crops(folder: Path, crop: Crop) -> VideoWriter:
    """As they are, for results are judged by the source itself; 87 KB a frame, 14 with crf 8 and 44.7 dB [256 px]."""
    return VideoWriter(folder / "crop.mp4", crop.size, crop.size, gop=1, lossless=True)
