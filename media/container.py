"""Opening recordings: one place that turns every way a file can be unreadable into one clear line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from media.errors import InputError, reason

# Recordings pause, and time stamps wrap; longer than this it is a fault of the file. Ours: no talking head stands
# still for ten minutes, and filling such a gap would cost 15,000 frames.
LONGEST_GAP = 600  # seconds


@contextmanager
def open_container(path: str | Path) -> Iterator[InputContainer]:
    """Open a recording of any container FFmpeg reads, and close it at the end of the block.

    Args:
        path: A file.

    Yields:
        The open container.

    Raises:
        InputError: If there is no such file, or FFmpeg cannot make sense of it.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path.")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give one video or sound file.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: may not be read; change its permissions (chmod +r).")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy or record it again.")
    try:
        # 'file:' keeps FFmpeg from taking a name like 'a:b.mp4' for a network address.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: is broken or no video or sound file ({reason(error)}); copy it again, or convert it with FFmpeg."
        ) from None
    with container:
        yield container


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The picture track FFmpeg thinks best, or None; the cover image of a sound file is none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    best = container.streams.best("video")
    return best if best in streams else next(iter(streams), None)


def seconds(frame: av.VideoFrame | av.AudioFrame) -> Fraction | None:
    """Presentation time of a decoded frame in seconds, exact, or None where the file holds none."""
    stamp = frame.pts if frame.pts is not None else frame.dts
    return None if stamp is None or frame.time_base is None else stamp * Fraction(frame.time_base)
