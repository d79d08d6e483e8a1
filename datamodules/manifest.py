"""The list of a prepared corpus: one line a clip, all that is needed to choose clips without opening them."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from datamodules.audio_offset import OffsetFlag, offset_flag
from datamodules.clip import Clip
from datamodules.durable import write_synced
from datamodules.layouts import Source, Split
from media.errors import InputError

MANIFEST = "manifest.jsonl"
CLIP_FILES = ("arrays.npz", "clip.json", "crop.mp4", "sound.wav")  # of a clip of a corpus
_HASHED = ("arrays.npz", "crop.mp4", "sound.wav")  # what is learned from


@dataclass(frozen=True)
class ManifestEntry:
    """One prepared clip.

    Manifests of older versions lack `offset_estimate` and `offset_flag`, and their `sha256` leaves out the sound. They
    are read as they are; repeating the preparation writes them anew from the clips, and prepares none again.

    Attributes:
        name: Of the clip in its corpus.
        clip: Its folder, relative to the manifest's, with slashes.
        split: Part of the corpus.
        speaker: Who speaks.
        word: The word in its middle, None where the corpus is not one of words.
        frames: Number of frames.
        source_sha256: Of the video's bytes.
        sha256: Of the bytes of the clip's arrays, crop and sound.
        audio_offset: Frames by which its sound was moved.
        offset_confidence: How sure they are, None where they were given.
        offset_estimate: Frames that the estimate said, None where they were given.
        offset_flag: What `audio_offset.offset_flag` says of these; None where nobody recorded it.
    """

    name: str
    clip: str
    split: Split
    speaker: str
    word: str | None
    frames: int
    source_sha256: str
    sha256: str
    audio_offset: float
    offset_confidence: float | None
    offset_estimate: float | None = None
    offset_flag: OffsetFlag | None = None

    @classmethod
    def of(cls, source: Source, clip: Clip, prepared: Path) -> "ManifestEntry":
        """The entry of a clip that was prepared into the folder `prepared`."""
        digest = hashlib.sha256()
        for file in _HASHED:
            digest.update((clip.folder / file).read_bytes())
        return cls(
            name=source.name,
            clip=clip.folder.relative_to(prepared).as_posix(),
            split=source.split,
            speaker=source.speaker,
            word=source.word,
            frames=len(clip),
            source_sha256=clip.source_sha256,
            sha256=digest.hexdigest(),
            audio_offset=clip.audio_offset,
            offset_confidence=clip.offset_confidence,
            offset_estimate=clip.offset_estimate,
            offset_flag=offset_flag(
                clip.training_frames, clip.audio_offset, clip.offset_estimate, clip.offset_confidence
            ),
        )


def holds_clip(folder: Path) -> bool:
    """Whether all files of a clip of a corpus are there; what is in them is looked at when the clip is opened."""
    try:
        return set(CLIP_FILES) <= set(os.listdir(folder))  # one question of half a million folders, not four
    except OSError:
        return False


def write_manifest(prepared: Path, entries: Iterable[ManifestEntry]) -> Path:
    """Write `manifest.jsonl`, sorted by name; it appears complete or not at all.

    Args:
        prepared: Folder of the prepared corpus.
        entries: Its clips, in any order.

    Returns:
        The file.
    """
    path = prepared / MANIFEST
    lines = [json.dumps(asdict(entry)) for entry in sorted(entries, key=lambda entry: entry.name)]
    write_synced(path, "".join(f"{line}\n" for line in lines))
    return path


def read_manifest(prepared: Path) -> list[ManifestEntry]:
    """The clips of a prepared corpus, sorted by name.

    Args:
        prepared: Folder of the prepared corpus.

    Raises:
        InputError: If it has no manifest, or one that this version did not write.
    """
    path = prepared / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{prepared}: has no {MANIFEST}, so not every shard of the corpus is prepared; make it with "
            "python -m experiments.run experiment=prepare_lrw data.root=CORPUS"
        )
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entries.append(read_entry(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: line {number} is no clip ({error}); delete it and prepare again") from None
    return entries


def read_entry(facts: Mapping[str, object]) -> ManifestEntry:
    """An entry from what `asdict` made of it, in this or an older version.

    Raises:
        ValueError: If a field is missing or unknown.
    """
    needed = {field.name for field in fields(ManifestEntry) if field.default is MISSING}
    different = (needed - set(facts)) | (set(facts) - _FIELDS)
    if different:
        raise ValueError(f"fields that differ: {', '.join(sorted(different))}")
    return ManifestEntry(**facts)  # type: ignore[arg-type]


def is_current(facts: Mapping[str, object]) -> bool:
    """Whether an entry is of this version, and has all that can be known of its clip."""
    return set(facts) == _FIELDS


_FIELDS = {field.name for field in fields(ManifestEntry)}
