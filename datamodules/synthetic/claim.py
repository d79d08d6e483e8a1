"""Whose a folder of embedded clips is: noted in it, so that those of two corpora are never mixed."""

import json
from collections.abc import Mapping
from pathlib import Path

from media.errors import InputError
from media.whole_file import whole_file

_RECORD = "corpus.json"


def claim(folder: Path, corpus: Mapping[str, str | float], occupied: bool) -> None:
    """Note in a folder which corpus it holds, or refuse it.

    Args:
        folder: Of the corpus; made where it is missing.
        corpus: What decides every byte of a clip.
        occupied: Whether clips are there. Without any the folder is free, whatever its note says.

    Raises:
        InputError: If the clips are of another corpus or of an unknown one, or the folder cannot be written.
    """
    record, note = folder / _RECORD, json.dumps(dict(corpus)) + "\n"
    known = record.read_text(encoding="utf-8") if record.is_file() else ""
    if occupied and known != note:
        what = f"the corpus {known.strip()}" if known else f"another corpus (without {_RECORD})"
        raise InputError(
            f"{folder}: holds {what}, not {note.strip()}; choose another folder, or the same numbers to go on"
        )
    with whole_file(record) as temporary:
        temporary.write_text(note, encoding="utf-8")
