import signal
import subprocess
import sys

import pytest
import yaml
from omegaconf import OmegaConf

from experiments import launch, run
from experiments.settings import CONFIGS
from tests.test_experiments_run import ROOT, WRITES, program

SWEEPS = sorted((CONFIGS / "wandb" / "sweeps").glob("*.yaml"))


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """Run a grid in this process, with cells that run the program above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    stages = "if settings['seed'] == 1: raise ValueError('seed 1 fails')\n" + WRITES
    starter = tmp_path / "starter.py"
    starter.write_text(program(stages))
    popen = subprocess.Popen

    def start(line, **keywords):
        assert line[:3] == [sys.executable, "-m", "experiments.run"]
        return popen([sys.executable, str(starter), *line[3:]], **keywords)

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    handler = signal.getsignal(signal.SIGTERM)
    yield run.main
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("parallel", [1, 3])
def test_grid_runs_every_cell_and_survives_a_failing_one(grid, tmp_path, capfd, parallel):
    assert grid(["seed=0,1,2", f"launch.parallel={parallel}"]) == 1
    output = capfd.readouterr().out
    table = [line.split() for line in output[output.rindex("run  ") :].splitlines()]
    assert table[0] == ["run", "seed", "state", "psnr"]
    assert [row[1] for row in table[1:]] == ["0", "1", "2"]
    assert [row[2] for row in table[1:]] == ["finished", "failed", "finished"]
    assert [row[-1] for row in table[1:]] == ["30", "1)", "32"]
    assert len(list(tmp_path.glob("runs/*/DONE"))) == 2
    assert grid(["seed=0,2"]) == 0
    again = capfd.readouterr().out
    assert again.count("finished before") == 3
    assert "working" not in again


def test_grid_with_a_wrong_cell_starts_nothing(grid, tmp_path, capsys):
    assert grid(["seed=0,x"]) == 2
    assert "seed=x" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep_command_composes(path, tmp_path, monkeypatch):
    """The command line that an agent would start, made by W&B's own code, for the ends of every parameter's range."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    (tmp_path / "video.mp4").write_bytes(b"video")
    monkeypatch.setenv("VIDEO", str(tmp_path / "video.mp4"))
    sweep = yaml.safe_load(path.read_text())
    names = set()
    for end in (0, -1):
        values = {key: {"value": choose(choice, end)} for key, choice in sweep["parameters"].items()}
        arguments = create_sweep_command_args({"args": values})["args_no_hyphens"]
        line = []
        for part in create_sweep_command(list(sweep["command"])):
            known = {"${env}": [], "${interpreter}": [sys.executable], "${args_no_hyphens}": arguments}
            line += known.get(part, [part])
        assert line[:3] == [sys.executable, "-m", "experiments.run"]
        done = subprocess.run([*line, "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        composed, _, name = done.stdout.rpartition("run id: ")
        for key, value in values.items():
            assert yaml_value(composed, key) == pytest.approx(value["value"]), key
        names.add(name)
    assert len(names) == 2


def test_there_is_a_sweep():
    assert SWEEPS


def choose(parameter, end):
    return parameter["values"][end] if "values" in parameter else parameter[("min", "max")[end]]


def yaml_value(text, key):
    return OmegaConf.select(OmegaConf.create(text), key)
