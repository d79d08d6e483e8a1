"""The person of a run: the prepared clip, how it is rendered, and the two trained stages put together as a talker."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.clip import Clip
from datamodules.filmed_mouths import FilmedMouths
from datamodules.personal import fitted_frames
from datamodules.prepare import prepare_video
from datamodules.rendered_frames import channels_first
from datamodules.synthetic.film import make_person_film
from experiments.callbacks import last_checkpoint, resolve_precision
from experiments.limits import read_offset
from experiments.settings import EMBEDDED
from face.albedo import ALBEDOS
from face.appearance import spread
from face.assets import cache_folder
from face.models.registry import load_face_model, model_version
from face.rendering import Renderer
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.errors import InputError
from media.video import FPS
from synthesis.talker import Talker

EMBEDDED_SEED = 0  # of the film: who the person is and what they say
FACE_VERSION = "face_model_sha256"  # in preparation.json
_ALBEDO_FRAMES = 100  # ours: more do not change the mean
_MOUTH_BRIGHTNESS = {"black": 0.0, "filmed": 1.0, "dimmed": 0.5}  # ours: docs/second_stage.md


def prepare(settings: dict[str, Any], folder: Path) -> Clip:
    """The clip of a run's video, prepared now or found in the cache; `preparation.json` tells the report about it.

    Args:
        settings: Of the run.
        folder: The run folder.

    Raises:
        InputError: If the video cannot be used, or validation leaves nothing of it to learn from.
    """
    require_same_face(folder, settings)
    data, face = settings["data"], settings["face"]
    cache = Path(data["cache"]).expanduser() if data["cache"] else cache_folder()
    film = (cache, data["embedded_seconds"], data["embedded_person"])
    video = embedded_video(*film) if data["video"] == EMBEDDED else Path(data["video"])
    clip = prepare_video(
        video,
        cache / "clips",
        train_seconds=data["train_seconds"],
        **preparation_keywords(settings),
        progress=True,
    )
    for stage, fit in settings["fit"].items():  # refused now, not when the other stage has been trained
        fitted_frames(clip.training_frames, fit["validation_seconds"], stage)
    facts = {
        "clip": str(clip.folder),
        "source": str(clip.source),
        FACE_VERSION: model_version(face["model"], face["model_file"]),
        "source_sha256": clip.source_sha256,
        "frames": len(clip),
        "training_frames": clip.training_frames,
        "split_note": clip.split_note,
        "audio_offset": clip.audio_offset,
        "offset_estimate": clip.offset_estimate,
        "offset_confidence": clip.offset_confidence,
        "sound_lacking": clip.sound_lacking,
        "bridged_frames": int(clip.bridged.sum()),
        "landmark_error_percent": round(100 * float(clip.fit_error[~clip.bridged].mean()), 3),
        "crop": [clip.crop.x, clip.crop.y, clip.crop.side],
        "width": clip.width,
        "height": clip.height,
    }
    _write_json(folder / "preparation.json", facts)
    return clip


def preparation_keywords(settings: dict[str, Any]) -> dict[str, Any]:
    """What a person's video and the clips of a corpus are prepared with alike: keywords of `Preparation`."""
    face = settings["face"]
    return {
        "audio_offset": read_offset(settings["data"]["audio_offset"]),
        "face_model": face["model"],
        "face_model_file": face["model_file"],
        "reconstruction": face["reconstruction"],
        "reconstruction_file": face["reconstruction_file"],
        "identity_encoder": face["identity_encoder"],
        "identity_onnx": face["identity_onnx"],
    }


def require_same_face(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on with a run that was made with another version of the face model: its coefficients mean others.

    Args:
        folder: A run folder, or one that becomes one.
        settings: Whose face model is used now.

    Raises:
        InputError: If the versions differ.
    """
    path = folder / "preparation.json"
    if not path.exists():
        return
    made_with, face = json.loads(path.read_text()).get(FACE_VERSION), settings["face"]
    if made_with is not None and made_with != model_version(face["model"], face["model_file"]):
        raise InputError(
            f"{folder}: was made with another version of the face model {face['model']}; use that version of the "
            "project (provenance.json), or delete the folder and run it again"
        )


def embedded_video(cache: Path, seconds: float, person: int = EMBEDDED_SEED) -> Path:
    """The film of an embedded person, made once; the same for every seed of training."""
    path = cache / "embedded" / f"person{person}-{seconds:g}s-{model_version()[:8]}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make_person_film(path, seconds, person, progress=True)
    return path


def person_renderer(settings: dict[str, Any], clip: Clip) -> tuple[Renderer, torch.Tensor]:
    """The renderer of a person and their albedo (V, 3), from frames of the training part."""
    face = settings["face"]
    renderer = Renderer(load_face_model(face["model"], face["model_file"]), face["rasterizer"], clip.crop.size)
    seen = np.flatnonzero(~clip.bridged[clip.training])
    chosen = seen[spread(len(seen), _ALBEDO_FRAMES)]
    frames = clip.frames(clip.training)[chosen]
    albedo = ALBEDOS[face["albedo"]](frames, torch.from_numpy(clip.coefficients[chosen]), renderer)
    return renderer, albedo


def filmed_mouths(settings: dict[str, Any], clip: Clip, renderer: Renderer, until: int) -> FilmedMouths | None:
    """What is to be seen between the lips of a person's rendered faces; None for black.

    Args:
        settings: Of the run.
        clip: Of the person.
        renderer: Of the clip's face model.
        until: Frame before which mouths may be shown: in training only those that are learned from.

    Raises:
        InputError: If the face model draws no mouth to show it in.
    """
    brightness = _MOUTH_BRIGHTNESS[settings["face"]["mouth_interior"]]
    if not brightness:
        return None
    if not len(renderer.model.mouth_triangles):
        raise InputError(f"face.model={settings['face']['model']} has no mouth: add face.mouth_interior=black")
    part = slice(0, until)
    frames = channels_first(clip.frames(part))
    return FilmedMouths(renderer, clip.coefficients[part], frames, ~clip.bridged[part], brightness)


def load_talker(settings: dict[str, Any], folder: Path, clip: Clip | None = None) -> Talker:
    """Put a trained person together.

    Args:
        settings: Of the run.
        folder: The run folder with both stages' checkpoints.
        clip: The run's clip if it is at hand.

    Raises:
        InputError: If the run has not finished training.
    """
    paths = {stage: last_checkpoint(folder, stage) for stage in ("audio2pose", "memory_gan")}
    missing = [stage for stage, path in paths.items() if path is None]
    if missing:
        raise InputError(
            f"{folder}: {' and '.join(missing)} not trained yet; repeat the command of the run to finish it"
        )
    require_same_face(folder, settings)
    clip = clip or _clip_of_run(settings, folder)
    renderer, albedo = person_renderer(settings, clip)
    device = "cuda" if torch.cuda.is_available() and settings["trainer"]["accelerator"] != "cpu" else "cpu"
    precision = resolve_precision(settings["trainer"]["precision"], settings["trainer"]["accelerator"])
    return Talker(
        clip,
        renderer,
        albedo,
        Audio2PoseLSTM.load_from_checkpoint(str(paths["audio2pose"]), map_location=device),
        MemoryGAN.load_from_checkpoint(str(paths["memory_gan"]), map_location=device),
        **settings["background"],
        bf16=precision.startswith("bf16"),
        mouths=filmed_mouths(settings, clip, renderer, clip.training_frames),
    )


def scored_part(clip: Clip, settings: dict[str, Any]) -> slice:
    """The held-out frames that are generated and scored."""
    longest = round(settings["data"]["heldout_seconds"] * FPS)
    if settings["data"]["heldout_from"] == "end":
        return slice(max(clip.heldout.start, clip.heldout.stop - longest), clip.heldout.stop)
    return slice(clip.heldout.start, min(clip.heldout.stop, clip.heldout.start + longest))


def prepared_by_first_process(folder: Path) -> Clip:
    """The clip of a run, once the first of several training processes has prepared it."""
    while (clip := _known_clip(folder)) is None:
        time.sleep(1)
    return clip


def _clip_of_run(settings: dict[str, Any], folder: Path) -> Clip:
    return _known_clip(folder) or prepare(settings, folder)  # the cache may have been emptied


def _known_clip(folder: Path) -> Clip | None:
    path = folder / "preparation.json"
    if not path.exists():
        return None
    facts = json.loads(path.read_text())
    place = Path(facts["clip"])
    if not (place / "clip.json").exists():
        return None
    clip = Clip.load(place)
    return replace(clip, source=Path(facts.get("source", clip.source)))  # the video may have been moved since


def _write_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    os.replace(part, path)
