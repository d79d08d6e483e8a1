"""Files that appear complete or not at all."""

import os
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

from media.errors import InputError

# The names that `whole_file` gives. Numbers of processes repeat on another machine and in another container, so the
# machine stands before them; threads of one process have the same, so something drawn stands behind.
_UNFINISHED = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}(\.\w+)?")
_ABANDONED = 24 * 3600.0  # seconds, ours: what nothing was written to for so long is of no process, on any machine


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name to write to, in the same folder; at the end of the block it becomes `path` in one step.

    An exception in the block removes what was written and leaves an older `path` as it was. Missing folders are made.

    Args:
        path: The file to make or replace.

    Yields:
        The temporary file's path, with the same ending. It does not exist yet.

    Raises:
        InputError: If the folder cannot be written to or the disk is full.
    """
    path = Path(path)
    writer = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        # Other files used in the block name themselves; failed writes to an open file carry no name.
        if error.filename is not None and Path(error.filename) not in (temporary, path, *path.parents):
            raise
        what = (error.strerror or str(error)).rstrip(".")
        raise InputError(f"{path}: cannot be written ({what}); free space, or choose another folder.") from None
    finally:
        with suppress(OSError):  # where the folder itself is the trouble, the error above says so
            temporary.unlink(missing_ok=True)


def require_writable(folder: Path, setting: str) -> None:
    """Make a folder and try whether files can be written into it.

    Args:
        folder: The folder.
        setting: What names it, for the message.

    Raises:
        InputError: If it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise InputError(f"{setting}: cannot write into {folder} ({error.strerror}); choose another folder") from error


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of a `whole_file`, in a folder and those below it.

    What a process of this machine left goes at once; of those of other machines nobody here knows whether they live, so
    theirs goes a day after the last of it was written.

    Args:
        folder: The folder; need not be there.
    """
    for path in folder.rglob(".*"):
        name = _UNFINISHED.fullmatch(path.name)
        with suppress(FileNotFoundError):  # finished meanwhile
            if name and path.is_file() and _is_left(path, name["machine"], int(name["process"])):
                path.unlink()


def _machine() -> str:
    """Eight hexadecimal digits that stand for the name of this machine, or container."""
    return f"{crc32(socket.gethostname().encode()):08x}"


def _is_left(path: Path, machine: str, process: int) -> bool:
    if machine == _machine():
        return not _is_alive(process)
    return time.time() - path.stat().st_mtime > _ABANDONED


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True
