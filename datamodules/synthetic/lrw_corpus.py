"""A corpus of embedded people in the official layout of LRW, made by as many processes as there are cores.

Layout: `lipread_mp4/WORD/{train,val,test}/WORD_00001.mp4` with `.txt` (LRW's lines) and `.npz` (the truth), and
`lipread_mp4/speakers.csv`. As many clips of a word as are wanted are dealt to the splits, an eighth each (at least one)
to validation and test; LRW gives them a twentieth, of a thousand. Validation shows people of the training set in other
clips, test shows people who are in neither.
"""

import os
from binascii import crc32
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from datamodules.synthetic.carriers import WORDS
from datamodules.synthetic.claim import claim
from datamodules.synthetic.lrw_clip import FRAMES, PlannedClip, make_clips, person_name
from media.errors import InputError
from media.whole_file import whole_file

_EVALUATED = 8  # ours: one clip of so many is for validation, one for test; one person of so many is for test
_TOGETHER = 16  # ours: clips of a speaker that are spoken in one go; finished ones are counted by so many
_SEEDS = 1_000_000  # people of a corpus with the next seed begin so much later; nobody is in the default films


@dataclass(frozen=True)
class CorpusSize:
    """What decides every byte of a corpus.

    Attributes:
        words: Number of words.
        clips: Clips of each word, all splits together.
        people: Number of speakers, those of test included.
        seed: Decides who speaks, what and how.
    """

    words: int = 20
    clips: int = 40
    people: int = 50
    seed: int = 0

    def check(self) -> None:
        """Refuse what no corpus can be made of.

        Raises:
            InputError: A number is out of its range.
        """
        limits = (("words", 1, len(WORDS)), ("clips", 3, 99_999), ("people", 2, 9_999), ("seed", 0, 4_000))
        for name, least, most in limits:
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}: choose from {least} to {most}")

    @property
    def evaluated(self) -> int:
        """Clips of each word in validation, and in test."""
        return max(1, self.clips // _EVALUATED)

    @property
    def unseen(self) -> int:
        """People who speak in test only."""
        return max(1, self.people // _EVALUATED)


def plan_corpus(size: CorpusSize) -> list[PlannedClip]:
    """Deal clips to words, splits and speakers.

    Speakers take turns, so that each says about as many clips as any other, and many words.

    Args:
        size: Of the corpus.

    Returns:
        All clips, words in the order of `WORDS`, splits train, val, test.
    """
    seen = size.people - size.unseen
    train = size.clips - 2 * size.evaluated
    counts = {"train": train, "val": size.evaluated, "test": size.evaluated}
    # Whoever is in validation has said something in training, even where there are more people than clips.
    taking_turns = {"train": seen, "val": min(seen, size.words * train), "test": size.unseen}
    plan = []
    for k, word in enumerate(list(WORDS)[: size.words]):
        for split, count in counts.items():
            for number in range(1, count + 1):
                speaker = (k * count + number - 1) % taking_turns[split] + (seen if split == "test" else 0)
                lot = crc32(f"{size.seed} {word} {split} {number}".encode())
                plan.append(PlannedClip(word, split, number, speaker, lot))
    return plan


def make_lrw_corpus(
    out: str | Path,
    size: CorpusSize | None = None,
    processes: int | None = None,
    progress: bool = False,
) -> Path:
    """Make a corpus, or go on with one that was interrupted.

    Args:
        out: Folder of the corpus; `lipread_mp4` is made in it.
        size: Of the corpus.
        processes: How many work at the same time; by default one for each core. They change no byte.
        progress: Whether to show a bar.

    Returns:
        The folder `lipread_mp4`.

    Raises:
        InputError: The size is impossible, the folder holds another corpus or cannot be written, or espeak-ng fails.
    """
    size = size or CorpusSize()
    size.check()
    processes = os.cpu_count() or 1 if processes is None else processes
    if processes < 1:
        raise InputError(f"processes is {processes}: at least one must work")
    folder = Path(out) / "lipread_mp4"
    claim(Path(out), asdict(size), occupied=folder.exists())
    for leftover in folder.glob("*/*/.*"):  # what a killed run left half written
        leftover.unlink()
    plan = plan_corpus(size)
    _write_speakers(folder, plan)
    jobs = [clips for clips in _spoken_together(plan) if not all(clip.is_made(folder) for clip in clips)]
    there = len(plan) - sum(map(len, jobs))
    total = len(plan) * FRAMES
    first = _SEEDS * (1 + size.seed)
    with tqdm(total=total, initial=there * FRAMES, unit="frame", desc="embedded corpus", disable=not progress) as bar:
        for made in _finished(folder, first, jobs, processes):
            bar.update(made * FRAMES)
    return folder


def _finished(folder: Path, first: int, jobs: list[list[PlannedClip]], processes: int) -> Iterator[int]:
    """Do all jobs; the number of clips of each when it is done."""
    if min(processes, len(jobs)) <= 1:
        threads = torch.get_num_threads()
        try:
            for clips in jobs:
                yield _work(folder, first, clips)
        finally:
            torch.set_num_threads(threads)
        return
    # Not forked: the threads of torch and numpy do not survive that.
    with ProcessPoolExecutor(min(processes, len(jobs)), get_context("spawn")) as pool:
        try:
            for job in as_completed([pool.submit(_work, folder, first, clips) for clips in jobs]):
                yield job.result()
        except BrokenProcessPool:
            raise InputError(
                f"{folder}: a process was killed, perhaps for want of memory; run the same again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _work(folder: Path, first: int, clips: list[PlannedClip]) -> int:
    """One job, in one thread: others would only get into the way of the next job's process."""
    torch.set_num_threads(1)
    with threadpool_limits(1, "blas"):
        make_clips(folder, first + clips[0].speaker, clips)
    return len(clips)


def _spoken_together(plan: list[PlannedClip]) -> list[list[PlannedClip]]:
    """The clips of each speaker, a few at a time."""
    jobs = []
    for _, group in groupby(sorted(plan, key=lambda clip: clip.speaker), key=lambda clip: clip.speaker):
        clips = list(group)
        jobs += [clips[k : k + _TOGETHER] for k in range(0, len(clips), _TOGETHER)]
    return jobs


def _write_speakers(folder: Path, plan: list[PlannedClip]) -> None:
    rows = [f"{clip.name},{person_name(clip.speaker)}\n" for clip in plan]
    with whole_file(folder / "speakers.csv") as temporary:
        temporary.write_text("".join(["clip,speaker\n", *rows]), encoding="ascii")
