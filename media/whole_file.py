"""Files that appear complete or not at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from media.errors import InputError

_UNFINISHED = re.compile(r"\..+\.(\d+)(\.\w+)?")  # the names that `whole_file` gives, with the number of the process


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
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
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

    Args:
        folder: The folder; need not be there.
    """
    for path in folder.rglob(".*"):
        name = _UNFINISHED.fullmatch(path.name)
        if name and path.is_file() and not _is_alive(int(name[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True
