import os

import pytest

from media.errors import InputError
from media.whole_file import remove_unfinished, require_writable, whole_file


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    place = tmp_path / "speech"
    with whole_file(place / "said.v2.mp4") as temporary:
        temporary.touch()
        of_a_dead_one = place / temporary.name.replace(str(os.getpid()), "999999999")
        of_a_dead_one.touch()
        others = [place / name for name in (".keep", ".v.mp4", "said.999999999.mp4", ".999999999")]
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
