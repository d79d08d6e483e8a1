"""Decoded pictures of a recording with their exact times."""

import re
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter

from media.colours import luma_weights, planes_of, rgb_from_420
from media.container import LONGEST_GAP, open_container, seconds, video_stream
from media.errors import InputError

# Ours: how much of the declared length may lack before it is worth a word; sound tracks are often a little longer.
_MISSING = 1  # seconds
# Ours: up to so many pixels one core decodes faster than anything here takes the pictures, and several take 1.4 times
# the processor time [H.264, 2.5 and 3.5 ms a picture].
_SMALL = 1280 * 720


def picture_track(container: InputContainer, path: str | Path) -> av.VideoStream:
    """The picture track of a recording, set to decode large pictures on all cores and small ones on one.

    Raises:
        InputError: If there is none.
    """
    stream = video_stream(container)
    if stream is None:
        raise InputError(f"{path}: has no picture track; give a video.")
    context = stream.codec_context
    context.thread_type = "AUTO"
    context.thread_count = 1 if context.width * context.height <= _SMALL else 0
    return stream


def first_picture(
    decoded: Iterator[tuple[Fraction, av.VideoFrame]], path: str | Path
) -> tuple[Fraction, av.VideoFrame]:
    """Time stamp in seconds and picture that a recording begins with.

    Raises:
        InputError: If no picture can be decoded.
    """
    first = next(decoded, None)
    if first is None:
        raise InputError(f"{path}: not one picture can be decoded, the file is broken; copy or convert it again.")
    return first


def first_picture_time(path: str | Path) -> Fraction | None:
    """Time stamp of the first picture in seconds, the zero of all frame numbers; None without a picture."""
    with open_container(path) as container:
        stream = video_stream(container)
        first = None if stream is None else next(pictures(container, stream, path), None)
    return None if first is None else first[0]


def picture_step(stream: av.VideoStream) -> Fraction:
    """Mean seconds from picture to picture; raw streams that declare no rate are taken for 25 per second."""
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)


class RgbConverter:
    """Decoded pictures of any pixel format into RGB arrays, without a bias of the colours.

    FFmpeg's short cut to packed RGB darkens a picture by 1.2 levels on average [measured: 45.7 dB against 52.6 dB for
    one passage through 4:2:0]; full chroma interpolation into planes, rounded, does not. Loops of our own do the same
    for what nearly all files hold. Keep one converter for a video: it holds FFmpeg's tables.
    """

    # FFmpeg's numbers of what the loops know, by whether luma is that of BT.709; unspecified (2) is taken for BT.601.
    _MATRICES: ClassVar[dict[int, bool]] = {1: True, 2: False, 5: False, 6: False}

    _EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame, width: int | None = None, height: int | None = None) -> np.ndarray:
        """Convert one picture.

        Args:
            picture: Decoded picture.
            width: Width to resize to in pixels; by default the picture's.
            height: Height to resize to in pixels; by default the picture's.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        width, height = width or picture.width, height or picture.height
        if (width, height) == (picture.width, picture.height) and self._usual(picture):
            rgb = np.empty((height, width, 3), np.uint8)
            shares = luma_weights(self._MATRICES[picture.colorspace])
            rgb_from_420(*planes_of(picture), shares, rgb.reshape(height, -1))
            return rgb
        # One thread: frames are small, and the decoder's own threads already keep the cores busy.
        planes = self._reformatter.reformat(picture, width, height, format="gbrp", interpolation=self._EXACT, threads=1)
        return np.ascontiguousarray(planes.to_ndarray())

    def _usual(self, picture: av.VideoFrame) -> bool:
        """Whether it is 4:2:0 of 8 bits and even sides in limited range, with a matrix that the loops know."""
        known = picture.format.name == "yuv420p" and picture.color_range in (0, 1)
        return known and picture.colorspace in self._MATRICES and not (picture.width % 2 or picture.height % 2)


def pictures(
    container: InputContainer, stream: av.VideoStream, path: str | Path
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decode the pictures of a track, in the order they are shown.

    A damaged packet is left out, and said so in a warning at the end; a file that breaks off gives what is there.

    Args:
        container: The open recording, at its beginning or where it was sought to.
        stream: Its picture track.
        path: Its name, for messages.

    Yields:
        Time stamp in seconds, rising, and picture.

    Raises:
        InputError: If the time stamps jump.
    """
    step = picture_step(stream)
    last: Fraction | None = None
    damaged: list[Fraction | None] = []  # times of the pictures before each damaged packet
    packets = container.demux(stream)
    while True:
        try:
            decoded = next(packets).decode()
        except StopIteration:
            break
        except av.FFmpegError:
            damaged.append(last)  # where the file itself breaks off, the next round ends the loop
            continue
        for picture in decoded:
            time = seconds(picture)
            if time is None:
                time = Fraction(0) if last is None else last + step
            if last is not None and abs(time - last) > LONGEST_GAP:
                raise InputError(
                    f"{path}: its time stamps jump from {float(last):.1f} s to {float(time):.1f} s; "
                    "cut it there, or convert it with FFmpeg."
                )
            if last is None or time > last:
                last = time
                yield time, picture
    if last is None:
        return
    declared = declared_end(container, stream)
    if declared - last > _MISSING:
        warnings.warn(
            f"{path}: its pictures end at {float(last):.2f} s, though it declares {float(declared):.2f} s; "
            "it was cut off or is damaged there.",
            stacklevel=2,
        )
    if damaged:
        where = "from its start on" if damaged[0] is None else f"from {float(damaged[0]):.2f} s on"
        warnings.warn(
            f"{path}: {len(damaged)} damaged places {where}; the last good picture stays there.", stacklevel=2
        )


def declared_end(container: InputContainer, stream: av.VideoStream) -> Fraction:
    """Time stamp in seconds at which the pictures end, as the file says; 0 if it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    # Matroska's own length is that of its longest track; each track's is in a tag, as 00:01:02.345.
    clock = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if clock is not None:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3])
    if container.duration is not None:
        return Fraction((container.start_time or 0) + container.duration, av.time_base)
    return Fraction(0)
