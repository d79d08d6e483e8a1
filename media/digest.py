"""What tells files apart whatever their names, and settings whatever their order: the sha256 of their bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any

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


def sha256_of_values(values: Any) -> str:
    """The sha256 of what JSON can say, in hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
