"""Which videos a folder has: by group and person."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.user_study.study import FOREIGN, HELD_OUT
from media.endings import VIDEO_ENDINGS
from media.errors import InputError

CONVENTION = f"""\
A FOLDER holds one video per person, with equal file names in all folders:
  FOLDER/{HELD_OUT}/PERSON.mp4   the person says the rest of their own recording
  FOLDER/{FOREIGN}/PERSON.mp4    the person says what somebody else recorded
  FOLDER/PERSON.mp4            short for a folder that has {HELD_OUT} only
Where the reference has no {FOREIGN}/PERSON, its {HELD_OUT}/PERSON stands there, and the page says so."""

Videos = dict[tuple[str, str], Path]  # (group, person) -> file


def find_videos(folder: Path) -> Videos:
    """The videos of a folder laid out as `CONVENTION` says.

    Raises:
        InputError: If there is no video, a person is there twice, or both layouts are mixed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path.")
    groups = {group: folder / group for group in (HELD_OUT, FOREIGN) if (folder / group).is_dir()}
    flat = _by_person(folder)
    if groups and flat:
        raise InputError(
            f"{folder}: has videos beside {' and '.join(groups)}; move them into one of {HELD_OUT} and {FOREIGN}."
        )
    found = {group: _by_person(path) for group, path in groups.items()} or {HELD_OUT: flat}
    videos = {(group, person): path for group, people in found.items() for person, path in people.items()}
    if not videos:
        raise InputError(f"{folder}: holds no video; put them there as {HELD_OUT}/PERSON.mp4 and {FOREIGN}/PERSON.mp4.")
    return videos


def _by_person(folder: Path) -> dict[str, Path]:
    people: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in VIDEO_ENDINGS and path.is_file() and not path.name.startswith("."):
            if path.stem in people:
                raise InputError(f"{folder}: has two videos of {path.stem}; keep one of them.")
            people[path.stem] = path
    return people


@dataclass(frozen=True)
class Material:
    """Generated videos that all exist for the same people and speech, and the real ones.

    Attributes:
        generated: For every source (a method, a number of frames) its videos; all have the same keys.
        originals: The real video of each of these keys.
        other_speech: Keys whose real video says something else.
    """

    generated: dict[str, Videos]
    originals: Videos
    other_speech: frozenset[tuple[str, str]]


def gather(sources: Mapping[str, Videos], reference: Videos) -> Material:
    """Check that every source has every video, and give each its original.

    Args:
        sources: Videos of every method or length.
        reference: The real videos; people whom no source has are left out.

    Returns:
        The videos of all sources.

    Raises:
        InputError: If a source lacks a video another one has, or the reference lacks the person.
    """
    keys = sorted({key for videos in sources.values() for key in videos})
    for name, videos in sources.items():
        for key in keys:
            if key not in videos:
                owner = next(other for other, theirs in sources.items() if key in theirs)
                raise InputError(f"{name}: has no video {'/'.join(key)}, which {owner} has; add it or take that away.")
    originals: Videos = {}
    for group, person in keys:
        original = reference.get((group, person)) or reference.get((HELD_OUT, person))
        if original is None:
            raise InputError(f"the reference has no video of {person}; add {HELD_OUT}/{person}.")
        originals[group, person] = original
    other = frozenset(key for key in keys if key not in reference)
    return Material({name: dict(videos) for name, videos in sources.items()}, originals, other)
