"""Starting a stage from the weights, and the memory, of another run (`init_from`)."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from evaluation.run_files import flatten
from experiments import provenance
from experiments.callbacks import last_checkpoint
from experiments.person import require_same_face
from experiments.settings import GENERAL, GENERAL_WEIGHTS, load_settings
from experiments.shipped import load_shipped
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from lightning_modules.networks.ensemble import Ensemble
from media.digest import sha256 as file_sha256
from media.errors import InputError

# Settings of a stage that have to be its parent's: the shapes of its networks, and what their inputs mean.
_SHARED = ("*encoder", "*channels", "*layers", "*levels", "*_size", "*memory_slots", "*normalisation")


def parent_of(settings: dict[str, Any], stage: str) -> Path | None:
    """The run that a stage starts from; None for a stage that starts from scratch.

    `init_from_<stage>` names the parent of one stage. `init_from` names that of every stage it has trained: of both if
    it is a run on a person, of one if it is general. The word `general`, for stage 1 alone, is no run but the weights
    that come with the project; any run that is named as well goes before them.

    Args:
        settings: Of the run.
        stage: `audio2pose` or `memory_gan`.

    Raises:
        InputError: If `init_from` has trained nothing, or `init_from_<stage>` not that stage.
    """
    own, both = settings[f"init_from_{stage}"], settings["init_from"]
    if own == GENERAL:
        own = None
    parent = Path(own or both).expanduser() if own or both else None
    if parent is None or last_checkpoint(parent, stage) is not None:
        return parent
    if own or not any(last_checkpoint(parent, other) for other in ("audio2pose", "memory_gan")):
        key = f"init_from_{stage}" if own else "init_from"
        raise InputError(f"{key}={parent}: has no checkpoint of {stage if own else 'any stage'}; give a finished run")
    return None


def start_from_parent(module: Audio2PoseLSTM | MemoryGAN, settings: dict[str, Any], folder: Path, stage: str) -> None:
    """Load what the settings say a stage starts from, if anything, and record it in the run's provenance.

    Raises:
        InputError: If the parent's face model, networks or features are others.
    """
    parent = parent_of(settings, stage)
    if parent is None:
        if settings[f"init_from_{stage}"] == GENERAL and isinstance(module, Audio2PoseLSTM):
            load_shipped(module, settings)
            _record(folder, stage, run=GENERAL, weights_sha256=file_sha256(GENERAL_WEIGHTS))
        return
    require_same_face(parent, settings)
    _require_same_networks(parent, settings, stage)
    path, first_alone = load_parent(module, parent, stage)
    partly = {"first_member_alone": True} if first_alone else {}
    _record(folder, stage, run=parent.resolve().name, checkpoint_sha256=file_sha256(path), **partly)


def load_parent(module: Audio2PoseLSTM | MemoryGAN, parent: Path, stage: str) -> tuple[Path, bool]:
    """Take over another run's weights and memory; everything has to fit.

    A parent of one network starts the first of several, and the others stay as they were made. Whom the memory's
    pairs are of becomes unknown: speakers are numbered within one corpus.

    Args:
        module: Freshly made; its `person_buffers` stay what they are.
        parent: The other run's folder.
        stage: Which of its stages.

    Returns:
        The checkpoint that was loaded, and whether the first of several networks starts from it alone.

    Raises:
        InputError: If the parent has no such stage, or its networks are of another shape.
    """
    path = last_checkpoint(parent, stage)
    if path is None:
        raise InputError(f"init_from={parent}: has no checkpoint of {stage}; give the folder of a finished run")
    weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    # the scales of a person belong to the person, not to the parent, and so does what was learned by heart
    own = {name: value for name, value in module.state_dict().items() if _is_of_person(name, module)}
    weights = {name: value for name, value in weights.items() if not _is_of_person(name, module)}
    several = isinstance(getattr(module, "network", None), Ensemble)
    first_alone = several and not any(".members." in name for name in weights)
    if first_alone:
        weights = _as_first_member(weights, module.state_dict())
    try:
        module.load_state_dict(weights | own, strict=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(f"init_from={parent}: {stage} does not fit these settings: {first}") from None
    if isinstance(module, MemoryGAN):
        module.memory.forget_speakers()
    return path, first_alone


def _is_of_person(name: str, module: Audio2PoseLSTM | MemoryGAN) -> bool:
    return name in module.person_buffers or name.startswith("kernel.")


def _record(folder: Path, stage: str, **facts: Any) -> None:
    provenance.record(folder, parents=provenance.read(folder).get("parents", {}) | {stage: facts})


def _as_first_member(weights: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One network's weights for the first of several; the others stay as they were made."""
    parts = ("network.", "average.")
    renamed = {
        name.replace(part, f"{part}members.0.", 1): value
        for name, value in weights.items()
        for part in parts
        if name.startswith(part)
    }
    kept = {name: value for name, value in weights.items() if not name.startswith(parts)}
    return {name: value for name, value in fresh.items() if ".members." in name} | renamed | kept


def _require_same_networks(parent: Path, settings: dict[str, Any], stage: str) -> None:
    """Say which settings differ; torch would tell the names of tensors."""
    theirs, ours = (_shared(chosen, stage) for chosen in (load_settings(parent), settings))
    unlike = [f"{key}={theirs[key]}" for key in ours if key in theirs and theirs[key] != ours[key]]
    if unlike:
        raise InputError(f"init_from={parent}: its {stage} is of other settings; add {' '.join(unlike)}")


def _shared(settings: dict[str, Any], stage: str) -> dict[str, Any]:
    flat = flatten({stage: settings.get(stage, {})})
    shared = {key: value for key, value in flat.items() if any(fnmatch(key, pattern) for pattern in _SHARED)}
    if stage == "memory_gan":  # whose features the memory holds
        shared["face.identity_encoder"] = settings["face"]["identity_encoder"]
    return shared
