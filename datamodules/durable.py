"""Names that stand for nothing but what is whole on the disk, even after a power failure."""

import os
from pathlib import Path

from media.whole_file import whole_file


def sync_folder(folder: Path) -> None:
    """Have the files of a folder on the disk, and their names; to be called before the folder gets its own name.

    Args:
        folder: One without folders in it.

    Raises:
        OSError: If the disk is full or broken.
    """
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_synced(path: Path, text: str) -> None:
    """Write a text file that appears complete or not at all, its bytes on the disk before its name.

    Args:
        path: The file to make or replace; missing folders are made.
        text: Of the file, in UTF-8.

    Raises:
        InputError: If it cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
