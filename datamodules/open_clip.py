"""Clips of a corpus as they are opened while training: whole, or refused in one line that says which one."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from zipfile import BadZipFile

import numpy as np
from av.error import FFmpegError

from datamodules.clip import SAMPLES_PER_FRAME, Clip
from media.errors import InputError
from media.frame_reader import FrameReader

_DAMAGE = (OSError, EOFError, BadZipFile, zlib.error, FFmpegError, KeyError, IndexError, TypeError, ValueError)
_PER_FRAME = ("coefficients", "landmarks", "confidence", "bridged", "fit_error", "mfcc", "identity_features")
_FINITE = ("coefficients", "mfcc", "identity_features")


@contextmanager
def refuse_damage(folder: Path) -> Iterator[None]:
    """Turn whatever reading a damaged clip raises into one line that says what to do.

    Raises:
        InputError: In place of any error that damaged files cause.
    """
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(
            f"{folder}: this clip is damaged ({reason}); delete the clip folder and repeat the preparation."
        ) from None


def open_clip(folder: Path, frames: int) -> Clip:
    """Read the numbers of a clip and check them.

    Args:
        folder: Of the clip.
        frames: T, as the manifest says.

    Raises:
        InputError: If something is missing, of another length or no number.
    """
    with refuse_damage(folder):
        clip = Clip.load(folder)
        for name in _PER_FRAME:
            if len(getattr(clip, name)) != frames:
                raise ValueError(f"{name} has {len(getattr(clip, name))} frames, the manifest says {frames}")
        for name in _FINITE:
            if not np.isfinite(getattr(clip, name)).all():
                raise ValueError(f"{name} holds values that are no numbers")
        return clip


def open_sound(clip: Clip) -> np.ndarray:
    """The sound of all frames of a clip, (640 T,) float32.

    Raises:
        InputError: If it is missing or of another length.
    """
    with refuse_damage(clip.folder):
        samples = clip.sound(slice(0, len(clip)))
        if len(samples) != len(clip) * SAMPLES_PER_FRAME:
            raise ValueError(f"sound.wav has {len(samples)} samples for {len(clip)} frames")
        return samples


class CropFrames:
    """The frames of a clip's crop, each read when it is asked for.

    Args:
        clip: Of a person.

    Raises:
        InputError: If the pictures cannot be read, now or later.
    """

    def __init__(self, clip: Clip):
        self._clip = clip
        with refuse_damage(clip.folder):
            self._reader = FrameReader(clip.folder / "crop.mp4")

    def __len__(self) -> int:
        return len(self._clip)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        """Some frames, (n, H, W, 3) uint8."""
        with refuse_damage(self._clip.folder):
            numbers = np.arange(len(self))[index]
            pictures = [self._reader[int(number)] for number in numbers]
            side = self._clip.crop.size
            if any(picture.shape != (side, side, 3) for picture in pictures):
                raise ValueError(f"crop.mp4 does not show {side} x {side} pixels")
            return np.stack(pictures) if pictures else np.empty((0, side, side, 3), np.uint8)

    def __enter__(self) -> "CropFrames":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()
