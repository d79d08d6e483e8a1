"""Fits the two stages, from scratch or from another run, resuming where a killed run stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from datamodules.clip import Clip
from datamodules.motion_statistics import motion_statistics
from datamodules.personal import PersonalVideoDataModule, fitted_frames
from datamodules.rendered_frames import render_clip
from experiments.callbacks import last_checkpoint, trainer_keywords
from experiments.parents import start_from_parent
from experiments.person import filmed_mouths, person_renderer
from face.identity import IDENTITY_ENCODERS
from face.models.morphable_model import MorphableModel, expression_scale, mouth_opening_map
from face.models.registry import load_face_model
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN

_SMALLEST_DEVIATION = 1e-4  # in training: of a pose number (radians, decimetres), which a fixed head would divide by
# zero, of the opening of the mouth in outer-eye distances, and of an MFCC number, which silence leaves as it is


def fit_audio2pose(settings: dict[str, Any], folder: Path, clip: Clip, wandb_run: Any | None = None) -> None:
    """Fit stage 1 to the training part of a clip (paper, 3.2); the result is the stage's last checkpoint."""
    fit = settings["fit"]["audio2pose"]
    if is_finished(folder, "audio2pose", fit["epochs"]):
        return
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    model = load_face_model(settings["face"]["model"], settings["face"]["model_file"])
    module = make_audio2pose(settings, model, person_statistics(clip, model))
    data = PersonalVideoDataModule(
        clip,
        "audio2pose",
        batch_size=fit["batch_size"],
        window=fit["window"],
        validation_seconds=fit["validation_seconds"],
        seed=settings["seed"],
    )
    fit_stage(module, data, "audio2pose", settings, folder, wandb_run)


def fit_memory_gan(settings: dict[str, Any], folder: Path, clip: Clip, wandb_run: Any | None = None) -> None:
    """Fit stage 2 to the rendered training part of a clip (paper, 3.4); the result is the stage's last checkpoint."""
    fit = settings["fit"]["memory_gan"]
    if is_finished(folder, "memory_gan", fit["epochs"]):
        return
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    renderer, albedo = person_renderer(settings, clip)
    # those that validate show nothing of themselves
    learned = fitted_frames(clip.training_frames, fit["validation_seconds"], "memory_gan")
    mouths = filmed_mouths(settings, clip, renderer, learned)
    frames = render_clip(clip, clip.training, renderer, albedo, mouths=mouths)
    module = make_memory_gan(settings)
    data = PersonalVideoDataModule(
        clip,
        "memory_gan",
        frames=frames,
        batch_size=fit["batch_size"],
        validation_seconds=fit["validation_seconds"],
        seed=settings["seed"],
        identity_feature=settings["data"]["identity_feature"],
    )
    fit_stage(module, data, "memory_gan", settings, folder, wandb_run)


def make_audio2pose(
    settings: dict[str, Any], model: MorphableModel, statistics: dict[str, np.ndarray]
) -> Audio2PoseLSTM:
    """A new first stage for training data of these statistics.

    Args:
        settings: Of the run.
        model: The face model of the coefficients.
        statistics: `expression_mean`, `expression_std` (64,), `pose_mean`, `pose_std` (6,), `mfcc_mean`, `mfcc_std`
            (12,), `opening_std` (1,) of the training data. `expression_scale` follows from them and the model,
            normalised so that training targets have mean variance 1 (SPEC, stage 1).
    """
    scale = expression_scale(model)
    scale = scale / np.sqrt(np.mean((statistics["expression_std"] * scale) ** 2))
    return Audio2PoseLSTM(
        expression_scale=scale.astype(np.float32),
        expression_mean=statistics["expression_mean"],
        pose_scale=np.maximum(statistics["pose_std"], _SMALLEST_DEVIATION),
        pose_mean=statistics["pose_mean"],
        mouth_opening=mouth_opening_map(model) / np.maximum(statistics["opening_std"], _SMALLEST_DEVIATION),
        mfcc_mean=statistics["mfcc_mean"],
        mfcc_std=np.maximum(statistics["mfcc_std"], _SMALLEST_DEVIATION),
        **settings["audio2pose"],
    )


def make_memory_gan(settings: dict[str, Any]) -> MemoryGAN:
    """A new second stage; the similarity threshold is the identity encoder's unless the settings have one."""
    chosen = dict(settings["memory_gan"])
    encoder = IDENTITY_ENCODERS[settings["face"]["identity_encoder"]]
    threshold = chosen.pop("similarity_threshold") or encoder.similarity_threshold
    return MemoryGAN(similarity_threshold=threshold, seed=settings["seed"], **chosen)


def person_statistics(clip: Clip, model: MorphableModel) -> dict[str, np.ndarray]:
    """Means and deviations of the training part of a clip, for `make_audio2pose`."""
    part = (clip.coefficients[clip.training], clip.mfcc[clip.training])
    return motion_statistics([part], mouth_opening_map(model), centre_clips=False)


def is_finished(folder: Path, stage: str, epochs: int) -> bool:
    """Whether a stage has been trained to its last epoch."""
    path = last_checkpoint(folder, stage)
    if path is None:
        return False
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return int(checkpoint["epoch"]) + 1 >= epochs


def fit_stage(
    module: Audio2PoseLSTM | MemoryGAN,
    data: pl.LightningDataModule,
    stage: str,
    settings: dict[str, Any],
    folder: Path,
    wandb_run: Any | None,
) -> None:
    """Train a stage from where it was left, or from its parent, or from scratch.

    Args:
        module: Freshly made, with the same weights in every process.
        data: What it is trained on.
        stage: `audio2pose` or `memory_gan`.
        settings: Of the run.
        folder: The run folder.
        wandb_run: From `tracking.start_wandb`.

    Raises:
        InputError: If the parent does not fit, or the training collapses.
    """
    resume = last_checkpoint(folder, stage)
    if resume is None:
        start_from_parent(module, settings, folder, stage)
    trainer = pl.Trainer(**trainer_keywords(settings, folder, stage, wandb_run))
    threads = torch.get_num_threads()
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    torch.set_num_threads(threads)  # several processes share the cores while they train, and no longer
