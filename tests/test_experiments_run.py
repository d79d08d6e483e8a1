import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import provenance
from experiments.settings import compose, load_settings, run_id
from lightning_modules.networks.resnet import ResNet18
from media.audio import write_wav
from media.digest import sha256
from media.whole_file import whole_file

ROOT = Path(__file__).parents[1]

# A program like `python -m experiments.run`, with stages that take no time, or the time that a test needs.
PROGRAM = """
import sys, time, types
from pathlib import Path
stages = types.ModuleType("experiments.stages")
def run_stages(settings, folder):
{stages}
stages.run_stages = run_stages
sys.modules["experiments.stages"] = stages
from experiments import run
sys.exit(run.main(sys.argv[1:]))
"""
WRITES = 'print("working"); (folder / "scores.csv").write_text(f"row,psnr\\naudio,{30 + settings[\'seed\']}\\n")'
WAITS = '(folder / "started").touch(); time.sleep(300)'


def program(stages, imports=""):
    return imports + PROGRAM.format(stages=textwrap.indent(textwrap.dedent(stages), "    "))


def command(*arguments, stages=WRITES, imports=""):
    return [sys.executable, "-c", program(stages, imports), *arguments]


def run(tmp_path, *arguments, stages=WRITES):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*arguments, stages=stages), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )


def write_speech(path, loudness=0.1):
    write_wav(path, np.random.default_rng(0).normal(0, loudness, 16000).astype(np.float32))


def refusal(tmp_path, *arguments):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "working" not in done.stdout
    return done.stderr


def test_a_run_leaves_settings_provenance_and_done(tmp_path):
    done = run(tmp_path, "seed=3")
    assert done.returncode == 0, done.stderr
    name = run_id(compose(["seed=3"]))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [name]
    folder = tmp_path / "runs" / name
    assert load_settings(folder) == compose(["seed=3"])
    assert {"DONE", "provenance.json", "settings.yaml"} <= {path.name for path in folder.iterdir()}
    assert f"run {name} (new), experiment demo" in done.stdout
    assert "seed = 3  (default 0)" in done.stdout
    again = run(tmp_path, "seed=3")
    assert again.returncode == 0
    assert "is finished" in again.stdout
    assert "working" not in again.stdout
    assert "33.00" in again.stdout  # the score table is shown again


def test_an_extra_speech_reopens_a_finished_run(tmp_path):
    write_speech(tmp_path / "speech.wav")
    assert run(tmp_path).returncode == 0
    done = run(tmp_path, "generate.audio=speech.wav")
    assert "(continued)" in done.stdout
    assert "working" in done.stdout
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_refused_input_of_the_stages_is_one_line(tmp_path):
    stages = "from media.errors import InputError; raise InputError('v.mp4: no face in frame 7 (0.28 s); crop it')"
    done = run(tmp_path, stages=stages)
    assert (done.returncode, done.stderr) == (2, "error: v.mp4: no face in frame 7 (0.28 s); crop it\n")
    assert not list(tmp_path.glob("runs/*/DONE"))


def test_full_disk_is_one_line(tmp_path):
    done = run(tmp_path, stages="import errno; raise OSError(errno.ENOSPC, 'No space left', 'x.mp4')")
    assert done.returncode == 2
    assert done.stderr == "error: x.mp4: the disk is full; make room and repeat the command\n"


def test_a_defect_is_not_hidden(tmp_path):
    done = run(tmp_path, stages="raise KeyError('oops')")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["experiment=personal"], ["data.video=VIDEO"]),
        (["experiment=personal", "data.video=nowhere.mp4"], ["data.video", "nowhere.mp4", "does not exist"]),
        (["seeed=1"], ["'seeed'", "'seed'"]),
        (["generate.audio=nowhere.wav"], ["generate.audio", "does not exist"]),
        (["init_from=runs/none"], ["init_from=runs/none", "finished run"]),
        (["runs=a_file/runs"], ["runs", "cannot write"]),
        (["init_from_memory_gan=runs/none"], ["init_from_memory_gan=runs/none", "finished run"]),
        (
            ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=3"],
            ["fit.audio2pose.batch_size=16", "3 processes", "batch_size=18"],
        ),
        (["fit=audio2pose_general"], ["data.kind=personal", "fit=personal"]),
        (["data.cache=a_file"], ["data.cache", "cannot write"]),
        (["generate.output=a_file/x.mp4"], ["generate.output", "cannot write"]),
        (["face.identity_encoder=arcface"], ["face.identity_onnx=FILE.onnx"]),
        (["experiment=memory_gan_general", "data.root=.", "face.mouth_interior=filmed"], ["one person", "black"]),
        (
            ["experiment=memory_gan_general", "data.root=.", "face.mouth_interior=dimmed"],
            ["dimmed", "one person", "black"],
        ),
        (
            ["experiment=audio2pose_general", "data.root=.", "audio2pose.kernel_weight=0.5"],
            ["kernel_weight", "one person"],
        ),
        (["data.identity_feature=mean"], ["data.identity_feature=mean", "person"]),
        (["face=bfm"], ["face.model_file=", "faces.dmi.unibas.ch"]),
        (["face=bfm", "face.model_file=nowhere.mat"], ["face.model_file: nowhere.mat", "faces.dmi.unibas.ch"]),
        (["face.reconstruction=deep3d"], ["not of facemesh", "face=bfm"]),
        (["memory_gan.spatial_encoder=imagenet"], ["memory_gan.spatial_weights=FILE.pth"]),
        (["memory_gan.spatial_encoder=imagenet", "memory_gan.spatial_weights=noise.bin"], ["noise.bin", "resnet18"]),
        (["generate.audio=noise.bin"], ["noise.bin", "no video or sound file"]),
        (["generate.audio=silence.wav"], ["silence.wav", "silent"]),
        (["generate.output=x.avi"], ["generate.output", "x.avi", ".mp4"]),
        (["generate.output=a_folder.mp4"], ["generate.output", "is a folder"]),
        (["experiment=photo", "data.image=noise.bin", "generate.audio=silence.wav"], ["silence.wav", "silent"]),
        (
            ["experiment=photo", "data.image=x", "generate.audio=x", "face=bfm", "face.model_file=nowhere.mat"],
            ["experiment=photo", "face=facemesh"],
        ),
    ],
)
def test_refused_before_the_long_work(tmp_path, arguments, parts):
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder.mp4").mkdir()
    (tmp_path / "noise.bin").write_bytes(b"no network, no sound" * 50)
    write_speech(tmp_path / "silence.wav", loudness=0)
    message = refusal(tmp_path, *arguments)
    for part in parts:
        assert part in message, message


def test_typos_are_answered_at_once():
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "experiments.run", "trainer.thread=2"],
        cwd=ROOT, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 2
    assert time.monotonic() - started < 20  # 0.3 s on an idle machine
    assert "torch" not in {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}


def test_the_users_network_is_recorded(tmp_path):
    torch.save(ResNet18().state_dict(), tmp_path / "resnet18.pth")
    done = run(tmp_path, "memory_gan.spatial_encoder=imagenet", "memory_gan.spatial_weights=resnet18.pth")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    digest = sha256(tmp_path / "resnet18.pth")
    assert provenance.read(folder)["files_sha256"] == {"memory_gan.spatial_weights": digest}


def test_what_a_killed_writer_left_is_removed(tmp_path):
    assert run(tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    with whole_file(folder / "videos" / "speech" / "hello.mp4") as temporary:
        left = temporary.with_name(temporary.name.replace(f"-{os.getpid()}-", "-999999999-"))
        left.touch()
        temporary.touch()
    write_speech(tmp_path / "speech.wav")
    done = run(tmp_path, "generate.audio=speech.wav")
    assert done.returncode == 0, done.stderr
    assert not left.exists()


def test_disk_space_is_checked(tmp_path, monkeypatch):
    from experiments.checks import check_machine
    from media.errors import InputError

    usage = type("Usage", (), {"free": 0.5 * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match=r"0\.5 GB are free"):
        check_machine(compose([]), tmp_path / "run")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_run_says_how_to_resume(tmp_path, number, status):
    process = start(tmp_path, "seed=1")
    process.send_signal(number)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == status
    assert "python -m experiments.run seed=1" in errors
    assert "Traceback" not in errors
    assert "(continued)" in run(tmp_path, "seed=1").stdout


def test_stopped_in_the_middle_of_training(tmp_path):
    """Lightning has a way of its own with interrupts; the last finished epoch and the message survive it."""
    training = """
        import threading
        from tests.test_experiments_callbacks import fit
        place = folder / "checkpoints/audio2pose/last.ckpt"
        wait = lambda: [time.sleep(0.02) for _ in iter(place.exists, True)] and (folder / "started").touch()
        threading.Thread(target=wait, daemon=True).start()
        fit(folder, 1000, 0.02)
    """
    process = start(tmp_path, stages=training, imports="import pytorch_lightning")
    process.terminate()
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 143, errors
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    assert "GPU available" not in output + errors
    assert [path.name for path in tmp_path.glob("runs/*/checkpoints/audio2pose/*")] == ["last.ckpt"]


def test_a_run_is_not_computed_twice_at_once(tmp_path):
    process = start(tmp_path)
    try:
        assert "another process" in refusal(tmp_path)
        assert run(tmp_path, "seed=9").returncode == 0  # another run may
    finally:
        process.kill()
        process.communicate()
    assert run(tmp_path).returncode == 0  # the lock goes with the process


def start(tmp_path, *arguments, stages=WAITS, imports=""):
    process = subprocess.Popen(
        command(*arguments, stages=stages, imports=imports), cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # tests started in the background of a shell ignore Ctrl-C, and so would their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("runs/*/started")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process


def test_processes_beside_the_first_are_silent_and_do_not_lock(tmp_path, monkeypatch):
    process = start(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "1")
    try:
        done = run(tmp_path, stages="pass")
        assert (done.returncode, done.stdout) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_help_is_short_and_names_the_experiments():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 27  # fits a terminal with what it prints around it
    assert max(map(len, lines)) <= 100
    for part in ("data.video=VIDEO", "seed=0,1,2", "--dry-run", "demo", "personal"):
        assert part in done.stdout
