import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from datamodules.prepare_corpus import prepare_corpus
from datamodules.workers import ATTEMPTS, LocalWorkers, in_this_process
from datamodules.workers import _start as start
from tests.talking_photos import bytes_of, write_corpus
from tests.worker_tasks import die_at_two, killed_once, lose, refuse_three, square

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory) -> dict[str, str]:
    return bytes_of(prepare_corpus(root, tmp_path_factory.mktemp("prepared")))


@pytest.mark.parametrize("workers", [in_this_process, LocalWorkers(2)], ids=["here", "local"])
def test_every_item_is_done_once(workers):
    assert sorted(workers(square, range(20), lose)) == [number**2 for number in range(20)]
    assert list(workers(square, [], lose)) == []


def test_no_more_processes_than_there_is_work_for(monkeypatch):
    started = []
    monkeypatch.setattr("datamodules.workers._start", lambda work: started.append(work) or start(work))
    assert sorted(LocalWorkers(8)(square, range(2), lose)) == [0, 1]
    assert len(started) == 2


def test_what_kills_every_worker_is_given_up():
    results = list(LocalWorkers(1)(die_at_two, range(4), lose))
    assert sorted(map(str, results)) == ["0", "1", f"2: signal {signal.SIGKILL.value}", "3"]
    assert ATTEMPTS == 3


def test_an_error_ends_everything():
    with pytest.raises(ValueError, match="three"):
        list(LocalWorkers(2)(refuse_three, range(10_000), lose))


def test_two_processes_one_of_them_killed_give_the_same_bytes(root, undisturbed, tmp_path):
    def workers(work, items, lost):
        return LocalWorkers(2)(partial(killed_once, tmp_path / "killed", 0.2, work), items, lost)

    assert bytes_of(prepare_corpus(root, tmp_path / "prepared", workers=workers)) == undisturbed
    assert (tmp_path / "killed").exists()


PROGRAM = "import sys; from datamodules.prepare_corpus import prepare_corpus; prepare_corpus(*sys.argv[1:])"


def stopped_and_continued(command: list[str], prepared: Path, moments: list[float]) -> str:
    """Run a command, kill it some seconds after it has begun with the clips, again and again; then let it finish."""
    for moment in moments:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not list(prepared.glob("unfinished/*/*")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moment)
        process.kill()
        process.communicate()
        # what is left may be done before the moment has come, but never at the first time
        assert process.returncode == -signal.SIGKILL or (process.returncode == 0 and moment != moments[0])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_at_a_random_moment_it_goes_on(root, undisturbed, tmp_path):
    moment = np.random.default_rng().uniform(0, 0.5)
    stopped_and_continued([sys.executable, "-c", PROGRAM, str(root), str(tmp_path)], tmp_path, [moment])
    assert bytes_of(tmp_path) == undisturbed, moment


@pytest.mark.slow
def test_killed_again_and_again_it_goes_on(root, undisturbed, tmp_path):
    moments = np.random.default_rng().uniform(0, 0.5, 4).tolist()
    command = [sys.executable, "-m", "experiments.run", "experiment=prepare_lrw", f"data.root={root}"]
    command += [f"data.prepared={tmp_path}", "launch.processes=2"]
    output = stopped_and_continued(command, tmp_path, moments)
    assert f"manifest: {tmp_path / 'manifest.jsonl'}" in output
    assert bytes_of(tmp_path) == undisturbed, moments
