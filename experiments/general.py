"""A run on a corpus of many people: prepare what is missing, train one stage, report.

A run on a person then starts from it: `init_from=RUN` takes over the stage that the run has.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from datamodules.lrw import LRWDataModule
from datamodules.manifest import MANIFEST, ManifestEntry, read_manifest
from datamodules.sound_augmentation import SoundAugmentation
from experiments import provenance, tracking
from experiments.callbacks import last_checkpoint
from experiments.corpus import prepare, prepared_folder
from experiments.fit import fit_stage, is_finished, make_audio2pose, make_memory_gan
from experiments.launch import is_first_process
from experiments.person import FACE_VERSION, require_same_face
from experiments.report import write_report
from face.models.registry import load_face_model, model_version
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from media.digest import sha256
from media.errors import InputError
from media.whole_file import whole_file


def run_general(settings: dict[str, Any], folder: Path, wandb_run: Any | None = None) -> None:
    """Take a general run to its end.

    Args:
        settings: Resolved settings of the run; `fit` has the one stage that is trained.
        folder: The run folder.
        wandb_run: From `tracking.start_wandb`.

    Raises:
        InputError: If the corpus or a setting cannot be used, or the training collapses.
    """
    require_same_face(folder, settings)
    (stage,) = settings["fit"]
    if is_first_process():
        with provenance.stage(folder, "prepare"):
            _record(settings, folder, prepare(settings))
    else:
        _wait_for_record(settings, folder)
    with provenance.stage(folder, f"fit {stage}"):
        fit_general(settings, folder, stage, wandb_run)
    if is_first_process():
        write_report(folder)
        tracking.log_results(wandb_run, folder)


def fit_general(settings: dict[str, Any], folder: Path, stage: str, wandb_run: Any | None = None) -> None:
    """Train one stage on the prepared corpus of a run; the result is the stage's last checkpoint."""
    fit, face = settings["fit"][stage], settings["face"]
    if is_finished(folder, stage, fit["epochs"]):
        return
    pl.seed_everything(settings["seed"], workers=True, verbose=False)
    speech = {name: fit[name] for name in ("window", "centre_clips") if name in fit}  # of audio2pose alone
    if fit.get("augmentation", {}).get("probability"):
        speech["augmentation"] = SoundAugmentation(**fit["augmentation"])
    data = LRWDataModule(
        prepared_folder(settings),
        stage,  # type: ignore[arg-type]
        batch_size=fit["batch_size"],
        workers=fit["workers"],
        albedo=face["albedo"],
        rasterizer=face["rasterizer"],
        face_model=face["model"],
        face_model_file=face["model_file"],
        unclear_offset=settings["data"]["unclear_offset"],
        samples_per_epoch=fit["samples_per_epoch"] or None,
        seed=settings["seed"],
        **speech,
    )
    if stage == "audio2pose":
        model = load_face_model(face["model"], face["model_file"])
        module: Audio2PoseLSTM | MemoryGAN = make_audio2pose(settings, model, data.statistics())
    else:
        module = make_memory_gan(settings)
    fit_stage(module, data, stage, settings, folder, wandb_run)


def _record(settings: dict[str, Any], folder: Path, prepared: Path) -> None:
    """Tell the report, later starts and the other processes what is learned from.

    Raises:
        InputError: If the run has learned from another manifest.
    """
    entries, manifest_sha256 = read_manifest(prepared), sha256(prepared / MANIFEST)
    _require_same_manifest(settings, folder, prepared, manifest_sha256)
    face = settings["face"]
    facts = {
        "prepared": str(prepared),
        "manifest_sha256": manifest_sha256,
        FACE_VERSION: model_version(face["model"], face["model_file"]),
        "clips": len(entries),
        "speakers": len({entry.speaker for entry in entries}),
        "frames": sum(entry.frames for entry in entries),
        "offset_flags": offset_counts(entries),
    }
    with whole_file(folder / "preparation.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1))
    provenance.record(folder, manifest_sha256=facts["manifest_sha256"])


def offset_counts(entries: Iterable[ManifestEntry]) -> str:
    """What is known of sound and picture of the clips of a corpus, such as `2 corrected, 40 in step, 3 too short`."""
    counts = Counter(entry.offset_flag or "not recorded" for entry in entries)
    return ", ".join(f"{count} {flag.replace('_', ' ')}" for flag, count in sorted(counts.items()))


def _require_same_manifest(settings: dict[str, Any], folder: Path, prepared: Path, found: str) -> None:
    """Refuse to go on with a training on clips that are not those it began with."""
    record = folder / "preparation.json"
    if not record.is_file() or not any(last_checkpoint(folder, stage) for stage in settings["fit"]):
        return
    begun = json.loads(record.read_text())["manifest_sha256"]
    if begun != found:
        raise InputError(
            f"{folder}: was trained on the corpus whose {MANIFEST} has the sha256 {begun}, but that of {prepared} has "
            f"{found}; give back the corpus it began with (data.prepared), or delete the run folder to train anew"
        )


def _wait_for_record(settings: dict[str, Any], folder: Path) -> None:
    """Let the first process prepare; what an earlier start recorded holds as long as the manifest is the same."""
    record, manifest = folder / "preparation.json", prepared_folder(settings) / MANIFEST
    while not (record.is_file() and manifest.is_file() and _records(record, manifest)):
        time.sleep(1)


def _records(record: Path, manifest: Path) -> bool:
    recorded: bool = json.loads(record.read_text()).get("manifest_sha256") == sha256(manifest)
    return recorded
