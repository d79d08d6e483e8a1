"""General runs as a user starts them, on a corpus of a few seconds, with networks that learn nothing from it."""

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from datamodules.manifest import ManifestEntry, write_manifest
from evaluation.run_files import DONE
from experiments.callbacks import last_checkpoint
from experiments.general import offset_counts
from experiments.run import main
from face.models.registry import model_version
from media.digest import sha256
from tests.prepared_corpus import write_corpus

ROOT = Path(__file__).parents[1]
LENGTHS = {"train/anna/1": 20, "train/bert/1": 18, "val/cora/1": 19, "val/dora/1": 12}
SMALL = {
    "audio2pose": ["audio2pose.encoder_channels=4", "audio2pose.feature_size=8", "audio2pose.hidden_size=8"],
    "memory_gan": [
        *("memory_gan.channels=4", "memory_gan.full_channels=4", "memory_gan.levels=2", "memory_gan.memory_slots=6"),
        *("memory_gan.discriminator_channels=4", "memory_gan.discriminator_layers=1", "memory_gan.spatial_size=32"),
    ],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    prepared = tmp_path_factory.mktemp("corpus")
    entries = write_corpus(prepared, LENGTHS)
    flags = ("corrected", "in_step", "too_short", "too_short")
    write_manifest(prepared, [replace(entry, offset_flag=flag) for entry, flag in zip(entries, flags, strict=True)])
    return prepared


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """A run changes how this process takes signals and what its libraries say."""
    handler = signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        yield
    signal.signal(signal.SIGTERM, handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def arguments(stage: str, corpus: Path, place: Path, *more: str) -> list[str]:
    training = [f"fit.{stage}.epochs=1", f"fit.{stage}.batch_size=2", f"fit.{stage}.samples_per_epoch=4"]
    training += [f"fit.{stage}.workers=1", "trainer.accelerator=cpu", "wandb.mode=disabled", f"runs={place / 'runs'}"]
    if stage == "audio2pose":
        training.append("fit.audio2pose.collapse.after_epochs=0")
    given = [f"experiment={stage}_general", f"data.root={corpus}", "data.layout=prepared"]
    return [*given, *training, *SMALL[stage], *more]


def run_of(place: Path) -> Path:
    (folder,) = (path for path in (place / "runs").iterdir() if path.is_dir())
    return folder


def check_run(folder: Path, stage: str, corpus: Path, logged: tuple[str, ...]) -> None:
    """A finished run with two steps of a stage, values of its validation and what it learned from."""
    assert (folder / DONE).is_file()
    facts = json.loads((folder / "preparation.json").read_text())
    assert (facts["clips"], facts["speakers"], facts["frames"]) == (4, 4, sum(LENGTHS.values()))
    assert facts["offset_flags"] == "1 corrected, 1 in step, 2 too short"
    assert facts["manifest_sha256"] == sha256(corpus / "manifest.jsonl")
    state = torch.load(last_checkpoint(folder, stage), weights_only=True)
    assert (state["epoch"], int(state["state_dict"]["steps"])) == (0, 2)
    curves = (folder / f"logs/{stage}/metrics.csv").read_text()
    assert all(f"val/{name}" in curves for name in logged)
    assert (folder / "report.html").is_file()


LOGGED = {
    "audio2pose": ("loss", "loss_rolled", "expression_variance_ratio"),
    "memory_gan": ("psnr", "psnr_face", "ssim", "retrieval_accuracy"),
}


@pytest.mark.parametrize("stage", SMALL)
def test_a_general_run_trains_and_reports(corpus, tmp_path, stage):
    assert main(arguments(stage, corpus, tmp_path)) == 0
    check_run(run_of(tmp_path), stage, corpus, LOGGED[stage])


@pytest.mark.slow
@pytest.mark.parametrize("stage", SMALL)
def test_two_processes_make_the_same_run(corpus, tmp_path, stage):
    given = arguments(stage, corpus, tmp_path, "trainer=ddp", "trainer.devices=2")
    command = [sys.executable, "-m", "experiments.run", *given]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    check_run(run_of(tmp_path), stage, corpus, LOGGED[stage])


def test_a_run_belongs_to_the_manifest_it_began_with(tmp_path, capsys):
    entries = write_corpus(tmp_path / "corpus", LENGTHS, pictures=False)
    given = arguments("audio2pose", tmp_path / "corpus", tmp_path)
    assert main(given) == 0
    begun, folder = sha256(tmp_path / "corpus/manifest.jsonl"), run_of(tmp_path)
    (folder / DONE).unlink()
    assert main(given) == 0  # with the same it goes on
    (folder / DONE).unlink()
    write_manifest(tmp_path / "corpus", [replace(entries[0], speaker="emil"), *entries[1:]])
    capsys.readouterr()
    assert main(given) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    for part in (begun, sha256(tmp_path / "corpus/manifest.jsonl"), "data.prepared", "delete the run folder"):
        assert part in message
    assert json.loads((folder / "preparation.json").read_text())["manifest_sha256"] == begun
    (folder / "checkpoints/audio2pose/last.ckpt").unlink()  # nothing was learned: any corpus will do
    assert main(given) == 0


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("face_model", ["facemesh", "0" * 64], ["face_model facemesh 0000", f"facemesh {model_version()}"]),
        ("reconstruction", ["deep3d", "1" * 64], ["reconstruction deep3d 1111", "have closed_form"]),
        ("identity_encoder", "arcface", ["identity_encoder arcface", "have coefficients"]),
    ],
)
def test_a_corpus_prepared_otherwise_is_refused(tmp_path, capsys, key, value, parts):
    write_corpus(tmp_path / "corpus", LENGTHS, pictures=False)
    record = tmp_path / "corpus/preparation.json"
    fits = {"face_model": ["facemesh", model_version()], "reconstruction": "closed_form", "audio_offset": -3}
    record.write_text(json.dumps(fits | {key: value}))
    assert main(arguments("audio2pose", tmp_path / "corpus", tmp_path)) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert all(part in message for part in parts), message
    record.write_text(json.dumps(fits))  # an offset changes no meaning, and an old record may say less
    assert main(arguments("audio2pose", tmp_path / "corpus", tmp_path)) == 0


def test_what_nobody_recorded_is_counted_too():
    entry = ManifestEntry("a", "a", "train", "anna", None, 9, "", "", 0, None)
    assert offset_counts([entry, replace(entry, offset_flag="unclear")]) == "1 not recorded, 1 unclear"
