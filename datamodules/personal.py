"""One person's video as training data for both stages."""

from dataclasses import replace
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.nn import functional
from torch.utils.data import DataLoader

from datamodules.clip import Clip
from datamodules.sampling import EpochSampler, evaluation_loader, process_place
from datamodules.windows import Batch, RenderedFrames, RenderedWindows, SpeechWindows
from media.errors import InputError
from media.video import FPS

_FEWEST_FRAMES = 2  # Eq. 2 takes differences between neighbours, the spatial encoder deviations among frames


def fitted_frames(training_frames: int, validation_seconds: float, stage: str) -> int:
    """How many frames of the training part are learned from; the others, at its end, are for validation.

    Args:
        training_frames: Of the clip.
        validation_seconds: Of the stage.
        stage: Whose settings they are, for the message.

    Raises:
        InputError: If hardly a frame is left.
    """
    left = training_frames - round(validation_seconds * FPS)
    if left < _FEWEST_FRAMES:
        raise InputError(
            f"fit.{stage}.validation_seconds={validation_seconds:g} leaves nothing to learn from of a training part of "
            f"{training_frames / FPS:.1f} s; make it smaller, or give a longer video"
        )
    return left


class PersonalVideoDataModule(pl.LightningDataModule):
    """The training part of a clip; its last seconds are kept for validation, the held-out part is never touched.

    Args:
        clip: The prepared video.
        stage: Which module is fed.
        frames: The rendered training part; needed for `memory_gan` only.
        batch_size: Samples per step, over all processes.
        window: Frames per sample of `audio2pose`.
        validation_seconds: End of the training part, which is not learned from: settings are judged on it.
        seed: Of the order of the samples.
        identity_feature: Of the `person`, the mean of the frames that are learned from in which the face was found, or
            of each true `frame` as in the paper. A frame's own tells the networks of its light and its errors, which
            nothing does at test.

    Raises:
        ValueError: If the batch does not divide among the processes, `frames` is missing, or a choice is unknown.
        InputError: If validation leaves nothing to learn from.
    """

    def __init__(
        self,
        clip: Clip,
        stage: Literal["audio2pose", "memory_gan"],
        *,
        frames: RenderedFrames | None = None,
        batch_size: int = 16,
        window: int = 16,
        validation_seconds: float = 2.0,
        seed: int = 0,
        identity_feature: Literal["person", "frame"] = "person",
    ):
        super().__init__()
        if identity_feature not in ("person", "frame"):
            raise ValueError(f"unknown identity_feature '{identity_feature}': expected person or frame")
        if stage == "memory_gan" and frames is None:
            raise ValueError("PersonalVideoDataModule(stage='memory_gan') needs frames=render_clip(...).")
        self.clip, self.task, self.frames = clip, stage, frames
        self.batch_size, self.window, self.seed = batch_size, window, seed
        self.identity_feature = identity_feature
        self.fitted_frames = fitted_frames(clip.training_frames, validation_seconds, stage)

    def setup(self, stage: str) -> None:
        """Cut the training part into what is learned and what is validated on."""
        if self.task == "audio2pose":
            mfcc, chi = self.clip.mfcc[self.clip.training], self.clip.coefficients[self.clip.training]
            self.train_set: SpeechWindows | RenderedWindows = SpeechWindows(
                mfcc[: self.fitted_frames], chi[: self.fitted_frames], self.window
            )
            self.validation_set: SpeechWindows | RenderedWindows = SpeechWindows(
                mfcc[self.fitted_frames :], chi[self.fitted_frames :], length=0
            )
        else:
            frames = self._identified()
            self.train_set = RenderedWindows(_part(frames, 0, self.fitted_frames))
            self.validation_set = RenderedWindows(_part(frames, self.fitted_frames, self.clip.training_frames))

    @property
    def recording(self) -> Batch:
        """`mfcc` (T, 28, 12), `expression` (T, 64), `pose` (T, 6) of the whole training part, with what validates."""
        part = self.clip.training
        return SpeechWindows(self.clip.mfcc[part], self.clip.coefficients[part], length=0)[0]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Samples in an order fixed by (seed, epoch); the last incomplete batch is left out."""
        rank, world_size = process_place(self.trainer)
        if self.batch_size % world_size:
            raise ValueError(f"batch_size {self.batch_size} does not divide among {world_size} processes.")
        sampler = EpochSampler(len(self.train_set), self.seed, rank, world_size, self.batch_size)
        per_process = min(self.batch_size // world_size, len(sampler))
        return DataLoader(self.train_set, per_process, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> Any:
        """The end of the training part, in order, each sample on one process."""
        batch_size = 1 if self.task == "audio2pose" else min(self.batch_size, 4)
        return evaluation_loader(self.validation_set, batch_size, *process_place(self.trainer))

    def _identified(self) -> RenderedFrames:
        assert self.frames is not None
        if self.identity_feature == "frame":
            return self.frames
        seen = ~torch.from_numpy(self.clip.bridged[: self.fitted_frames])  # elsewhere no face was looked at
        learned = self.frames.identity[: self.fitted_frames]
        mean = functional.normalize(learned[seen if seen.any() else ~seen].mean(0), dim=0)
        return replace(self.frames, identity=mean.expand_as(self.frames.identity).contiguous())


def _part(frames: RenderedFrames, start: int, stop: int) -> RenderedFrames:
    part = slice(start, stop)
    return RenderedFrames(frames.rendered[part], frames.target[part], frames.face_mask[part], frames.identity[part])
