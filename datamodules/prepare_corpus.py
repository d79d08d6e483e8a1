"""Preparing a corpus of talking clips, half a million if need be: in shards, by many processes, from where it stopped.

Every clip appears complete or not at all, so whatever is killed, the same command goes on. What cannot be prepared is
listed with its reason; only if that is more than a set share of a shard, the shard is not called done.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datamodules.clip import Clip
from datamodules.durable import sync_folder
from datamodules.layouts import Source, read_layout
from datamodules.manifest import ManifestEntry, holds_clip
from datamodules.preparation import Preparation
from datamodules.prepare import prepare_clip
from datamodules.shard import Failure, Shard, merge_shards
from datamodules.workers import Workers, in_this_process
from face.assets import tracker_assets
from face.identity import load_identity_encoder
from face.models.registry import load_face_model
from media.digest import sha256
from media.errors import InputError
from media.whole_file import whole_file

CLIPS = "clips"  # folder of the prepared clips
SETTINGS = "preparation.json"  # what they were prepared with
_MEANING = ("face_model", "reconstruction", "identity_encoder", "identity_onnx")  # of coefficients and features
_ANOTHER_VERSION = "another version of this project, whose numbers mean something else"
_OF_CLIP = ".clip"  # ending of a clip's folder, so that a clip `a` and clips `a/b` do not lie in each other
# What is wrong with the place that is written to, and not with a clip.
_OF_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class _Job:
    """All that a worker has to know."""

    source: Source
    prepared: Path
    scratch: Path
    preparation: Preparation

    @property
    def folder(self) -> Path:
        return self.prepared / CLIPS / f"{self.source.name}{_OF_CLIP}"


def prepare_corpus(
    root: str | Path,
    prepared: str | Path,
    *,
    layout: str = "lrw",
    shard: tuple[int, int] = (1, 1),
    preparation: Preparation | None = None,
    largest_failed_share: float = 0.05,
    workers: Workers = in_this_process,
    progress: bool = False,
) -> Path:
    """Prepare a corpus, or one shard of it; what is prepared already is kept.

    Args:
        root: Where the corpus lies.
        prepared: Folder to prepare it into; all shards have the same.
        layout: Key of `datamodules.layouts.LAYOUTS`.
        shard: (3, 64) for the third of 64.
        preparation: Settings of every clip; by default those of `Preparation`.
        largest_failed_share: Share of a shard's clips up to which failures are only listed.
        workers: Who prepares (`datamodules.workers`).
        progress: Show a bar with clips and frames per second.

    Returns:
        The folder of the prepared corpus; its manifest is there once all shards are.

    Raises:
        InputError: If the corpus holds no clips, the folder cannot be written or holds clips prepared otherwise, or
            too many clips failed.
    """
    preparation, prepared = preparation or Preparation(), Path(prepared).expanduser()
    _require_apart(Path(root).expanduser(), prepared, layout)
    part = Shard(*shard, prepared)
    sources = part.of(read_layout(layout, root))
    if not part.is_done(sources):
        _load_once(preparation)
        with part.held() as scratch:
            _require_same_preparation(prepared, preparation)
            jobs = [_Job(source, prepared, scratch, preparation) for source in sources]
            _prepare_shard(part, jobs, largest_failed_share, workers, progress)
    else:
        _require_same_preparation(prepared, preparation)
    merge_shards(prepared, part.count)
    return prepared


def _prepare_shard(part: Shard, jobs: Sequence[_Job], largest_share: float, workers: Workers, progress: bool) -> None:
    """Prepare the clips of a shard and write its record.

    Raises:
        InputError: If too many failed; the failures are listed, and what is prepared stays.
    """
    entries: list[ManifestEntry] = []
    failures: list[Failure] = []
    for outcome in _with_rates(workers(_prepare_one, jobs, _give_up), len(jobs), progress):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            entries.append(outcome)
    part.list_failures(failures)
    if len(failures) > largest_share * len(jobs):
        first = min(failures, key=lambda failure: failure.name)
        raise InputError(
            f"{len(failures)} of {len(jobs)} clips failed ({first.name}: {first.reason}), more than "
            f"data.largest_failed_share={largest_share:g}; all reasons are in {part.failures}, the others are "
            "prepared: mend the files or raise the share, and repeat the command"
        )
    part.write_record(entries, failures)


def _prepare_one(job: _Job) -> ManifestEntry | Failure:
    """Prepare a clip, or find it prepared from the same video; runs in a worker.

    Raises:
        InputError: If the place that is written to is at fault.
    """
    try:
        with warnings.catch_warnings():
            # `media` warns of damage, each time with the file's name; what a person may put up with is of no use here
            warnings.filterwarnings("error", re.escape(str(job.source.path)), UserWarning)
            clip = _prepared_before(job) or _prepare_durably(job)
        return ManifestEntry.of(job.source, clip, job.prepared)
    except Exception as error:  # of half a million files some are broken in ways that nobody foresaw
        if _is_of_place(error):
            raise InputError(
                f"{job.prepared}: cannot be written ({error}); make room and repeat the command"
            ) from error
        reason = str(error) if isinstance(error, InputError | UserWarning) else f"{type(error).__name__}: {error}"
        return Failure(job.source.name, str(job.source.path), " ".join(reason.split()))


def _give_up(job: _Job, end: str) -> Failure:
    return Failure(job.source.name, str(job.source.path), f"every process that prepared it died, the last of {end}")


def _prepare_durably(job: _Job) -> Clip:
    """Prepare a clip and have it on the disk before it has its name: a power failure leaves no half of it."""
    place = Path(tempfile.mkdtemp(dir=job.scratch))
    try:
        made = prepare_clip(job.source.path, place / "clip", job.preparation, scratch=place)
        sync_folder(made.folder)
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(made.folder, job.folder)
        except OSError:
            if not holds_clip(job.folder):  # else another process was first, with the same
                raise
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return replace(made, folder=job.folder)


def _prepared_before(job: _Job) -> Clip | None:
    """The clip if it is there, whole, and of the video as it is now."""
    if not job.folder.exists():
        return None
    try:
        if holds_clip(job.folder):
            clip = Clip.load(job.folder)
            if clip.source_sha256 == sha256(job.source.path):
                return clip
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        pass  # half a file after a power failure
    shutil.rmtree(job.folder)
    return None


def _is_of_place(error: BaseException | None) -> bool:
    """Whether an error comes from a disk that is full or may not be written."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_PLACE:
            return True
        error = error.__cause__ or error.__context__
    return False


def _require_apart(root: Path, prepared: Path, layout: str) -> None:
    """Refuse a place whose crops would be taken for clips of the corpus the next time."""
    if layout == "folder" and prepared.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"data.prepared: {prepared} lies in data.root, whose videos are all taken; choose one beside it"
        )


def _load_once(preparation: Preparation) -> None:
    """Load what every clip needs, so that what is missing is said once and not of every clip."""
    tracker_assets()
    load_face_model(preparation.face_model, preparation.face_model_file)
    load_identity_encoder(preparation.identity_encoder, preparation.identity_onnx)


def _require_same_preparation(prepared: Path, preparation: Preparation) -> None:
    """Refuse to mix clips that were prepared differently; the first shard says how."""
    path, wanted = prepared / SETTINGS, preparation.describe()
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        different = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if different:
            if "format" in different:
                how, remedy = f"by {_ANOTHER_VERSION}", "delete it and prepare again"
            else:
                how, remedy = f"with other settings ({', '.join(different)})", f"the settings of {SETTINGS} there"
            raise InputError(
                f"{prepared}: holds clips that were prepared {how}; choose another folder with data.prepared, or "
                f"{remedy}"
            )
        return
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(wanted, indent=1), encoding="utf-8")


def require_prepared_alike(prepared: Path, preparation: Preparation) -> None:
    """Refuse a prepared corpus whose numbers mean something else; one that does not say how it was made is trusted.

    Args:
        prepared: Its folder.
        preparation: What its clips would be prepared with now.

    Raises:
        InputError: If the version of the project, the face model, its version, the reconstruction or the identity
            encoder differ.
    """
    path, wanted = prepared / SETTINGS, preparation.describe()
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if found.get("format", wanted["format"]) != wanted["format"]:
        raise InputError(
            f"{prepared}: was prepared by {_ANOTHER_VERSION}; prepare the corpus again into another folder"
        )
    for key in _MEANING:
        if key in found and found[key] != wanted[key]:
            raise InputError(
                f"{prepared}: was prepared with {key} {_words(found[key])}, and these settings have "
                f"{_words(wanted[key])}; choose the settings of {SETTINGS} there, or prepare the corpus again into "
                "another folder"
            )


def _words(value: object) -> str:
    """A choice of a preparation, with its version if it has one."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _with_rates(outcomes: Iterator[Any], total: int, progress: bool) -> Iterator[ManifestEntry | Failure]:
    """The outcomes, under a bar with clips and frames per second and the number of failures."""
    frames, failed, begun = 0, 0, time.monotonic()
    with tqdm(outcomes, "preparing", total, unit="clip", disable=not progress) as bar:
        for outcome in bar:
            if isinstance(outcome, Failure):
                failed += 1
            else:
                frames += outcome.frames
            rate = frames / (time.monotonic() - begun)
            bar.set_postfix_str(f"{rate:.0f} frames/s, {failed} failed", refresh=False)
            yield outcome
