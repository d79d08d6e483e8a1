"""What watches and keeps a stage while it trains, and the keywords of its Trainer that follow from the settings."""

import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, ProgressBar
from pytorch_lightning.strategies import DDPStrategy
from tqdm import tqdm

from experiments.collapse import CollapseGuard
from experiments.image_grid import ImageGrid
from experiments.launch import process_count
from experiments.provenance import BF16_FLAGS, processor_flags
from experiments.tracking import CurveLogger, StageWandbLogger
from media.errors import InputError

_PROGRESS_SECONDS = 10.0  # between lines of progress where there is no terminal to draw a bar on


def trainer_keywords(
    settings: dict[str, Any], folder: Path, stage: str, wandb_run: Any | None = None
) -> dict[str, Any]:
    """Keywords for `pl.Trainer`, the same for both stages.

    Args:
        settings: Of the run.
        folder: The run folder.
        stage: `audio2pose` or `memory_gan`.
        wandb_run: From `tracking.start_wandb`.
    """
    trainer = settings["trainer"]
    loggers: list[Any] = [CurveLogger(folder, stage)]
    if wandb_run is not None:
        loggers.append(StageWandbLogger(wandb_run, stage))
    callbacks: list[Callback] = [EpochSeed(settings["seed"]), StageProgress(stage), CurvesBeforeCheckpoint()]
    callbacks.append(keep_last(folder, stage))
    if stage == "memory_gan":
        callbacks.append(ImageGrid(folder))
    else:
        callbacks.append(CollapseGuard(**settings["fit"][stage]["collapse"]))
    return {
        "max_epochs": settings["fit"][stage]["epochs"],
        "accelerator": trainer["accelerator"],
        "devices": trainer["devices"],
        "num_nodes": trainer["num_nodes"],
        "strategy": training_strategy(settings, stage),
        "precision": resolve_precision(trainer["precision"], trainer["accelerator"]),
        "logger": loggers,
        "callbacks": callbacks,
        "plugins": [AtomicCheckpointIO()],
        "default_root_dir": folder,
        "enable_model_summary": False,
        "log_every_n_steps": 10,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,  # the data modules deal out samples themselves, each exactly once
    }


def training_strategy(settings: dict[str, Any], stage: str) -> Any:
    """How a stage is trained in several processes: gradients are averaged after every backward pass.

    Args:
        settings: Of the run.
        stage: `audio2pose` or `memory_gan`.
    """
    if settings["trainer"]["strategy"] == "auto" and process_count(settings) == 1:
        return "auto"
    return DDPStrategy(
        # the GAN's three optimisers leave parameters unused in each other's backward pass
        find_unused_parameters=stage == "memory_gan",
        # every process computes the same buffers; broadcasting them at every pass, in validation too, would have a
        # process with one validation sample more than the others wait for them forever
        broadcast_buffers=False,
    )


def keep_last(folder: Path, stage: str) -> ModelCheckpoint:
    """Keeps the last epoch as `checkpoints/<stage>/last.ckpt`."""
    place = folder / "checkpoints" / stage
    return ModelCheckpoint(place, "last", enable_version_counter=False, save_on_train_epoch_end=True)


def last_checkpoint(folder: Path, stage: str) -> Path | None:
    """Where a stage stopped, for `Trainer.fit(ckpt_path=...)`; None if it has not finished one epoch."""
    path = folder / "checkpoints" / stage / "last.ckpt"
    return path if path.is_file() else None


def resolve_precision(setting: str, accelerator: str) -> Any:
    """What `trainer.precision=auto` means here: bf16 where it is computed and not emulated, else fp32."""
    if setting != "auto":
        return setting
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = bool(processor_flags() & set(BF16_FLAGS))
    return "bf16-mixed" if fast else "32-true"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a kill leaves the old one or the new one.

    Lightning writes into the system's temporary folder first; where that is another file system, moving is copying and
    a kill in between leaves a broken file.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            InputError: If it cannot be written, e.g. to a full disk.
        """
        place = Path(path)
        part = place.with_name(f"{place.name}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, place)
        except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
            free = shutil.disk_usage(place.parent).free / 2**20
            raise InputError(
                f"cannot write {place} ({error}): {free:.0f} MB are free there; make room and repeat"
            ) from error
        finally:
            part.unlink(missing_ok=True)


class CurvesBeforeCheckpoint(Callback):
    """Has the curves on disk before the checkpoint, so that a kill never leaves an epoch trained but not logged."""

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write the curves; Lightning calls this before it writes the file."""
        for logger in trainer.loggers:
            if isinstance(logger, CurveLogger):
                logger.flush()


class EpochSeed(Callback):
    """Seeds every random generator before the first step of each epoch from (seed, epoch, process).

    So the steps of an epoch draw the same numbers whether the run came to it in one go or was resumed just before it,
    without generator states in the checkpoint. Not at the epoch's start: there a resumed run has made its loader
    already, an uninterrupted one has not, and making it draws a number. The samples themselves and their order depend
    on nothing that is drawn here.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed Python, numpy and torch at the first step of an epoch."""
        if batch_idx:
            return
        key = (self.seed, trainer.current_epoch, trainer.global_rank)
        value = int(np.random.SeedSequence(key).generate_state(1)[0])
        random.seed(value)
        np.random.seed(value)  # noqa: NPY002 - libraries draw from the global generator
        torch.manual_seed(value)


class StageProgress(ProgressBar):
    """One bar for a whole stage, so that its rate and its remaining time are the user's; lines where no terminal is.

    Args:
        stage: What the bar is called.
    """

    def __init__(self, stage: str):
        super().__init__()
        self.stage = stage
        self._enabled = True
        self._bar: Any = None
        self._lines = not sys.stderr.isatty()
        self._spoken = 0.0

    def disable(self) -> None:
        """Be silent; Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar where the stage was left."""
        batches = int(trainer.num_training_batches)
        silent = self._lines or not self._enabled
        self._bar = tqdm(
            total=(trainer.max_epochs or 0) * batches,
            initial=trainer.current_epoch * batches,
            desc=self._title(trainer),
            unit="it",
            dynamic_ncols=True,
            file=open(os.devnull, "w") if silent else sys.stderr,  # noqa: SIM115 - closed with the process
        )
        self._spoken = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance."""
        self._bar.update()
        if self._bar.n % 10 == 0:  # reading a loss waits for the device
            self._bar.set_postfix_str(self._values(trainer, pl_module), refresh=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch and its values."""
        self._bar.set_description_str(self._title(trainer), refresh=False)
        self._bar.set_postfix_str(self._values(trainer, pl_module))
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if self._enabled and self._lines and (last or time.monotonic() - self._spoken > _PROGRESS_SECONDS):
            self._spoken = time.monotonic()
            print(str(self._bar), file=sys.stderr, flush=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that a message starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print above the bar."""
        tqdm.write(" ".join(map(str, args)), file=sys.stderr)

    def _title(self, trainer: pl.Trainer) -> str:
        return f"{self.stage}, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    def _values(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        values = {key.removeprefix("train/"): value for key, value in self.get_metrics(trainer, pl_module).items()}
        return ", ".join(f"{key} {value:.3g}" for key, value in values.items() if isinstance(value, int | float))
