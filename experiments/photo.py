"""A run on a photo: find its face, have a first stage to listen with, write the video. Nothing learns of the photo.

The first stage of a finished run (`init_from`) supplies mouth and pose. Without one a small stage is trained on the
performance of the embedded person, from its coefficients themselves: no film is drawn or tracked for it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.clip import Clip
from datamodules.synthetic.performance import perform
from datamodules.synthetic.person import draw_person
from experiments import provenance, tracking
from experiments.callbacks import last_checkpoint
from experiments.fit import fit_audio2pose
from experiments.generate import speak, speech_output
from experiments.launch import is_first_process
from experiments.person import EMBEDDED_SEED, FACE_VERSION, require_same_face
from experiments.report import write_report
from experiments.settings import EMBEDDED, GENERAL, load_settings
from face.crop import Crop
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model, model_version
from lightning_modules.audio2pose import Audio2PoseLSTM
from media.audio import mfcc_windows
from media.digest import sha256
from media.errors import InputError
from media.photo import read_photo
from media.whole_file import whole_file
from synthesis.photo.portrait import Portrait, fit_portrait
from synthesis.photo.talker import PhotoTalker


def run_photo(settings: dict[str, Any], folder: Path, wandb_run: Any | None = None) -> None:
    """Take a run on a photo to its end.

    Args:
        settings: Resolved settings of the run.
        folder: The run folder.
        wandb_run: From `tracking.start_wandb`.

    Raises:
        InputError: If the photo, the speech or the run of `init_from` cannot be used.
    """
    require_same_face(folder, settings)
    with provenance.stage(folder, "prepare"):
        model = load_face_model(settings["face"]["model"])
        portrait = photo_portrait(settings, model)
        if is_first_process():
            _record(settings, folder, portrait)
    if not _parent(settings):
        with provenance.stage(folder, "fit audio2pose"):
            fit_audio2pose(
                settings, folder, embedded_performance(model, settings["data"]["performed_seconds"]), wandb_run
            )
    if not is_first_process():
        return
    output = speech_output(settings, folder)
    if settings["generate"]["output"] or not output.exists():
        with provenance.stage(folder, "speak"):
            talker = PhotoTalker(portrait, model, first_stage(settings, folder))
            speak(talker, Path(settings["generate"]["audio"]), output)
    write_report(folder)
    tracking.log_results(wandb_run, folder)


def load_photo_talker(settings: dict[str, Any], folder: Path) -> PhotoTalker:
    """Put the talker of a finished run on a photo together again.

    Raises:
        InputError: If the photo is not there any more, or the run has not finished training.
    """
    model = load_face_model(settings["face"]["model"])
    return PhotoTalker(photo_portrait(settings, model), model, first_stage(settings, folder))


def photo_portrait(settings: dict[str, Any], model: MorphableModel) -> Portrait:
    """The face of the run's photo.

    Raises:
        InputError: If it cannot be read or does not show one large face from the front.
    """
    path = Path(settings["data"]["image"])
    return fit_portrait(read_photo(path), str(path), model)


def first_stage(settings: dict[str, Any], folder: Path) -> Audio2PoseLSTM:
    """The first stage that listens: of the run `init_from` names, or the run's own.

    Raises:
        InputError: If it is not trained, or knows another face model or version of it.
    """
    parent = Path(_parent(settings) or folder).expanduser()
    path = last_checkpoint(parent, "audio2pose")
    if path is None:
        raise InputError(f"{parent}: has no trained audio2pose; finish that run, or leave init_from out")
    known, needed = load_settings(parent)["face"]["model"], settings["face"]["model"]
    if known != needed:
        raise InputError(f"init_from={parent}: its face.model is {known}, not {needed}; add face.model={known}")
    require_same_face(parent, settings)
    return Audio2PoseLSTM.load_from_checkpoint(str(path), map_location="cpu").eval()


def embedded_performance(model: MorphableModel, seconds: float) -> Clip:
    """The embedded person's speech and coefficients, all of them to learn from, as a clip without pictures.

    Args:
        model: The face model of the coefficients.
        seconds: How long they speak.
    """
    performance = perform(draw_person(EMBEDDED_SEED), model, seconds)
    frames = len(performance.chi)
    return Clip(
        folder=Path(),
        source=Path(EMBEDDED),
        source_sha256="",
        width=0,
        height=0,
        crop=Crop(0.0, 0.0, 1.0),
        training_frames=frames,
        split_note="",
        audio_offset=0,
        coefficients=performance.chi,
        landmarks=np.zeros((0, 468, 3), np.float32),
        confidence=np.ones(frames, np.float32),
        bridged=np.zeros(frames, bool),
        fit_error=np.zeros(frames, np.float32),
        mfcc=mfcc_windows(performance.speech.samples, frames),
        identity_features=np.zeros((0, 512), np.float32),
    )


def _parent(settings: dict[str, Any]) -> str | None:
    own, both = settings["init_from_audio2pose"], settings["init_from"]
    parent: str | None = (
        both if own in (None, GENERAL) else own
    )  # the general weights are fine-tuned here, not used as they are
    return parent


def _record(settings: dict[str, Any], folder: Path, portrait: Portrait) -> None:
    height, width = portrait.picture.shape[:2]
    provenance.record(folder, image_sha256=sha256(settings["data"]["image"]))
    face = settings["face"]
    facts = {"width": width, "height": height, FACE_VERSION: model_version(face["model"], face["model_file"])}
    with whole_file(folder / "preparation.json") as temporary:
        temporary.write_text(json.dumps(facts))
