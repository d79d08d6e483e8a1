"""A clip in the making, which gets its name in one step."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media.errors import InputError


@contextmanager
def unfinished_clip(folder: Path, scratch: Path) -> Iterator[Path]:
    """An empty folder that becomes the clip's at the end of the block; after an exception nothing is left of it.

    Args:
        folder: Of the clip. If it holds a clip by then, another process was first, with the same result.
        scratch: Folder on the same file system for what is not finished; made if it is missing.

    Raises:
        InputError: If nothing can be written there.
    """
    unfinished = _scratch_folder(scratch)
    try:
        yield unfinished
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished.parent, ignore_errors=True)


def _scratch_folder(cache: Path) -> Path:
    """An empty folder in one of its own; what mkdtemp makes only its owner may read, so a clip lies one deeper."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".preparing-", dir=cache)) / "clip"
        scratch.mkdir()
        return scratch
    except OSError as error:
        raise InputError(
            f"{cache}: cannot be written ({error.strerror}); set data.cache (of a corpus: data.prepared) to a "
            "writable folder."
        ) from error


def _publish(scratch: Path, folder: Path) -> None:
    """Give the finished folder its name in one step; another process may have been first with the same result."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch, folder)
    except OSError:
        if not (folder / "clip.json").exists():
            raise
