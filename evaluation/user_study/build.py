"""From folders of videos to a study: blinded copies and a manifest."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.user_study.ballot import LETTERS
from evaluation.user_study.browser_video import write_for_browsers
from evaluation.user_study.folders import Material, Videos, find_videos, gather
from evaluation.user_study.questions import COMPARISON, HEAD_POSE, PARTS, VIDEO_LENGTH
from evaluation.user_study.study import HELD_OUT, ORIGINAL, VIDEOS, Study, StudyVideo, Trial
from media.digest import sha256
from media.errors import InputError
from media.video import FPS, probe

_RESERVED = (ORIGINAL, "all")  # rows of the tables
_NAME_BYTES = 12  # ours: names of 24 hexadecimal digits never meet and tell nothing


@dataclass
class Plan:
    """What a study is to show.

    Attributes:
        reference: Folder of real videos.
        methods: Folder of each method to compare.
        lengths: Folder of each model of the appendix, by the number of frames it was trained with.
        parts: Keys of `PARTS` to ask; those without material are left out.
        head_pose: Methods whose head poses are judged; none given means all.
        blind_original: Let the original stand among the choices of part `comparison`, unmarked.
        introduction: Plain text of the first page, or "" for the standard one.
    """

    reference: Path
    methods: dict[str, Path] = field(default_factory=dict)
    lengths: dict[int, Path] = field(default_factory=dict)
    parts: Sequence[str] = tuple(PARTS)
    head_pose: Sequence[str] = ()
    blind_original: bool = False
    introduction: str = ""


def build_study(folder: Path, plan: Plan, say: Callable[[str], None] = print) -> Study:
    """Make a study folder.

    Args:
        folder: To make; must be new or empty.
        plan: What to show.
        say: Takes a line for every video that was coded again, has no sound or another length than its neighbours.

    Returns:
        The study.

    Raises:
        InputError: If a video is missing or broken, nothing could be asked, or the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already, perhaps with answers; choose a new folder.")
    _check(plan)
    reference = find_videos(plan.reference)
    methods = gather({name: find_videos(path) for name, path in plan.methods.items()}, reference)
    lengths = gather({str(n): _held_out(path) for n, path in sorted(plan.lengths.items())}, reference)
    with _removed_on_failure(folder):
        copies = _Copies(folder, say)
        trials = [
            *(_comparisons(methods, plan.blind_original, copies) if COMPARISON in plan.parts else []),
            *(_head_poses(methods, plan.head_pose, copies) if HEAD_POSE in plan.parts else []),
            *(_best_of(lengths, copies) if VIDEO_LENGTH in plan.parts else []),
        ]
        if not trials:
            raise InputError("there is nothing to ask; give two --method or more, or two --length or more.")
        for trial in trials:
            _note_lengths(trial, copies.videos, say)
        study = Study(folder, dict(sorted(copies.videos.items())), tuple(trials), plan.introduction)
        study.write()
    return study


@contextmanager
def _removed_on_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # it was new or empty
        raise


def _check(plan: Plan) -> None:
    for name in plan.methods:
        if not name or name.lower() in _RESERVED or not name.isprintable():
            raise InputError(f"--method {name}: this name cannot be used; choose another one.")
    unknown = [name for name in plan.head_pose if name not in plan.methods]
    if unknown:
        raise InputError(f"--head-pose {unknown[0]}: is none of the methods ({', '.join(plan.methods)}).")
    if max(len(plan.methods) + plan.blind_original, len(plan.lengths)) > len(LETTERS):
        raise InputError(f"more than {len(LETTERS)} videos cannot be compared on one page; take some away.")


def _held_out(folder: Path) -> Videos:
    return {key: path for key, path in find_videos(folder).items() if key[0] == HELD_OUT}


class _Copies:
    """The videos of a study, copied when first asked for.

    The original has a name of its own in every part: where it is unmarked, no other part may tell which it is.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.videos: dict[str, StudyVideo] = {}
        self._names: dict[tuple[str, str, Path], str] = {}
        self._folder, self._say = folder / VIDEOS, say

    def name(self, part: str, shows: str, key: tuple[str, str], source: Path) -> str:
        """The blinded name of a video."""
        use = (part if shows == ORIGINAL else "", shows, source)
        name = self._names.get(use)
        if name is None:
            name = self._names[use] = secrets.token_hex(_NAME_BYTES)
            target = self._folder / f"{name}.mp4"
            reencoded = write_for_browsers(source, target)
            if reencoded:
                self._say(f"{source}: coded again at {FPS} frames/s, browsers would not play it")
            info = probe(target)
            if not info.has_audio:
                self._say(f"{source}: has no sound")
            seconds = round(info.duration, 3)
            self.videos[name] = StudyVideo(shows, *key, seconds, reencoded, sha256(source), sha256(target))
        return name


def _comparisons(material: Material, blind_original: bool, copies: _Copies) -> list[Trial]:
    """Paper, 4.3: one page per group and person, the original and all methods."""
    if len(material.generated) + blind_original < 2:
        return []
    trials = _groups(COMPARISON, material, copies)
    if not blind_original:
        return trials
    if material.other_speech:
        missing = "/".join(min(material.other_speech))
        raise InputError(
            f"--blind-original: the reference has no video {missing}; add it, or show the original as such."
        )
    return [
        Trial(trial.name, trial.part, None, (*trial.choices, *([trial.original] if trial.original else [])))
        for trial in trials
    ]


def _head_poses(material: Material, methods: Sequence[str], copies: _Copies) -> list[Trial]:
    """Paper, 4.4: one page per person and method, the original beside the generated video, both of held-out speech."""
    trials = []
    for shows, videos in material.generated.items():
        for (group, person), source in videos.items():
            if group == HELD_OUT and (not methods or shows in methods):
                original = copies.name(HEAD_POSE, ORIGINAL, (group, person), material.originals[group, person])
                choice = copies.name(HEAD_POSE, shows, (group, person), source)
                trials.append(Trial(f"{HEAD_POSE}/{group}/{person}/{shows}", HEAD_POSE, original, (choice,)))
    return trials


def _best_of(material: Material, copies: _Copies) -> list[Trial]:
    """Paper, appendix A: one page per person, the original and what every model made."""
    return _groups(VIDEO_LENGTH, material, copies) if len(material.generated) > 1 else []


def _groups(part: str, material: Material, copies: _Copies) -> list[Trial]:
    """One page per group and person: the original, marked, and what every source made."""
    trials = []
    for key, real in material.originals.items():
        original = copies.name(part, ORIGINAL, key, real)
        choices = tuple(copies.name(part, shows, key, videos[key]) for shows, videos in material.generated.items())
        trials.append(Trial("/".join((part, *key)), part, original, choices, key in material.other_speech))
    return trials


def _note_lengths(trial: Trial, videos: Mapping[str, StudyVideo], say: Callable[[str], None]) -> None:
    seconds = {videos[name].shows: videos[name].seconds for name in trial.choices}
    if max(seconds.values()) - min(seconds.values()) > 1 / FPS:
        listed = ", ".join(f"{shows} {length:.2f} s" for shows, length in seconds.items())
        say(f"{trial.name}: the videos differ in length ({listed})")
