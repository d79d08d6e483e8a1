"""One share of a corpus that is prepared by one command, and the record that says it is done.

In the folder of the prepared corpus, for shard 3 of 64:

    shards/0003-of-0064.json     its record: every clip's line of the manifest, and the names of those that failed
    failures/0003-of-0064.jsonl  why they failed, one line a clip
    unfinished/0003-of-0064/     what is being made, by each start in a folder of its own; cleared at the end
    manifest.jsonl               merged from the records, when all 64 are there
"""

import fcntl
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from datamodules.durable import write_synced
from datamodules.layouts import Source
from datamodules.manifest import ManifestEntry, holds_clip, is_current, read_entry, write_manifest
from media.errors import InputError
from media.whole_file import whole_file


@dataclass(frozen=True)
class Failure:
    """A clip that could not be prepared.

    Attributes:
        name: Of the clip.
        path: Its video.
        reason: What was wrong with it.
    """

    name: str
    path: str
    reason: str


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`, counted from 1.

    Attributes:
        number: Which one.
        count: How many there are.
        prepared: Folder of the prepared corpus.
    """

    number: int
    count: int
    prepared: Path

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise InputError(
                f"shard={self.number}/{self.count}: must be one of 1/{self.count} to {self.count}/{self.count}"
            )

    @property
    def title(self) -> str:
        """As files are named after it."""
        return f"{self.number:04d}-of-{self.count:04d}"

    @property
    def record(self) -> Path:
        """The file that says the shard is done."""
        return self.prepared / "shards" / f"{self.title}.json"

    @property
    def failures(self) -> Path:
        """The file that lists what failed."""
        return self.prepared / "failures" / f"{self.title}.jsonl"

    @property
    def unfinished(self) -> Path:
        """The folder of clips that are being made; each start has one in it."""
        return self.prepared / "unfinished" / self.title

    def of(self, sources: Iterable[Source]) -> list[Source]:
        """The clips of this shard: decided by each name alone, so that shards are mixed alike and stay as they are."""
        return [source for source in sources if zlib.crc32(source.name.encode()) % self.count == self.number - 1]

    def is_done(self, sources: Sequence[Source]) -> bool:
        """Whether there is a record of just these clips, and the clips are all there, with all their files.

        A record of an older version does not count: it is written anew from the clips.
        """
        if not self.record.is_file():
            return False
        content = _read(self.record)
        names = {clip["name"] for clip in content["clips"]} | set(content["failed"])
        return names == {source.name for source in sources} and all(
            is_current(clip) and holds_clip(self.prepared / clip["clip"]) for clip in content["clips"]
        )

    def counts(self) -> tuple[int, int, int]:
        """Prepared clips, their frames, and failed clips of the record."""
        content = _read(self.record)
        return len(content["clips"]), sum(clip["frames"] for clip in content["clips"]), len(content["failed"])

    def done_of_all(self) -> int:
        """How many shards of as many have a record."""
        return sum(Shard(number, self.count, self.prepared).record.is_file() for number in range(1, self.count + 1))

    def list_failures(self, failures: Iterable[Failure]) -> None:
        """Write `failures`, sorted; no file where there are none."""
        lines = [json.dumps(asdict(failure)) for failure in sorted(failures, key=lambda failure: failure.name)]
        if not lines:
            self.failures.unlink(missing_ok=True)
            return
        with whole_file(self.failures) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def write_record(self, entries: Iterable[ManifestEntry], failures: Iterable[Failure]) -> None:
        """Say that the shard is done."""
        content = {
            "shard": [self.number, self.count],
            "clips": [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.name)],
            "failed": sorted(failure.name for failure in failures),
        }
        write_synced(self.record, json.dumps(content, indent=1))

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Hold the shard while it is prepared, with a folder for unfinished clips that no other start has.

        Workers of a command that was killed finish what they are at: theirs is left alone until this one ends.

        Yields:
            That folder.

        Raises:
            InputError: If another process of this machine holds it, or the folder cannot be written.
        """
        try:
            self.unfinished.mkdir(parents=True, exist_ok=True)
            lock = (self.unfinished.parent / f"{self.title}.lock").open("w")
        except OSError as error:
            raise InputError(
                f"{self.prepared}: cannot be written ({error.strerror}); set data.prepared to a writable folder"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.prepared}: another process is preparing shard {self.number}/{self.count}; wait for it"
                ) from None
            try:
                yield Path(tempfile.mkdtemp(dir=self.unfinished))
            finally:
                _empty(self.unfinished)


def merge_shards(prepared: Path, count: int) -> Path | None:
    """Write the manifest from the records of all shards, if they are all there.

    Whichever shard is done last finds them all; two that end at once write the same.

    Args:
        prepared: Folder of the prepared corpus.
        count: How many shards there are.

    Returns:
        The manifest, or None if a record is missing.
    """
    entries: list[ManifestEntry] = []
    for number in range(1, count + 1):
        record = Shard(number, count, prepared).record
        if not record.is_file():
            return None
        entries += [read_entry(clip) for clip in _read(record)["clips"]]
    return write_manifest(prepared, entries)


def _read(record: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content


def _empty(folder: Path) -> None:
    for leftover in list(folder.iterdir()):
        # first its name, in one step: nobody can then publish a clip of which half is removed
        gone = leftover.with_name(f"{leftover.name}.gone")
        with suppress(FileNotFoundError):  # whose it was has removed it
            os.replace(leftover, gone)
        shutil.rmtree(gone, ignore_errors=True)
