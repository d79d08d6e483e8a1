import socket
from functools import partial

import pytest

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install -e ".[ray]"')

from datamodules.prepare_corpus import prepare_corpus  # noqa: E402
from datamodules.ray_workers import RayWorkers  # noqa: E402
from media.errors import InputError  # noqa: E402
from tests.talking_photos import bytes_of, write_corpus  # noqa: E402
from tests.worker_tasks import die_at_two, killed_once, lose, refuse_three, square  # noqa: E402

pytestmark = pytest.mark.slow  # a cluster takes 10 s to start, and each of its workers 5 s


@pytest.fixture(scope="module")
def workers():
    yield RayWorkers(2)
    ray.shutdown()


def test_every_item_is_done_once(workers):
    assert sorted(workers(square, range(40), lose)) == [number**2 for number in range(40)]


def test_what_kills_every_worker_is_given_up(workers):
    results = sorted(map(str, workers(die_at_two, range(4), lose)))
    assert results == ["0", "1", "2: WorkerCrashedError", "3"]


def test_an_error_ends_everything(workers):
    with pytest.raises(ValueError, match="three"):
        list(workers(refuse_three, range(100), lose))


def test_an_address_where_nothing_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:  # and does not listen
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(InputError, match=f"no Ray cluster at 127.0.0.1:{port} .*RAY_ADDRESS"):
            RayWorkers()


def test_one_worker_killed_gives_the_same_bytes(workers, tmp_path):
    def disturbed(work, items, lost):
        return workers(partial(killed_once, tmp_path / "killed", 0.2, work), items, lost)

    root = write_corpus(tmp_path / "corpus")
    prepared = prepare_corpus(root, tmp_path / "disturbed", workers=disturbed)
    assert (tmp_path / "killed").exists()
    assert bytes_of(prepared) == bytes_of(prepare_corpus(root, tmp_path / "undisturbed"))
