"""A study on disk: which videos exist under which blinded names, and what is shown together."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from evaluation.user_study.questions import PARTS
from media.errors import InputError
from media.whole_file import whole_file

MANIFEST, VOTES, VIDEOS = "manifest.json", "votes.sqlite3", "videos"
ORIGINAL = "original"  # what the real videos show
HELD_OUT, FOREIGN = "held_out", "foreign"  # paper, 4.3: the rest of the person's own speech; speech of somebody else
_VERSION = 1
_T = TypeVar("_T")


@dataclass(frozen=True)
class StudyVideo:
    """A video of the study.

    Attributes:
        shows: The method that made it, the frames it was trained with ("300"), or `ORIGINAL`.
        group: `HELD_OUT` or `FOREIGN`.
        person: The name its source file had.
        seconds: Its length.
        reencoded: Whether its source could not be played by browsers and was coded again.
        source_sha256: Of the file it was made from.
        sha256: Of the file in the study.
    """

    shows: str
    group: str
    person: str
    seconds: float
    reencoded: bool
    source_sha256: str
    sha256: str


@dataclass(frozen=True)
class Trial:
    """Videos that are shown and judged together on one page.

    Attributes:
        name: `part/group/person`, with the method at the end in part `head_pose`. Never shown to anybody.
        part: A key of `PARTS`.
        original: Name of the real video that stands beside them, known as such, or None.
        choices: Names of the videos to judge.
        other_speech: Whether the original says something else than the choices.
    """

    name: str
    part: str
    original: str | None
    choices: tuple[str, ...]
    other_speech: bool = False

    @property
    def videos(self) -> tuple[str, ...]:
        """All videos of the page."""
        return (*([self.original] if self.original else []), *self.choices)


@dataclass(frozen=True)
class Study:
    """Everything that is shown, not in the order of any participant.

    Attributes:
        folder: Where it lies.
        videos: By blinded name, which is also the file's name without ending.
        trials: One per page.
        introduction: Plain text of the first page, or "" for the standard one.
    """

    folder: Path
    videos: dict[str, StudyVideo]
    trials: tuple[Trial, ...]
    introduction: str = ""

    def video_file(self, name: str) -> Path:
        """The file of a video of this study."""
        return self.folder / VIDEOS / f"{name}.mp4"

    def write(self) -> None:
        """Write the manifest, which makes the folder a study."""
        content = {
            "version": _VERSION,
            "introduction": self.introduction,
            "videos": {name: asdict(video) for name, video in self.videos.items()},
            "trials": [asdict(trial) for trial in self.trials],
        }
        with whole_file(self.folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """Read the manifest of a study.

        Raises:
            InputError: If there is none or it is damaged.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise InputError(f"{folder}: is no study (it has no {MANIFEST}); make one with the command `build`.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                raise InputError(f"{path}: has version {content['version']}, not {_VERSION}; build the study again.")
            trials = (Trial(**{**trial, "choices": tuple(trial["choices"])}) for trial in content["trials"])
            videos = {name: StudyVideo(**video) for name, video in content["videos"].items()}
            return cls(folder, videos, tuple(trials), content["introduction"])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: is damaged ({error!r}); build the study again.") from None


def participant_trials(study: Study, token: str) -> list[Trial]:
    """The pages of one participant, in order.

    Part follows part; within a part the trials, and within a trial the videos to judge, are shuffled. The order
    depends on the token alone: whoever comes back finds every page where it was.

    Args:
        study: The study.
        token: The participant's.

    Returns:
        All trials of the study, each with its choices shuffled.
    """
    return [
        replace(trial, choices=tuple(_shuffled(trial.choices, f"{token}/{trial.name}")))
        for part in PARTS
        for trial in _shuffled([trial for trial in study.trials if trial.part == part], f"{token}/{part}")
    ]


def _shuffled(items: Sequence[_T], seed: str) -> list[_T]:
    # seeded by text, Random goes through SHA-512: the same in every process and version of Python
    return random.Random(seed).sample(items, len(items))
