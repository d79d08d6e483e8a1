"""One prepared clip on disk: what every later step knows of a video, and the only thing it needs.

A folder with `arrays.npz` (numbers per frame), `clip.json` (numbers per clip), `crop.mp4` (the 256 px crop, every frame
a key frame), `sound.wav` (16 kHz mono, in step with the picture) and, for a person, `gallery.mp4` (the training part
at full size, from which backgrounds are taken). Clips of a corpus are all training part and are stored compactly.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from face.crop import Crop
from media.audio import SAMPLE_RATE, read_audio
from media.frame_reader import FrameReader
from media.video import FPS, read_frames

SAMPLES_PER_FRAME = SAMPLE_RATE // FPS  # 640
LANDMARK_STEPS = 64  # of a pixel in compact clips; ours: a tenth of what landmarks jitter by
_ARRAYS = ("coefficients", "landmarks", "confidence", "bridged", "fit_error", "mfcc", "identity_features")


@dataclass(frozen=True)
class Clip:
    """A video of one person, tracked and reconstructed.

    Attributes:
        folder: Where the clip lies.
        source: The video it was made from.
        source_sha256: Of the bytes of that video.
        width: Of the source picture, pixels.
        height: Of the source picture, pixels.
        crop: The square of the source that `crop.mp4` shows and that the coefficients refer to.
        training_frames: N; frames [0, N) are learned from, frames [N, T) are held out.
        split_note: Why N is not what was asked for; empty if it is.
        audio_offset: Frames by which the sound was moved against the picture (SPEC, negative: mouth first).
        coefficients: (T, 257) float32 χ; identity, texture and illumination are equal in all frames.
        landmarks: (T, 468, 3) float32 source pixels.
        confidence: (T,) float32 of the tracker, 0 for bridged frames.
        bridged: (T,) bool, frames in which no face was found and the neighbours were interpolated.
        fit_error: (T,) float32 mean landmark distance of the reconstruction / outer-eye distance.
        mfcc: (T, 28, 12) float32 windows, computed for each part on its own.
        identity_features: (T, 512) float32 unit vectors.
        offset_estimate: Frames that the estimate said, before it was rounded or dismissed; None where it was given.
        offset_confidence: How sure the estimate of `audio_offset` is; None where it was given.
        sound_lacking: Seconds by which the recorded sound ends before the picture; silence stands in.
        albedo: (V, 3) float32 detailed albedo (paper, 3.3) of a clip of a corpus, which is opened again and again, on
            disk in steps of 1/255; None where it is made of the pictures when it is needed.
    """

    folder: Path
    source: Path
    source_sha256: str
    width: int
    height: int
    crop: Crop
    training_frames: int
    split_note: str
    audio_offset: int
    coefficients: np.ndarray
    landmarks: np.ndarray
    confidence: np.ndarray
    bridged: np.ndarray
    fit_error: np.ndarray
    mfcc: np.ndarray
    identity_features: np.ndarray
    offset_estimate: float | None = None
    offset_confidence: float | None = None
    sound_lacking: float = 0.0
    albedo: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def training(self) -> slice:
        """Frames that may be learned from."""
        return slice(0, self.training_frames)

    @property
    def heldout(self) -> slice:
        """Frames that are only scored."""
        return slice(self.training_frames, len(self))

    def frames(self, part: slice) -> np.ndarray:
        """The 256 px crop of some frames, (n, 256, 256, 3) uint8."""
        return read_frames(self.folder / "crop.mp4", part.start, part.stop)

    def sound(self, part: slice) -> np.ndarray:
        """The sound of some frames, float32 at 16 kHz, 640 samples a frame."""
        samples = read_audio(self.folder / "sound.wav")
        return samples[part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]

    def gallery(self) -> FrameReader:
        """The training frames at full size, for random access."""
        return FrameReader(self.folder / "gallery.mp4")

    def save(self, compact: bool = False) -> None:
        """Write the numbers; the files beside them are written by `datamodules.prepare`.

        Args:
            compact: For half a million clips: compressed, landmarks rounded to 1/64 px, identity features in half
                precision [5 KB a frame instead of 10, with the albedo 6].
        """
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.albedo is not None:
            arrays["albedo"] = np.round(self.albedo * 255).astype(np.uint8)
        if compact:
            arrays["landmarks"] = np.round(self.landmarks * LANDMARK_STEPS) / np.float32(LANDMARK_STEPS)
            arrays["identity_features"] = self.identity_features.astype(np.float16)
            np.savez_compressed(self.folder / "arrays.npz", **arrays)
        else:
            np.savez(self.folder / "arrays.npz", **arrays)
        elsewhere = {*_ARRAYS, "albedo", "folder"}
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in elsewhere}
        facts |= {"crop": asdict(self.crop), "source": str(self.source)}
        (self.folder / "clip.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: str | Path) -> "Clip":
        """Read a clip that `save` wrote.

        Raises:
            FileNotFoundError: If there is no clip in the folder.
        """
        folder = Path(folder)
        facts = json.loads((folder / "clip.json").read_text())
        facts |= {"crop": Crop(**facts["crop"]), "source": Path(facts["source"])}
        with np.load(folder / "arrays.npz") as arrays:
            numbers = {name: arrays[name] for name in _ARRAYS}
            albedo = arrays["albedo"].astype(np.float32) / 255 if "albedo" in arrays else None
        numbers["identity_features"] = numbers["identity_features"].astype(np.float32, copy=False)
        return cls(folder=folder, **facts, **numbers, albedo=albedo)


def shift_sound(samples: np.ndarray, audio_offset: int) -> np.ndarray:
    """Move sound against the picture so that both are in step (SPEC, `data.audio_offset`).

    Args:
        samples: (n,) at 16 kHz.
        audio_offset: Frames by which the mouth of the recording lags its sound; negative: it moves first, and the
            sound is moved earlier.

    Returns:
        (n,) the sound that belongs to the picture, silence where the recording has none.
    """
    shift = audio_offset * SAMPLES_PER_FRAME
    moved = np.zeros_like(samples)
    if abs(shift) >= len(samples):
        return moved
    if shift >= 0:
        moved[shift:] = samples[: len(samples) - shift]
    else:
        moved[:shift] = samples[-shift:]
    return moved


def split_frames(total: int, train_seconds: float | None) -> tuple[int, str]:
    """Where a video is cut into the training and the held-out part (SPEC, split).

    Args:
        total: Frames of the video.
        train_seconds: Wanted length of the training part; None: all of it, as of the clips of a corpus.

    Returns:
        The number of training frames, and why it is not what was asked for (empty if it is).
    """
    if train_seconds is None:
        return total, ""
    wanted = round(FPS * train_seconds)
    if total >= wanted + 4 * FPS:
        return wanted, ""
    reduced = int(0.6 * total)
    return reduced, (
        f"the video has {total / FPS:.1f} s, less than {train_seconds:g} s to learn from and 4 s to judge: "
        f"cut at the first 60 % ({reduced / FPS:.1f} s)"
    )


def batches(part: slice, size: int) -> Iterator[slice]:
    """Cut a range of frames into pieces of at most `size`."""
    for start in range(part.start, part.stop, size):
        yield slice(start, min(start + size, part.stop))
