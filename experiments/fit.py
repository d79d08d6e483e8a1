"""Fits the two stages to a person, from scratch or from another run, resuming where a killed run stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from datamodules.clip import Clip
from datamodules.personal import PersonalVideoDataModule
from datamodules.rendered_frames import render_clip
from experiments.callbacks import last_checkpoint, trainer_keywords
from experiments.person import person_renderer, require_same_face
from face.coefficients import EXPRESSION, get_pose
from face.identity import IDENTITY_ENCODERS
from face.models.morphable_model import MorphableModel, expression_scale, mouth_opening_map
from face.models.registry import load_face_model
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.errors import InputError

_SMALLEST_DEVIATION = 1e-4  # of a pose number in training, radians or decimetres; a fixed head must not divide by zero


def fit_audio2pose(settings: dict[str, Any], folder: Path, clip: Clip, wandb_run: Any | None = None) -> None:
    """Fit stage 1 to the training part of a clip (paper, 3.2); the result is the stage's last checkpoint."""
    fit = settings["fit"]["audio2pose"]
    if is_finished(folder, "audio2pose", fit["epochs"]):
        return
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    model = load_face_model(settings["face"]["model"], settings["face"]["model_file"])
    module = Audio2PoseLSTM(**motion_statistics(clip, model), **settings["audio2pose"])
    data = PersonalVideoDataModule(
        clip,
        "audio2pose",
        batch_size=fit["batch_size"],
        window=fit["window"],
        validation_seconds=fit["validation_seconds"],
        seed=settings["seed"],
    )
    _fit(module, data, "audio2pose", settings, folder, wandb_run)


def fit_memory_gan(settings: dict[str, Any], folder: Path, clip: Clip, wandb_run: Any | None = None) -> None:
    """Fit stage 2 to the rendered training part of a clip (paper, 3.4); the result is the stage's last checkpoint."""
    fit = settings["fit"]["memory_gan"]
    if is_finished(folder, "memory_gan", fit["epochs"]):
        return
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    frames = render_clip(clip, clip.training, *person_renderer(settings, clip))
    threshold = IDENTITY_ENCODERS[settings["face"]["identity_encoder"]].similarity_threshold
    module = MemoryGAN(similarity_threshold=threshold, seed=settings["seed"], **settings["memory_gan"])
    data = PersonalVideoDataModule(
        clip,
        "memory_gan",
        frames=frames,
        batch_size=fit["batch_size"],
        validation_seconds=fit["validation_seconds"],
        seed=settings["seed"],
    )
    _fit(module, data, "memory_gan", settings, folder, wandb_run)


def motion_statistics(clip: Clip, model: MorphableModel) -> dict[str, Any]:
    """What `Audio2PoseLSTM` has to know of the face model and of the person, from the training part alone.

    Args:
        clip: Of a person.
        model: The face model of its coefficients.

    Returns:
        The arrays among its keywords; `expression_scale` is normalised so that training targets have mean variance 1
        (SPEC, stage 1).
    """
    chi, mfcc = clip.coefficients[clip.training], clip.mfcc[clip.training]
    expression, pose = chi[:, EXPRESSION], get_pose(chi)
    scale = expression_scale(model)
    scale = scale / np.sqrt(np.mean(np.var(expression * scale, axis=0)))
    return {
        "expression_scale": scale.astype(np.float32),
        "expression_mean": expression.mean(0),
        "pose_scale": np.maximum(pose.std(0), _SMALLEST_DEVIATION),
        "pose_mean": pose.mean(0),
        "mouth_opening": mouth_opening_map(model).astype(np.float32),
        "mfcc_mean": mfcc.mean((0, 1)),
        "mfcc_std": mfcc.std((0, 1)),
    }


def is_finished(folder: Path, stage: str, epochs: int) -> bool:
    """Whether a stage has been trained to its last epoch."""
    path = last_checkpoint(folder, stage)
    if path is None:
        return False
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return int(checkpoint["epoch"]) + 1 >= epochs


def _fit(
    module: Audio2PoseLSTM | MemoryGAN,
    data: PersonalVideoDataModule,
    stage: str,
    settings: dict[str, Any],
    folder: Path,
    wandb_run: Any | None,
) -> None:
    resume = last_checkpoint(folder, stage)
    if settings["init_from"] and resume is None:
        parent = Path(settings["init_from"])
        require_same_face(parent, settings)
        load_parent(module, parent, stage)
    trainer = pl.Trainer(**trainer_keywords(settings, folder, stage, wandb_run))
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)


def load_parent(module: Audio2PoseLSTM | MemoryGAN, parent: Path, stage: str) -> None:
    """Start from another run's weights and memory; everything has to fit (`init_from`).

    Raises:
        InputError: If the parent has no such stage, or its networks are of another shape.
    """
    path = last_checkpoint(parent, stage)
    if path is None:
        raise InputError(f"init_from={parent}: has no checkpoint of {stage}; give the folder of a finished run")
    weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    # the scales of a person belong to the person, not to the parent
    own = {name: value for name, value in module.state_dict().items() if name in module.person_buffers}
    try:
        module.load_state_dict(weights | own, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"init_from={parent}: {stage} does not fit these settings: {first}") from None
