import os
import time

import pytest

from media import whole_file as module
from media.errors import InputError
from media.whole_file import remove_unfinished, require_writable, whole_file


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    place = tmp_path / "speech"
    with whole_file(place / "said.v2.mp4") as temporary:
        temporary.touch()
        of_a_dead_one = place / temporary.name.replace(f"-{os.getpid()}-", "-999999999-")
        of_a_dead_one.touch()
        others = [place / name for name in (".keep", ".v.mp4", of_a_dead_one.name[1:], ".999999999")]
        for path in others:
            path.touch()
        remove_unfinished(tmp_path)
        assert not of_a_dead_one.exists()
        assert temporary.exists()  # this process is still writing it
    assert all(path.exists() for path in (*others, place / "said.v2.mp4"))
    remove_unfinished(tmp_path / "nowhere")


def test_an_unwritable_folder_is_named(tmp_path):
    require_writable(tmp_path / "new" / "folder", "runs")
    assert not list((tmp_path / "new" / "folder").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^runs: cannot write into .*file/folder \("):
        require_writable(tmp_path / "file" / "folder", "runs")


def test_what_another_machine_writes_is_left_alone_for_a_day(tmp_path, monkeypatch):
    with whole_file(tmp_path / "said.mp4") as temporary:
        temporary.touch()
        monkeypatch.setattr(module.socket, "gethostname", lambda: "another")
        monkeypatch.setattr(module.os, "kill", lambda *_: pytest.fail("its number means another process here"))
        remove_unfinished(tmp_path)
        assert temporary.exists()
        yesterday = time.time() - 25 * 3600
        os.utime(temporary, (yesterday, yesterday))
        remove_unfinished(tmp_path)
        assert not temporary.exists()
        temporary.touch()


def test_two_threads_that_write_one_file_do_not_meet(tmp_path):
    with whole_file(tmp_path / "a.txt") as first, whole_file(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # whose block ends last
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
