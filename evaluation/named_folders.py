"""Folders that a command line names, such as `--method NAME=FOLDER`."""

from collections.abc import Sequence
from pathlib import Path

from media.errors import InputError


def named_folders(option: str, values: Sequence[str]) -> dict[str, Path]:
    """Read what was given for an option, every time it was.

    Args:
        option: Its name, for messages.
        values: `NAME=FOLDER`.

    Returns:
        Name -> folder.

    Raises:
        InputError: If a value has another form, or a name is there twice.
    """
    named: dict[str, Path] = {}
    for value in values:
        name, equals, folder = value.partition("=")
        if not (name and equals and folder):
            raise InputError(f"{option} {value}: expected NAME=FOLDER.")
        if name in named:
            raise InputError(f"{option} {name}: given twice; give every name once.")
        named[name] = Path(folder)
    return named
