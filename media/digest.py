"""What tells files apart whatever their names: the sha256 of their bytes."""

import hashlib
from pathlib import Path

from media.errors import InputError, reason


def sha256(path: str | Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal: the name of a file in run ids and caches.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}); check the path.") from None
