"""The list of all clips of a prepared corpus, one line of JSON each, sorted by name."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from media.errors import InputError
from media.whole_file import whole_file

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class ManifestEntry:
    """One clip.

    Attributes:
        name: Of the clip in its corpus, e.g. `ABOUT/train/ABOUT_00001`.
        clip: Its folder, relative to the manifest.
        split: `train`, `val` or `test`.
        speaker: Who speaks.
        word: What word the clip shows; None where the corpus has none.
        frames: Its length T.
        source_sha256: Of the video it was made from.
        sha256: Of the prepared clip.
        audio_offset: Frames by which its sound was moved.
        offset_confidence: How clear that offset was.
    """

    name: str
    clip: str
    split: str
    speaker: str
    word: str | None
    frames: int
    source_sha256: str
    sha256: str
    audio_offset: float
    offset_confidence: float | None


def write_manifest(prepared: Path, entries: Iterable[ManifestEntry]) -> Path:
    """Write the list of a prepared corpus."""
    path = Path(prepared) / MANIFEST
    lines = [json.dumps(asdict(entry)) + "\n" for entry in sorted(entries, key=lambda entry: entry.name)]
    with whole_file(path) as temporary:
        temporary.write_text("".join(lines))
    return path


def read_manifest(prepared: Path) -> list[ManifestEntry]:
    """Read the list of a prepared corpus.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    path = Path(prepared) / MANIFEST
    try:
        return [ManifestEntry(**json.loads(line)) for line in path.read_text().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is no list of prepared clips ({error}); prepare the corpus first.") from None
