"""The whole path on a few seconds of the embedded person, killed on the way, as a user would run it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datamodules.clip import Clip
from experiments import stages
from media.audio import write_wav
from media.video import probe, read_frames

ROOT = Path(__file__).parents[1]
SMALL = [
    "experiment=demo",
    "data.embedded_seconds=9",
    "data.train_seconds=4",
    "data.heldout_seconds=2",
    "fit.audio2pose.epochs=2",
    "fit.memory_gan.epochs=2",
    "fit.memory_gan.batch_size=5",
    "memory_gan.channels=4",
    "memory_gan.full_channels=4",
    "memory_gan.discriminator_channels=4",
    "wandb.mode=disabled",
]
pytestmark = pytest.mark.timeout(900)


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def arguments(place) -> list[str]:
    return [*SMALL, f"runs={place / 'runs'}", f"data.cache={place / 'cache'}"]


@pytest.fixture(scope="module")
def run(place, arguments) -> Path:
    """A run that was killed with SIGKILL in its second stage and then repeated to its end."""
    with (place / "first.txt").open("w") as output:
        process = subprocess.Popen(command("experiments.run", *arguments), cwd=ROOT, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 400
            while not list(place.glob("runs/*/checkpoints/memory_gan/last.ckpt")):
                assert process.poll() is None, (place / "first.txt").read_text()
                assert time.monotonic() < deadline, (place / "first.txt").read_text()
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
    with (place / "second.txt").open("w") as output:
        again = subprocess.run(command("experiments.run", *arguments), cwd=ROOT, stdout=output, stderr=output)
    assert again.returncode == 0, (place / "second.txt").read_text()
    (folder,) = (place / "runs").iterdir()
    return folder


def test_finished_work_is_not_done_again(run, place):
    text = (place / "second.txt").read_text()
    assert "tracking" not in text
    assert "audio2pose, epoch" not in text
    assert "memory_gan, epoch 2/2" in text
    rows = list(csv.DictReader((run / "logs" / "memory_gan" / "metrics.csv").open()))
    epochs = [row["epoch"] for row in rows if row["val/psnr"]]
    assert [float(epoch) for epoch in epochs] == [0, 1]


def test_everything_a_run_promises_is_there(run):
    assert (run / "DONE").exists()
    table = list(csv.DictReader((run / "scores.csv").open()))
    assert [row["name"] for row in table] == ["audio", "static", "shuffled", "true_coefficients", "truth"]
    truth = table[-1]
    assert (float(truth["psnr"]), float(truth["lmd_iod"]), float(truth["hs"])) == (100, 0, 1)
    for row in table[:-1]:
        assert 15 < float(row["psnr"]) < 60
    report = (run / "report.html").read_text()
    assert "data:video/mp4;base64," in report
    for name in ("settings.yaml", "provenance.json", "preparation.json", "poses.npz"):
        assert (run / name).stat().st_size > 0
    text = (run.parents[1] / "second.txt").read_text()
    assert "report.html" in text
    assert "heldout.mp4" in text


def test_a_finished_run_only_tells_its_result(run, arguments):
    start = time.monotonic()
    done = subprocess.run(command("experiments.run", *arguments), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "is finished" in done.stdout
    assert "audio" in done.stdout
    assert time.monotonic() - start < 60


def test_generating_the_heldout_sound_gives_the_heldout_video(run, tmp_path):
    clip = Clip.load(json.loads((run / "preparation.json").read_text())["clip"])
    part = slice(clip.training_frames, clip.training_frames + 50)
    write_wav(tmp_path / "speech.wav", clip.sound(part))
    made = command(
        "experiments.generate", f"run={run}", f"audio={tmp_path / 'speech.wav'}", f"output={tmp_path / 'o.mp4'}"
    )
    done = subprocess.run(made, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made_again, first = read_frames(tmp_path / "o.mp4"), read_frames(run / "videos" / "heldout.mp4")
    assert made_again.shape == first.shape == (50, clip.height, clip.width, 3)
    # the sound went through 16 bits on its way
    assert np.abs(made_again.astype(int) - first).mean() < 0.5
    assert probe(tmp_path / "o.mp4").has_audio


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["audio={speech}", "output={out}"], "run"),
        (["run={nowhere}", "audio={speech}", "output={out}"], "settings.yaml"),
        (["run={run}", "audio={nowhere}", "output={out}"], "does not exist"),
        (["run={run}", "audio={silence}", "output={out}"], "silent"),
    ],
)
def test_generate_refuses_in_one_line(run, tmp_path, given, message):
    write_wav(tmp_path / "speech.wav", np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32))
    write_wav(tmp_path / "silence.wav", np.zeros(16000, np.float32))
    places = {
        "speech": tmp_path / "speech.wav",
        "silence": tmp_path / "silence.wav",
        "out": tmp_path / "out.mp4",
        "run": run,
        "nowhere": tmp_path / "nowhere",
    }
    arguments = [argument.format(**places) for argument in given]
    done = subprocess.run(command("experiments.generate", *arguments), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out.mp4").exists()


def test_one_more_video_scores_nothing_again(tmp_path, monkeypatch):
    """A finished run that speaks once more, in parts that only note that they were called."""
    called = []
    monkeypatch.setattr(stages, "load_talker", lambda *_: None)
    monkeypatch.setattr(stages, "scored_part", lambda *_: slice(0, 1))
    monkeypatch.setattr(stages, "is_scored", lambda *_: True)
    for name in ("write_rows", "speak", "write_poses", "score_rows", "speech_video", "write_report"):
        monkeypatch.setattr(stages, name, lambda *_, name=name, **__: called.append(name))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / stages.HELDOUT_VIDEO).touch()
    (tmp_path / "poses.npz").touch()
    stages._generate_and_score({"generate": {"audio": "speech.wav"}}, tmp_path, SimpleNamespace())
    assert called == ["write_rows", "speech_video", "write_report"]
