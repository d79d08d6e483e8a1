import json
import platform
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import provenance
from experiments.settings import compose, run_id


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_start_records_code_machine_and_settings(tmp_path):
    settings = compose(["seed=5", "init_from=runs/fedcba9876"])
    provenance.record_start(tmp_path, settings, ["seed=5"])
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["run_id"] == run_id(settings)
    assert facts["parent_run"] == "fedcba9876"
    (start,) = facts["starts"]
    assert start["arguments"] == ["seed=5"]
    assert start["settings"] == settings
    assert start["python"] == platform.python_version()
    assert start["packages"]["numpy"] == np.__version__
    assert start["machine"]["cores"] >= 1
    assert (tmp_path / provenance.DIFFERENCE).exists() == start["uncommitted_changes"]


def test_a_resumed_run_has_two_starts_and_keeps_its_stages(tmp_path):
    settings = compose([])
    provenance.record_start(tmp_path, settings, [])
    with provenance.stage(tmp_path, "prepare"):
        time.sleep(0.05)
    with pytest.raises(KeyboardInterrupt), provenance.stage(tmp_path, "fit"):
        raise KeyboardInterrupt
    provenance.record_start(tmp_path, settings, [])
    provenance.record(tmp_path, video_sha256="ab", assets={"detector": "cd"})
    facts = provenance.read(tmp_path)
    assert len(facts["starts"]) == 2
    assert [(stage["name"], stage["outcome"]) for stage in facts["stages"]] == [
        ("prepare", "finished"),
        ("fit", "KeyboardInterrupt"),
    ]
    assert 0.05 <= facts["stages"][0]["seconds"] < 20
    assert (facts["video_sha256"], facts["assets"]) == ("ab", {"detector": "cd"})
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".json") == ["provenance.json"]


def test_code_state_is_commit_and_difference(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert provenance.code_state(tmp_path) == (commit, "")
    (tmp_path / "a.py").write_text("x = 2\n")
    (tmp_path / "b.py").write_text("y = 1\n")
    found, difference = provenance.code_state(tmp_path)
    assert found == commit
    assert "+x = 2" in difference
    assert "new file: b.py" in difference


def test_code_without_git_is_unknown(tmp_path, monkeypatch):
    assert provenance.code_state(tmp_path) == (None, "")
    monkeypatch.setenv("PATH", "")
    assert provenance.code_state(tmp_path) == (None, "")


def test_peak_memory_counts_what_was_allocated():
    code = (
        "import numpy, experiments.provenance as p; before = p.peak_memory(); block = numpy.ones(40_000_000); "
        "print(p.peak_memory() - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert grown == pytest.approx(320e6, rel=0.1)


def test_nothing_recorded_is_empty(tmp_path):
    assert provenance.read(tmp_path) == {}
