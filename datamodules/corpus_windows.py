"""The samples of both stages from the clips of a prepared corpus, each clip opened when one of its samples is due."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Generic

import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.augmented_speech import Augmentation, augmented_window
from datamodules.clip import Clip
from datamodules.held_clips import Held, HeldClips
from datamodules.manifest import ManifestEntry
from datamodules.open_clip import CropFrames, open_clip, open_sound
from datamodules.rendered_frames import clip_albedo, render_clip
from datamodules.visits import Visits
from datamodules.windows import Batch, RenderedWindows, SpeechWindows
from face.coefficients import EXPRESSION, get_pose, with_pose
from face.models.registry import load_face_model
from face.rendering import Renderer
from media.threads import one_thread

# Ours: samples for which a clip is opened, half an LRW clip. Opening it for stage 2 costs as much as rendering a few
# frames: fewer samples would pay for that too often; more take memory, half a megabyte each, and bring the same people
# again and again.
VISIT = 15


class CorpusClips:
    """Where the clips of a corpus lie; half a million of them in a few dozen megabytes, a copy of them in each worker.

    Args:
        prepared: Folder of the manifest.
        entries: The clips.
        speakers: Number of each speaker.
    """

    def __init__(self, prepared: Path, entries: Sequence[ManifestEntry], speakers: dict[str, int]):
        self.prepared = Path(prepared)
        # Arrays: workers share no memory with this process and get all of this sent, in every epoch anew
        self._folders = np.array([os.fsencode(entry.clip) for entry in entries])
        self.frames = np.array([entry.frames for entry in entries], np.int64)
        self.speakers = np.array([speakers[entry.speaker] for entry in entries], np.int64)

    def __len__(self) -> int:
        return len(self.frames)

    def open(self, clip: int) -> Clip:
        """The numbers of one clip.

        Raises:
            InputError: If it is damaged.
        """
        return open_clip(self.prepared / os.fsdecode(bytes(self._folders[clip])), int(self.frames[clip]))


class CorpusSamples(Dataset[Batch], Generic[Held]):
    """Samples numbered through all clips; number n + k len(self) is sample n in epoch k.

    Args:
        clips: Of the corpus.
        counts: (C,) samples of each clip.
        visit: Samples for which a clip is opened.

    Attributes:
        visits: In which samples are drawn at best, for `VisitSampler`.
        held: What is held of the clips; one of them, unless `held.most` is set to what `clips_at_once` says.
    """

    def __init__(self, clips: CorpusClips, counts: np.ndarray, visit: int):
        self.clips = clips
        self.visits = Visits.cut(counts, visit)
        self.held: HeldClips[Held] = HeldClips(1)
        self._first = np.cumsum(counts) - counts
        self._size = int(counts.sum())

    def __len__(self) -> int:
        return self._size

    def place(self, draw: int) -> tuple[int, int, int]:
        """Epoch, clip, and number of the sample in the clip."""
        if draw < 0:
            raise IndexError(f"sample {draw} does not exist")
        epoch, sample = divmod(draw, self._size)
        clip = int(np.searchsorted(self._first, sample, side="right")) - 1
        return epoch, clip, sample - int(self._first[clip])


class CorpusSpeech(CorpusSamples[tuple[SpeechWindows, np.ndarray | None, torch.Tensor]]):
    """Stretches of speech with face movement, for `Audio2PoseLSTM`.

    Args:
        clips: None shorter than the window.
        length: Frames per sample; 0: whole clips, one sample each.
        means: (64,) expression, (6,) pose, (12,) MFCC to which the mean of every clip is moved; None: left as it is.
        augmentation: Of the sound in training.
        seed: Of the augmentation, which is a function of it, the epoch and the number of the sample.
    """

    def __init__(
        self,
        clips: CorpusClips,
        length: int,
        means: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ):
        counts = clips.frames - length + 1 if length else np.ones(len(clips), np.int64)
        super().__init__(clips, counts, VISIT)
        self.length, self.means, self.augmentation, self.seed = length, means, augmentation, seed

    def __getitem__(self, draw: int) -> Batch:
        """`mfcc` (L, 28, 12), `expression` (L, 64), `pose` (L, 6).

        Raises:
            InputError: If the clip is damaged.
        """
        epoch, clip, start = self.place(draw)
        windows, samples, added = self.held.get(clip, lambda: self._open(clip))
        if samples is not None and self.augmentation is not None:
            targets = torch.cat([windows.expression, windows.pose], dim=1).numpy()
            rng = np.random.default_rng((self.seed, epoch, draw % len(self)))
            augmented = augmented_window(samples, targets, start, self.length, self.augmentation, rng)
            if augmented is not None:
                return augmented | {"mfcc": augmented["mfcc"] + added}
        return windows[start]

    def _open(self, clip: int) -> tuple[SpeechWindows, np.ndarray | None, torch.Tensor]:
        """Its windows, its sound if that is augmented, and what is added to its MFCC."""
        opened = self.clips.open(clip)
        chi, added = opened.coefficients, np.zeros(opened.mfcc.shape[-1], np.float32)
        if self.means is not None:
            expression_mean, pose_mean, mfcc_mean = self.means
            chi, added = centred(chi, expression_mean, pose_mean), mfcc_mean - opened.mfcc.mean((0, 1))
        windows = SpeechWindows(opened.mfcc + added, chi, self.length)
        return windows, open_sound(opened) if self.augmentation else None, torch.from_numpy(added)


class CorpusFrames(CorpusSamples[RenderedWindows]):
    """Windows of rendered frames with the truth, for `MemoryGAN`; one sample for each frame of each clip.

    Args:
        clips: Of the corpus.
        albedo: Key of `face.albedo.ALBEDOS`; `detailed` is that of the clip where it has one.
        rasterizer: Key of `face.rasterizers.RASTERIZERS`.
        face_model: Key of `face.models.registry.FACE_MODELS`.
        face_model_file: Of a model that does not come with the project.
        visit: Samples for which a clip is opened and rendered.
    """

    def __init__(
        self,
        clips: CorpusClips,
        albedo: str = "detailed",
        rasterizer: str = "numba",
        face_model: str = "facemesh",
        face_model_file: Path | None = None,
        visit: int = VISIT,
    ):
        super().__init__(clips, clips.frames, visit)
        self.albedo, self.face = albedo, (face_model, face_model_file, rasterizer)

    def __getitem__(self, draw: int) -> Batch:
        """`rendered` (3, 3, H, W), `target`, `face_mask`, `identity` as in `RenderedWindows`; `index`, `speaker` ().

        Raises:
            InputError: If the clip is damaged.
        """
        _, clip, frame = self.place(draw)
        sample = draw % len(self)
        visit = self.visits.of(sample)
        start = frame - (sample - int(self.visits.first[visit]))
        stop = start + int(self.visits.count[visit])
        begin = max(start - 2, 0)
        windows = self.held.get(visit, lambda: self._open(clip, slice(begin, stop)))
        numbers = {"index": torch.tensor(sample), "speaker": torch.tensor(int(self.clips.speakers[clip]))}
        return windows[frame - begin] | numbers

    def _open(self, clip: int, part: slice) -> RenderedWindows:
        opened = self.clips.open(clip)
        renderer = _renderer(*self.face, opened.crop.size)
        # loading processes have one thread, and what they load is what this process would
        with one_thread(), CropFrames(opened) as frames:
            if self.albedo == "detailed" and opened.albedo is not None:
                albedo = torch.from_numpy(opened.albedo)
            else:
                albedo = clip_albedo(opened, self.albedo, renderer, frames)
            return RenderedWindows(render_clip(opened, part, renderer, albedo, frames))


@lru_cache(maxsize=1)
def _renderer(face_model: str, face_model_file: Path | None, rasterizer: str, size: int) -> Renderer:
    """The renderer of this process."""
    return Renderer(load_face_model(face_model, face_model_file), rasterizer, size)


def centred(chi: np.ndarray, expression_mean: np.ndarray, pose_mean: np.ndarray) -> np.ndarray:
    """Move the expression and the pose of a clip to a common mean: sound does not tell where a face rests.

    Args:
        chi: (T, 257).
        expression_mean: (64,) what the mean over the clip becomes.
        pose_mean: (6,) likewise.

    Returns:
        (T, 257) a copy.
    """
    pose = get_pose(chi)
    moved = with_pose(chi, pose - pose.mean(0) + pose_mean)
    moved[:, EXPRESSION] += expression_mean - chi[:, EXPRESSION].mean(0)
    return moved
