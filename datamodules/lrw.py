"""A prepared corpus of many speakers, such as LRW, as training data for both stages (the paper's general mapping)."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Subset

from datamodules.augmented_speech import Augmentation
from datamodules.corpus_windows import CorpusClips, CorpusFrames, CorpusSpeech
from datamodules.loading import ClipLoader
from datamodules.manifest import ManifestEntry, read_manifest
from datamodules.motion_statistics import motion_statistics
from datamodules.open_clip import open_clip
from datamodules.sampling import evaluation_loader, process_place
from datamodules.visits import VisitSampler, clips_at_once
from datamodules.windows import Batch
from face.appearance import spread
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from media.errors import InputError

logger = logging.getLogger(__name__)

UNCLEAR_OFFSETS = ("keep", "drop")  # what is done with clips whose sound may be out of step
_STATISTICS_CLIPS = 2000  # ours: 40 minutes of LRW; means and deviations no longer change by a percent


class LRWDataModule(pl.LightningDataModule):
    """Windows of random clips in training, each clip once in validation.

    Training: the batches of an epoch are a function of (seed, epoch, batch size), dealt out to the processes without
    overlap, the same number to each; resumed runs and other numbers of workers see the same ones. An epoch is every
    window of every clip once (its remainder after the last whole batch is left out), or `samples_per_epoch` of them.

    Validation: every clip is seen once by exactly one process; stage 1 gets it whole, as a batch of its own, stage 2
    the window in its middle. Where the clips do not divide among the processes, some take one batch less, or none. So
    the Trainer needs `DDPStrategy(broadcast_buffers=False)`: otherwise buffers are broadcast in every forward pass, in
    validation too, and the others wait for the missing one for ever (both modules have equal buffers on all processes
    without that). And modules have to log means as torchmetrics, which add sums and counts over the processes:
    `log(sync_dist=True)` of Lightning 2.6 averages the counts of samples as integers, and 3 clips on 2 processes come
    out 1.5 times too large. Samples are dealt out here: `Trainer(use_distributed_sampler=False)`.

    Memory: stage 2 keeps up to 17 rendered frames (8 MB) for each of 8 x `batch_size` clips, over all workers.

    Args:
        prepared: Folder of a prepared corpus, with its manifest.
        stage: Which module is fed.
        batch_size: Samples per step, over all processes.
        window: Frames per sample of `audio2pose`; training clips that are shorter are left out.
        workers: Loading processes of each training process; they end with the epoch. With 1, 2, 4 or 8 of them no
            two open a clip for the same visit (see `VisitSampler`).
        albedo: Key of `face.albedo.ALBEDOS`; of the clip's own frames, `detailed` made in preparation.
        rasterizer: Key of `face.rasterizers.RASTERIZERS`.
        face_model: Key of `face.models.registry.FACE_MODELS`, of the corpus.
        face_model_file: Of a model that does not come with the project.
        augmentation: Of the sound of `audio2pose` in training, see `augmented_window`; what it draws is a function of
            (seed, epoch, sample).
        centre_clips: Move expression, pose and MFCC of every clip so that its own mean becomes that of the training
            clips: sound does not tell where a person's face rests, and a face not what microphone or voice it is; a
            person's first stage takes the person's own means out, too.
        unclear_offset: `drop` leaves clips out of which the manifest says that their sound may be out of step, of
            `audio2pose` alone, which hears it; `keep` does not. Clips too short to tell are kept.
        samples_per_epoch: Length of an epoch; None: all.
        seed: Of the order and of the augmentation.

    Raises:
        InputError: If `unclear_offset` is unknown.
    """

    def __init__(
        self,
        prepared: Path,
        stage: Literal["audio2pose", "memory_gan"],
        *,
        batch_size: int = 16,
        window: int = 16,
        workers: int = 0,
        albedo: str = "detailed",
        rasterizer: str = "numba",
        face_model: str = "facemesh",
        face_model_file: Path | None = None,
        augmentation: Augmentation | None = None,
        centre_clips: bool = True,
        unclear_offset: str = "keep",
        samples_per_epoch: int | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if unclear_offset not in UNCLEAR_OFFSETS:
            raise InputError(f"data.unclear_offset={unclear_offset}: must be one of {', '.join(UNCLEAR_OFFSETS)}")
        self.drop_unclear = unclear_offset == "drop" and stage == "audio2pose"
        self.prepared, self.task = Path(prepared), stage
        self.batch_size, self.window, self.workers, self.seed = batch_size, window, workers, seed
        self.face = (albedo, rasterizer, face_model, face_model_file)
        self.augmentation, self.centre_clips, self.samples_per_epoch = augmentation, centre_clips, samples_per_epoch
        self._statistics: dict[str, np.ndarray] | None = None

    def setup(self, stage: str) -> None:
        """Read the manifest.

        Raises:
            InputError: If it cannot be used, or has no clips to train on or to validate with.
        """
        entries = self._entries()
        speakers = {name: number for number, name in enumerate(sorted({entry.speaker for entry in entries}))}
        shortest = self.window if self.task == "audio2pose" else 1
        training = CorpusClips(self.prepared, self._of_split(entries, "train", shortest), speakers)
        validation = CorpusClips(self.prepared, self._of_split(entries, "val"), speakers)
        if self.task == "audio2pose":
            statistics = self.statistics() if self.centre_clips else None
            names = ("expression_mean", "pose_mean", "mfcc_mean")
            means = (statistics[names[0]], statistics[names[1]], statistics[names[2]]) if statistics else None
            self.train_set: CorpusSpeech | CorpusFrames = CorpusSpeech(
                training, self.window, means, self.augmentation, self.seed
            )
            self.validation_set: CorpusSpeech | Subset[Batch] = CorpusSpeech(validation, 0, means)
        else:
            self.train_set = CorpusFrames(training, *self.face)
            frames = CorpusFrames(validation, *self.face, visit=1)
            first = np.cumsum(validation.frames) - validation.frames
            self.validation_set = Subset(frames, (first + validation.frames // 2).tolist())

    def statistics(self) -> dict[str, np.ndarray]:
        """Means and deviations of the training clips, evenly chosen 2,000 of them where there are more.

        Returns:
            What `motion_statistics` returns.

        Raises:
            InputError: If the corpus has no training clips, or one is damaged.
        """
        if self._statistics is None:
            entries = self._of_split(self._entries(), "train")
            chosen = [entries[k] for k in spread(len(entries), _STATISTICS_CLIPS)]
            clips = (open_clip(self.prepared / entry.clip, entry.frames) for entry in chosen)
            parts = ((clip.coefficients, clip.mfcc) for clip in clips)
            opening = mouth_opening_map(load_face_model(*self.face[2:]))
            self._statistics = motion_statistics(parts, opening, centre_clips=self.centre_clips)
        return self._statistics

    def train_dataloader(self) -> DataLoader[Batch]:
        """Random windows of random clips, in an order fixed by (seed, epoch).

        Raises:
            ValueError: If the batch does not divide among the processes.
        """
        rank, processes = process_place(self.trainer)
        if self.batch_size % processes:
            raise ValueError(f"batch_size {self.batch_size} does not divide among {processes} processes.")
        samples = min(self.samples_per_epoch or len(self.train_set), len(self.train_set))
        batch_size = min(self.batch_size, samples - samples % processes)
        sampler = VisitSampler(self.train_set.visits, self.seed, rank, processes, batch_size, samples)
        self.train_set.held.most = clips_at_once(batch_size // processes, self.workers)
        return ClipLoader(self.train_set, batch_size // processes, sampler, self.workers)

    def val_dataloader(self) -> Any:
        """Every clip once, over all processes."""
        batch_size = 1 if self.task == "audio2pose" else min(self.batch_size, 4)
        loader = partial(ClipLoader, workers=self.workers)
        return evaluation_loader(self.validation_set, batch_size, *process_place(self.trainer), loader)

    def _entries(self) -> list[ManifestEntry]:
        """The clips of the manifest, without those that are dropped."""
        entries = read_manifest(self.prepared)
        if not self.drop_unclear:
            return entries
        if any(entry.offset_flag is None and entry.offset_confidence is not None for entry in entries):
            raise InputError(
                f"{self.prepared}: its manifest is of an older version and does not say which offsets are unclear; "
                "repeat the preparation, which keeps the clips, or leave out data.unclear_offset=drop"
            )
        kept = [entry for entry in entries if entry.offset_flag != "unclear"]
        if len(kept) < len(entries):
            logger.warning("%d of %d clips may be out of step and are dropped", len(entries) - len(kept), len(entries))
        return kept

    def _of_split(self, entries: Sequence[ManifestEntry], split: str, shortest: int = 1) -> list[ManifestEntry]:
        """The clips of a split that have at least so many frames."""
        ours = [entry for entry in entries if entry.split == split]
        long = [entry for entry in ours if entry.frames >= shortest]
        if not long:
            least = f" of {shortest} frames or more" if shortest > 1 else ""
            raise InputError(f"{self.prepared}: has no clips{least} in the split {split}; prepare more clips.")
        if len(long) < len(ours):
            logger.warning("%d of %d clips are shorter than the window and left out", len(ours) - len(long), len(ours))
        return long
