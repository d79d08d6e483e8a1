"""Frames and sound into one video file, streamed: nothing but the frame at hand is in memory."""

from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import av
import numpy as np

from media.audio import SAMPLE_RATE, checked_samples
from media.colours import luma_weights, planes_of, rgb_to_420
from media.errors import InputError
from media.whole_file import whole_file

FPS = 25  # SPEC: frames per second everywhere

_AAC_FRAME = 1024  # samples, the length AAC codes at once
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}


class VideoWriter:
    """A video at 25 frames/s, H.264, with sound in step; the file appears complete at the end, or not at all.

    Use it as a context manager: leaving the block by an exception removes what was written. The file has exactly as
    many frames as were written. 4:2:0 video has even sides only, so an odd width or height gets one replicated column
    or row at its right or bottom; `lossless` keeps odd sizes.

    Args:
        path: File to write: .mp4, .m4v, .mov or .mkv. An older file is replaced when the new one is complete.
        width: Width of the frames in pixels.
        height: Height of the frames in pixels.
        audio: Sound from the first frame on, (n,) float in [-1, 1] at 16 kHz, or None. What reaches beyond the last
            frame is cut off.
        crf: x264's quality, lower is better; 18 is taken for indistinguishable from the original.
        gop: Longest distance of key frames in frames; 1 makes every frame a key frame. By default x264's 250.
        lossless: Keep every pixel as it is (H.264 in RGB, which FFmpeg reads and browsers do not).
        threads: Of the encoder, by default as many as it likes. With a number, a file has the same bytes on every
            computer, whatever the number of its cores.
        archive: Small for its quality, quick to decode, and the same bytes whatever the number of cores; for `gop=1`.

    Raises:
        InputError: If the folder cannot be written, the disk is full, the name has no known ending or is a folder's,
            or the sound is not a finite signal.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        audio: np.ndarray | None = None,
        crf: float = 18,
        gop: int | None = None,
        lossless: bool = False,
        threads: int | None = None,
        archive: bool = False,
    ):
        self._path = Path(path)
        self._size = (height, width)
        self._odd = ((0, 0), (0, 0)) if lossless else ((0, height % 2), (0, width % 2))
        require_video_name(path)
        self._format = _FORMATS[self._path.suffix.lower()]
        self._audio = None if audio is None else checked_samples(audio, "the sound of a video")
        # Files of key frames alone are large whatever the effort, and written where speed counts. Lossless ones grow by
        # a sixth, are written four times as fast and read three times [256 px].
        quick = lossless or (gop == 1 and not archive)
        self._video_options = {"preset": "ultrafast" if quick else "veryfast", **({"g": str(gop)} if gop else {})}
        self._video_options |= {"qp": "0"} if lossless else {"crf": str(crf)}
        self._video_options |= {} if threads is None else {"threads": str(threads)}
        if archive:
            # x264 writes the number of its threads into the file. Its better entropy code (CABAC) saves 4 % and doubles
            # the time of decoding; the better search saves 20 % and costs 0.4 ms a frame [256 px, six recordings].
            self._video_options |= {"threads": "1", "coder": "vlc"}
        self._lossless = lossless
        self._frames = 0
        self._samples = 0
        self._open = ExitStack()

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(whole_file(self._path))
            self._file = _File(stack.enter_context(open(temporary, "wb")))
            self._container = av.open(self._file, "w", format=self._format)
            stack.callback(self._give_up)
            self._add_streams()
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._open.__exit__(kind, error, trace)
            return
        with self._open:
            if self._frames == 0:
                raise InputError(f"{self._path}: no frame to write; its source gave none.")
            self._write_sound(whole_only=False)
            self._container.mux(self._video.encode(None))
            if self._audio is not None:
                self._container.mux(self._sound.encode(None))
            self._container.close()
            self._file.check()

    def _give_up(self) -> None:
        """Let FFmpeg close without writing; nothing is left to do after a regular end."""
        self._file.given_up = True
        with suppress(av.FFmpegError):
            self._container.close()

    def _add_streams(self) -> None:
        name, pixels = ("libx264rgb", "rgb24") if self._lossless else ("libx264", "yuv420p")
        self._video = cast(av.VideoStream, self._container.add_stream(name, rate=FPS, options=self._video_options))
        context = self._video.codec_context
        context.height, context.width = (n + odd[1] for n, odd in zip(self._size, self._odd, strict=True))
        context.pix_fmt = pixels
        context.time_base = Fraction(1, FPS)
        if not self._lossless:
            # The matrix of BT.601, and said so: what programs assume that do not read the tag, and others read it.
            context.colorspace, context.color_range = 6, 1  # AVCOL_SPC_SMPTE170M, limited range
            context.color_primaries, context.color_trc = 1, 1  # BT.709, those of ordinary screens
        if self._audio is not None:
            # 96 kbit/s is the most that AAC carries at 16 kHz mono (6144 bits a frame).
            self._sound = self._container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=96_000)

    def write(self, frame: np.ndarray) -> None:
        """Append one frame.

        Args:
            frame: (height, width, 3) uint8 RGB.

        Raises:
            ValueError: If the frame has another shape or type.
        """
        if frame.shape != (*self._size, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected a uint8 frame {(*self._size, 3)}, found {frame.dtype} {frame.shape}.")
        if any(odd[1] for odd in self._odd):
            frame = np.pad(frame, (*self._odd, (0, 0)), mode="edge")
        frame = np.ascontiguousarray(frame)
        if self._lossless:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        else:
            picture = av.VideoFrame(frame.shape[1], frame.shape[0], "yuv420p")
            rgb_to_420(frame.reshape(len(frame), -1), luma_weights(bt709=False), *planes_of(picture))
        picture.pts, picture.time_base = self._frames, Fraction(1, FPS)
        self._container.mux(self._video.encode(picture))
        self._frames += 1
        self._write_sound(whole_only=True)
        self._file.check()

    def _write_sound(self, whole_only: bool) -> None:
        """Encode the sound up to the end of the last frame, in whole AAC frames until the end."""
        if self._audio is None:
            return
        end = min(len(self._audio), self._frames * SAMPLE_RATE // FPS)
        while end - self._samples >= (_AAC_FRAME if whole_only else 1):
            chunk = self._audio[self._samples : min(end, self._samples + _AAC_FRAME)]
            sound = av.AudioFrame.from_ndarray(chunk[None], format="fltp", layout="mono")
            sound.sample_rate, sound.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            sound.pts = self._samples
            self._container.mux(self._sound.encode(sound))
            self._samples += len(chunk)


def require_video_name(path: str | Path) -> None:
    """Refuse a place at which no video can be written, before anything is made for it.

    Raises:
        InputError: If the name has no known ending, or a folder has it.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise InputError(f"{path}: a video is written as one of {', '.join(_FORMATS)}; change the ending.")
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; give the name of a video in it.")


class _File:
    """A file that keeps its first error for us, as FFmpeg and PyAV lose some, and swallows what follows it."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.given_up = False
        self.error: OSError | None = None
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: bytes) -> int:
        if not self.given_up:
            try:
                return self._file.write(data)
            except OSError as error:
                self.error, self.given_up = error, True
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error
