"""From a video to the track of its face and to its pictures on disk: crops and, of a person, whole training frames."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datamodules.clip import Clip, split_frames
from datamodules.fitness import check_frames
from datamodules.preparation import Preparation
from face.crop import Crop, crop_around
from face.tracking import Face, FaceTracker, Track, bridge, follow_face, track
from media.ahead import ahead
from media.behind import behind
from media.video import FPS, VideoInfo, VideoWriter, stream_frames

Pictures = Callable[[slice], np.ndarray]  # crops of a range of frames, uint8 (n, 256, 256, 3)

_KEPT = 500  # ours: crops in memory, 100 MB; the training frames of a person are 300
_WHOLE = 4  # whole frames that may wait to be written


@dataclass(frozen=True)
class Filmed:
    """What looking at a video leaves beside `crop.mp4` and `gallery.mp4`, in which every frame is a key frame (SPEC).

    Attributes:
        track: Of its face.
        crop: The square around the face in the training frames.
        training_frames: Number of them.
        note: Why that is not the number asked for, or empty.
        kept: uint8 (n, 256, 256, 3) the first crops, as they are in the file: of a person those of the training frames,
            at most 500; of a corpus, whose files are lossy, none.
    """

    track: Track
    crop: Crop
    training_frames: int
    note: str
    kept: np.ndarray


def film(folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool) -> Filmed:
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
        return _film_clip(folder, info, preparation, tracker, progress)
    return _film_person(folder, info, preparation, tracker, progress)


def pictures_of(clip: Clip, kept: np.ndarray) -> Pictures:
    """The crops of a clip, the first ones from memory (`Filmed`), the others from its file."""

    def pictures(part: slice) -> np.ndarray:
        if part.stop <= len(kept):
            return kept[part]
        later = clip.frames(slice(max(part.start, len(kept)), part.stop))
        return np.concatenate([kept[part], later]) if part.start < len(kept) else later

    return pictures


def _film_clip(folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool) -> Filmed:
    """Of a corpus: one after the other, for its workers leave no core idle, and all frames decide the crop."""
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
    return Filmed(tracked, crop, training, note, np.empty((0, crop.size, crop.size, 3), np.uint8))


def _film_person(
    folder: Path, info: VideoInfo, preparation: Preparation, tracker: FaceTracker, progress: bool
) -> Filmed:
    """Of a person: two cores have work, and only the training frames are decoded twice.

    While those are tracked, they are written whole. Then the crop is known, and while the held-out frames are tracked
    and cropped, the training frames are decoded again for their crops.
    """
    training, note = split_frames(info.frames, preparation.train_seconds)
    source, faces = str(info.path), list[Face | None]()
    frames = tqdm(ahead(stream_frames(info.path)), "tracking", info.frames, unit="frame", disable=not progress)
    followed = follow_face(frames, source, tracker)
    with ExitStack() as files:
        gallery = VideoWriter(folder / "gallery.mp4", info.width, info.height, crf=14, gop=1)
        files.enter_context(gallery)
        with behind(_WHOLE) as later:
            for frame, face in islice(followed, training):
                faces.append(face)
                later(gallery.write, frame)
        crop = crop_around(bridge(faces, source).landmarks)
        kept = np.empty((min(_KEPT, training), crop.size, crop.size, 3), np.uint8)
        # As they are, for results are judged by the source itself; 87 KB a frame, 14 with crf 8 and 44.7 dB [256 px].
        crops = VideoWriter(folder / "crop.mp4", crop.size, crop.size, gop=1, lossless=True)
        files.enter_context(crops)
        with behind(_KEPT) as later:
            later(_write_crops, info.path, training, crop, crops, kept)
            for frame, face in followed:
                faces.append(face)
                later(crops.write, crop.apply(frame))
    total = len(faces)
    check_frames(total, info, preparation)
    if split_frames(total, preparation.train_seconds)[0] != training:  # the file declares another number of frames
        return _film_person(folder, replace(info, duration=total / FPS), preparation, tracker, progress)
    return Filmed(bridge(faces, source), crop, training, note, kept)


def _write_crops(video: Path, count: int, crop: Crop, crops: VideoWriter, kept: np.ndarray) -> None:
    """Write the crops of the first `count` frames of a video, and fill `kept` with the first of them."""
    for index, frame in enumerate(stream_frames(video, 0, count)):
        picture = crop.apply(frame)
        crops.write(picture)
        if index < len(kept):
            kept[index] = picture
