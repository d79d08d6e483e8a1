"""Any frame of a video at once, for files in which every frame is a key frame."""

from pathlib import Path
from types import TracebackType

import av
import numpy as np

from media.errors import InputError
from media.pictures import RgbConverter


class FrameReader:
    """Random access to the frames of a video written with ``gop=1``, one decoded frame in memory.

    Frames asked for in order are decoded without a seek, so playing forward costs no more than streaming.

    Args:
        path: A video whose frames are all key frames, at a constant rate.

    Raises:
        InputError: If the file cannot be opened or holds no picture.
    """

    def __init__(self, path: str | Path):
        try:
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
        except (OSError, IndexError, av.error.FFmpegError) as error:
            raise InputError(f"{path}: cannot be read as a video ({error}); prepare the source video again.") from None
        if self._stream.average_rate is None or self._stream.time_base is None:
            raise InputError(f"{path}: holds no frames; prepare the source video again.")
        self._path = path
        self._stream.thread_type = "SLICE"  # frame threads would decode ahead of a seek, for nothing
        self._ticks = 1 / (self._stream.average_rate * self._stream.time_base)
        self._frames = self._container.decode(self._stream)
        self._to_rgb = RgbConverter()
        self._next = 0

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame `index` as (H, W, 3) uint8 RGB.

        Raises:
            IndexError: If the video has no such frame.
        """
        if index != self._next:
            self._container.seek(round(index * self._ticks), stream=self._stream)
            self._frames = self._container.decode(self._stream)
        for frame in self._frames:
            if frame.pts is not None and round(frame.pts / self._ticks) >= index:
                self._next = index + 1
                return self._to_rgb(frame)
        self._next = -1
        raise IndexError(f"{self._path} has no frame {index}.")

    def close(self) -> None:
        """Let the file go."""
        self._container.close()

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
