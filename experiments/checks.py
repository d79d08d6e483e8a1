"""What would end a run after minutes, found out before anything long is started."""

import math
import shutil
from pathlib import Path
from typing import Any

from evaluation.run_files import DONE
from experiments.devices import check_devices
from experiments.launch import process_count
from experiments.settings import EMBEDDED, GENERAL, PARENTS, existing_file
from face.licensed_files import require_basel, require_r_net
from media.errors import InputError
from media.whole_file import require_writable

NEEDED_GIGABYTES = 2.0  # ours: a prepared minute of video, two checkpoints with optimiser states, the videos
PHOTO_MODEL = "facemesh"  # whose landmarks are vertices: the mesh of a photo is cut along them


def check_machine(settings: dict[str, Any], folder: Path) -> None:
    """Find out in a moment what would otherwise end the run after minutes.

    Raises:
        InputError: For an unwritable folder, a full disk, a missing or unfit file, speech that cannot be read, an
            unfit `init_from`, or a batch that does not divide among the processes.
    """
    require_writable(folder, "runs")
    if settings["data"].get("cache"):
        require_writable(Path(settings["data"]["cache"]).expanduser(), "data.cache")
    free = shutil.disk_usage(folder).free / 2**30
    if free < NEEDED_GIGABYTES and not (folder / "checkpoints").exists():
        raise InputError(
            f"{folder}: {free:.1f} GB are free, a run needs {NEEDED_GIGABYTES:g} GB; make room or set runs=FOLDER"
        )
    for key in ("video", "image"):
        if settings["data"].get(key, EMBEDDED) != EMBEDDED:
            existing_file(f"data.{key}", settings["data"][key])
    _check_speech(settings)
    face = settings["face"]
    if face["model"] == "bfm":
        require_basel(face["model_file"])
    if face["reconstruction"] == "deep3d":
        require_r_net(face["reconstruction_file"], face["model"])
    if (interior := face["mouth_interior"]) != "black" and settings["data"]["kind"] != "personal":
        raise InputError(f"face.mouth_interior={interior} is of the video of one person alone; leave it black here")
    if face["identity_encoder"] == "arcface" and not face["identity_onnx"]:
        raise InputError("face.identity_encoder=arcface needs the network's file: add face.identity_onnx=FILE.onnx")
    if settings["memory_gan"]["spatial_encoder"] == "imagenet" and not settings["memory_gan"]["spatial_weights"]:
        raise InputError("memory_gan.spatial_encoder=imagenet needs ResNet-18: add memory_gan.spatial_weights=FILE.pth")
    check_devices(settings["trainer"])
    _check_parents(settings)
    _check_training(settings)
    _check_resnet(settings)


def check_photo(settings: dict[str, Any]) -> None:
    """Refuse a face model with which no photo speaks.

    Raises:
        InputError: If the run is of a photo and its face model another than the embedded one.
    """
    model = settings["face"]["model"]
    if settings["data"]["kind"] == "photo" and model != PHOTO_MODEL:
        raise InputError(
            f"experiment=photo: photos speak with face=facemesh alone, not with face={model}; leave it out"
        )


def _check_speech(settings: dict[str, Any]) -> None:
    """Read the sound and look at the place of its video, which are needed at the very end."""
    speech, output = settings["generate"]["audio"], settings["generate"]["output"]
    if not speech and not output:
        return
    from experiments.generate import readable_speech, require_output  # imports librosa

    if speech:
        readable_speech(existing_file("generate.audio", speech))
    if output:
        require_output(Path(output).expanduser(), "generate.output")


def _check_resnet(settings: dict[str, Any]) -> None:
    """Load the ResNet-18 of stage 2, which comes after stage 1."""
    chosen = settings["memory_gan"]
    if "memory_gan" not in settings["fit"] or chosen["spatial_encoder"] != "imagenet":
        return
    from lightning_modules.networks.spatial_encoder import SpatialEncoder  # imports torch

    try:
        SpatialEncoder("imagenet").load_imagenet(chosen["spatial_weights"])
    except ValueError as error:
        raise InputError(f"memory_gan.{error}") from None


def _check_parents(settings: dict[str, Any]) -> None:
    for key in PARENTS:
        parent = settings[key]
        if key == "init_from_audio2pose" and parent == GENERAL:
            from experiments.shipped import require_shipped_network  # imports torch

            require_shipped_network(settings)
        elif parent and not (Path(parent).expanduser() / DONE).is_file():
            raise InputError(f"{key}={parent} is not the folder of a finished run (it has no file {DONE})")


def _check_training(settings: dict[str, Any]) -> None:
    corpus = settings["data"]["kind"] == "corpus"
    if corpus and settings["audio2pose"]["kernel_weight"]:
        raise InputError("audio2pose.kernel_weight is of the video of one person alone; leave it 0 here")
    if any(("samples_per_epoch" in fit) != corpus for fit in settings["fit"].values()):
        right = "audio2pose_general or memory_gan_general" if corpus else "personal, demo or as_released"
        raise InputError(f"data.kind={settings['data']['kind']} is trained with other settings; choose fit={right}")
    if settings["data"]["kind"] == "personal":
        _check_lengths(settings)
    processes = process_count(settings)
    for stage, fit in settings["fit"].items():
        if fit["batch_size"] % processes:
            raise InputError(
                f"fit.{stage}.batch_size={fit['batch_size']} does not divide among {processes} processes; "
                f"add fit.{stage}.batch_size={processes * math.ceil(fit['batch_size'] / processes)}"
            )
    if processes > 1 and "audio2pose" in settings["fit"] and settings["audio2pose"]["normalisation"] == "batch":
        raise InputError("audio2pose.normalisation=batch would differ between processes: train in one, or use layer")


def _check_lengths(settings: dict[str, Any]) -> None:
    """A window has to fit into what is learned from, which validation shortens."""
    from media.video import FPS  # compiles loops

    learned = settings["data"]["train_seconds"] - settings["fit"]["audio2pose"]["validation_seconds"]
    window = settings["fit"]["audio2pose"]["window"]
    if round(learned * FPS) < window:
        raise InputError(
            f"data.train_seconds={settings['data']['train_seconds']:g} less fit.audio2pose.validation_seconds leave "
            f"{round(learned * FPS)} frames, less than fit.audio2pose.window={window}; change one of them"
        )
