"""Videos of every kind in, frames at 25 per second out, one at a time."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData

from media.container import open_container
from media.errors import InputError
from media.pictures import RgbConverter, declared_end, first_picture, picture_step, picture_track, pictures
from media.video_writer import FPS, VideoWriter

__all__ = ["FPS", "VideoInfo", "VideoWriter", "probe", "read_frames", "stream_frames"]

# Frame k stands for the 40 ms from k/25 on, so it shows the picture of their middle: no mean offset to the sound
# whatever the rate of the source, and time stamps of 25 fps files may jitter by 19 ms. Ours: 1 ms before the middle,
# because pictures at 50 per second change exactly there.
_INSTANT = Fraction(1, 2 * FPS) - Fraction(1, 1000)  # seconds after k/25


@dataclass(frozen=True)
class VideoInfo:
    """What a video file is, as a viewer sees it.

    Attributes:
        path: The file.
        width: Width of its frames in pixels, with rotation flag and pixel shape applied.
        height: Height of its frames in pixels, likewise.
        fps: Mean pictures per second of the file itself.
        duration: Seconds from the first picture to the end of the last, as the file declares.
        rotation: Degrees (0, 90, 180, 270) the stored pictures are turned clockwise to be seen.
        has_audio: Whether there is a sound track.
        codec: FFmpeg's name of the picture codec.
    """

    path: Path
    width: int
    height: int
    fps: float
    duration: float
    rotation: int
    has_audio: bool
    codec: str

    @property
    def frames(self) -> int:
        """How many frames `stream_frames` will give, as far as the file declares its duration truly."""
        return max(1, round(self.duration * FPS))


@dataclass(frozen=True)
class _View:
    """How stored pictures become frames: resized to square pixels, then turned or mirrored."""

    width: int  # px of the stored picture after resizing
    height: int
    transposed: bool  # rows and columns change places, then ...
    mirrored: bool  # ... left and right, then ...
    flipped: bool  # ... top and bottom

    @classmethod
    def of(cls, picture: av.VideoFrame, stream: av.VideoStream) -> "_View":
        ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
        # Nonsense ratios occur; the widest in use is 2.19 (anamorphic PAL at 16:9 in half width).
        width = round(picture.width * ratio) if Fraction(1, 4) < ratio < 4 else picture.width
        return cls(width, picture.height, *_orientation(picture))

    @property
    def rotation(self) -> int:
        if self.transposed:
            return 90 if self.mirrored else 270
        return 180 if self.flipped else 0

    def frame(self, picture: av.VideoFrame, to_rgb: RgbConverter) -> np.ndarray:
        image = to_rgb(picture, self.width, self.height)
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.mirrored:
            image = image[:, ::-1]
        if self.flipped:
            image = image[::-1]
        return np.ascontiguousarray(image)


def _orientation(picture: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether to transpose, then mirror, then flip a stored picture, from its display matrix."""
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if not isinstance(matrix, SideData):
        return False, False, False
    # Rows of nine 16.16 numbers: a picture's (x, y) is seen at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    transposed = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if transposed else (False, a < 0, d < 0)


def probe(path: str | Path) -> VideoInfo:
    """Describe a video; decodes one picture.

    Args:
        path: A file with a picture track.

    Returns:
        Its description.

    Raises:
        InputError: If the file is missing, broken or holds no picture.
    """
    with open_container(path) as container:
        stream = picture_track(container, path)
        fps = float(1 / picture_step(stream))
        first, picture = first_picture(pictures(container, stream, path), path)
        view = _View.of(picture, stream)
        has_audio = bool(container.streams.audio)
        end = declared_end(container, stream)
        if not end:  # raw streams: from the last packet, without decoding
            ends = (packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None)
            end = max(ends, default=0) * Fraction(stream.time_base or 0)
        duration = float(end - first)
    width, height = (view.height, view.width) if view.transposed else (view.width, view.height)
    return VideoInfo(Path(path), width, height, fps, duration, view.rotation, has_audio, stream.codec_context.name)


def stream_frames(path: str | Path, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Frames of a video at 25 per second, upright, one in memory at a time.

    Frame k is the picture shown in the middle of the 40 ms that begin k/25 s after the first picture, whatever the
    rate of the file, constant or not. Frames are as `VideoInfo` describes them; should pictures change their size
    on the way, they are resized to the first.

    Args:
        path: A file with a picture track.
        start: First frame.
        stop: Frame to stop before; by default the end of the video.

    Yields:
        Each frame, (H, W, 3) uint8 RGB, an array of its own.

    Raises:
        InputError: If the file is missing, broken from the start or holds no picture.
    """
    if start < 0 or (stop is not None and stop <= start):
        return
    with open_container(path) as container:
        stream = picture_track(container, path)
        decoded = pictures(container, stream, path)
        origin, picture = first = first_picture(decoded, path)
        view = _View.of(picture, stream)
        decoded = _sought(container, stream, path, origin, start) if start else chain([first], decoded)
        yield from _resampled(decoded, origin, view, stream, start, stop)


def read_frames(path: str | Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Frames start ... stop-1 of a video as one array (T, H, W, 3) uint8 RGB; see `stream_frames`.

    Raises:
        InputError: If the file cannot be read or has no frame `start`.
    """
    frames: list[np.ndarray | None] = list(stream_frames(path, start, stop))
    if not frames or frames[0] is None:
        raise InputError(f"{path}: has no frame {start} ({start / FPS:.2f} s); ask for an earlier one.")
    whole = np.empty((len(frames), *frames[0].shape), np.uint8)
    for k, frame in enumerate(frames):
        whole[k] = frame
        frames[k] = None  # a long video must not lie in memory twice
    return whole


def _sought(
    container: InputContainer, stream: av.VideoStream, path: str | Path, origin: Fraction, start: int
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Pictures from a key frame at or before frame `start` on, or all where that cannot be trusted."""
    target = origin + Fraction(start, FPS) + _INSTANT
    # Other containers have no exact index, and times after a jump are wrong [MPEG program streams: by a frame].
    if {"mp4", "matroska"} & set(container.format.name.split(",")):
        with suppress(av.FFmpegError):
            container.seek(int(target / Fraction(stream.time_base or 1)), stream=stream)
        decoded = pictures(container, stream, path)
        first = next(decoded, None)
        if first is not None and first[0] <= target:
            yield first
            yield from decoded
            return
    with open_container(path) as again:
        yield from pictures(again, picture_track(again, path), path)


def _resampled(
    decoded: Iterator[tuple[Fraction, av.VideoFrame]],
    origin: Fraction,
    view: _View,
    stream: av.VideoStream,
    start: int,
    stop: int | None,
) -> Iterator[np.ndarray]:
    """Frames of the 25 fps grid: each picture stays until the next one's time has come."""
    to_rgb = RgbConverter()
    shown: av.VideoFrame | None = None
    k = start
    until = origin
    for time, picture in chain(decoded, [(None, None)]):
        if time is None and shown is not None:  # the last picture stays for its own duration
            lasting = shown.duration * Fraction(shown.time_base) if shown.duration and shown.time_base else 0
            until += lasting or picture_step(stream)
        elif time is not None:
            until = time
        # As many frames as have their instant before `until`.
        last = math.ceil((until - origin - _INSTANT) * FPS)
        last = last if stop is None else min(last, stop)
        if shown is not None and k < last:
            frame = view.frame(shown, to_rgb)
            for _ in range(k, last - 1):
                yield frame.copy()  # whoever draws on it must not draw on the next
            yield frame
            k = last
        if k == stop:
            return
        shown = picture
