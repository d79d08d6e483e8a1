"""How corpora of talking clips lie on disk: which clips there are, who speaks in them, which split they belong to."""

import csv
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from media.endings import VIDEO_ENDINGS
from media.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

LRW_FOLDER = "lipread_mp4"  # of the official archive
SPEAKERS = "speakers.csv"  # beside the words where speakers are known, as in the embedded corpus; LRW has none
_VIDEOS = VIDEO_ENDINGS - {".gif"}  # which has no sound to learn from
_TRAIN, _VAL = 0.8, 0.9  # ours: shares of speakers up to which a number in [0, 1) means train, val; else test


@dataclass(frozen=True)
class Source:
    """One clip of a corpus, as it was recorded.

    Attributes:
        name: Of the clip in the corpus, with slashes; no other has it.
        path: The video.
        split: Part of the corpus.
        speaker: Who speaks; clips of one person have the same.
        word: The word in the middle of the clip, None where the corpus is not one of words.
    """

    name: str
    path: Path
    split: Split
    speaker: str
    word: str | None


def read_lrw(root: Path) -> list[Source]:
    """The clips of LRW's official layout, `lipread_mp4/WORD/{train,val,test}/WORD_00001.mp4`, with its own splits.

    Args:
        root: The folder that contains `lipread_mp4`, or that folder itself.

    Returns:
        Clips named `WORD/train/WORD_00001`, sorted by name. LRW does not say who speaks, so each clip is a person of
        its own unless `speakers.csv` (header `clip,speaker`) says otherwise.

    Raises:
        InputError: If there are no such clips, or `speakers.csv` has another form.
    """
    folder = root / LRW_FOLDER if (root / LRW_FOLDER).is_dir() else root
    _require_folder(folder)
    speakers = _read_speakers(folder / SPEAKERS)
    clips = []
    for word in _folders(folder):
        for split in SPLITS:
            if not os.path.isdir(place := os.path.join(folder, word, split)):
                continue
            for file in os.scandir(place):  # half a million files: nothing is asked of each
                if file.name.endswith(".mp4") and not file.name.startswith("."):
                    name = f"{word}/{split}/{file.name.removesuffix('.mp4')}"
                    clips.append(Source(name, Path(file.path), split, speakers.get(name, name), word))
    if not clips:
        raise InputError(
            f"{folder}: holds no WORD/train/WORD_00001.mp4; give the folder that contains {LRW_FOLDER} as data.root, "
            "or add data.layout=folder for videos in any other order"
        )
    return sorted(clips, key=lambda clip: clip.name)


def read_folder(root: Path) -> list[Source]:
    """All videos below a folder; speakers are its sub-folders, and each video that lies in none is one of its own.

    Splits are by speaker: about 80 % train, 10 % val, 10 % test, decided by the name alone, so that speakers who come
    later change nothing for the others; of two or more, one at least is in train and one in val.

    Args:
        root: The folder.

    Returns:
        Clips named by their path without its ending, sorted by name.

    Raises:
        InputError: If there are no videos.
    """
    _require_folder(root)
    paths = [path for path in _files_below(root) if path.suffix.lower() in _VIDEOS]
    if not paths:
        raise InputError(f"{root}: holds no videos ({', '.join(sorted(_VIDEOS))}); check data.root")
    relative = {path: path.relative_to(root) for path in paths}
    shared = Counter(path.with_suffix("") for path in relative.values())
    people = {path: name.parts[0] if len(name.parts) > 1 else name.stem for path, name in relative.items()}
    splits = split_speakers(people.values())
    clips = []
    for path, name in relative.items():
        stem = name.with_suffix("")
        own = name if shared[stem] > 1 else stem  # a.mp4 and a.mov keep their endings
        clips.append(Source(own.as_posix(), path, splits[people[path]], people[path], None))
    return sorted(clips, key=lambda clip: clip.name)


LAYOUTS: dict[str, Callable[[Path], list[Source]]] = {"lrw": read_lrw, "folder": read_folder}


def read_layout(layout: str, root: str | Path) -> list[Source]:
    """The clips of a corpus.

    Args:
        layout: Key of `LAYOUTS`.
        root: Where the corpus lies.

    Raises:
        InputError: If there is no such layout, or no clips.
    """
    if layout not in LAYOUTS:
        raise InputError(f"data.layout is {layout!r}; known ones: {', '.join(sorted(LAYOUTS))}")
    return LAYOUTS[layout](Path(root).expanduser())


def split_speakers(speakers: Iterable[str]) -> dict[str, Split]:
    """Deal speakers to the splits by their names; see `read_folder`."""
    ranked = sorted((_number(speaker), speaker) for speaker in set(speakers))
    splits: dict[str, Split] = {
        speaker: "train" if number < _TRAIN else "val" if number < _VAL else "test" for number, speaker in ranked
    }
    if ranked and "train" not in splits.values():
        splits[ranked[0][1]] = "train"
    if len(ranked) > 1 and "val" not in splits.values():
        splits[ranked[-1][1]] = "val"  # one of test where there is one; of two or more the first is always in train
    return splits


def _number(name: str) -> float:
    """A number in [0, 1) that depends on nothing but the name."""
    return zlib.crc32(name.encode()) / 2**32


def _read_speakers(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"clip", "speaker"} <= set(rows.fieldnames or ()):
            raise InputError(f"{path}: its first line must be clip,speaker; found {rows.fieldnames}")
        return {row["clip"]: row["speaker"] for row in rows}


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"data.root: {folder} {what} (looked in {folder.absolute().parent})")


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _files_below(root: Path) -> list[Path]:
    """All files below a folder but hidden ones."""
    found = []
    for place, folders, files in os.walk(root):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        found += [Path(place, file) for file in files if not file.startswith(".")]
    return found
