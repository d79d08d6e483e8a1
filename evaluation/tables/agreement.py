"""Whether runs followed a table's protocol, and if not, which, where and how."""

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

from evaluation.run_files import IGNORED
from evaluation.tables.protocol import Protocol
from evaluation.tables.run_folder import PARENTS, RunFolder
from media.errors import InputError
from media.video import FPS

_MISSING = "not there"


def require_agreement(protocol: Protocol, runs: Sequence[RunFolder]) -> None:
    """Refuse runs that a table cannot compare.

    Every run must have the pinned settings, be scored as pinned, belong to a row, and have everything else in common
    with the other runs but what the rows vary and what is free. Runs of one video must be judged on as many frames, and
    runs of general models on models of the same settings.

    Raises:
        InputError: Names the run, the key and both values; one line, of the first difference.
    """
    differences = [line for run in runs for line in _own_differences(protocol, run)]
    differences += _differences_between(protocol, runs) + _other_models(runs) + _other_frames(runs)
    if differences:
        more = f" (and {len(differences) - 1} more differences)" if len(differences) > 1 else ""
        raise InputError(f"{differences[0]}{more}")


def rows_of(protocol: Protocol, run: RunFolder) -> list[str]:
    """The rows that a run belongs to."""
    return [
        name
        for name, rule in protocol.rows.items()
        if all(_same(run.settings.get(key, _MISSING), value) for key, value in rule.settings.items())
    ]


def _own_differences(protocol: Protocol, run: RunFolder) -> list[str]:
    lines = []
    pinned = (("", run.settings, protocol.settings), ("scored with ", run.measured, protocol.measured))
    for how, theirs, wanted in pinned:
        for key, value in wanted.items():
            if not _same(theirs.get(key, _MISSING), value):
                lines.append(_line(run, f"{how}{key}", theirs.get(key, _MISSING), f"{protocol.path} has {value}"))
    if not rows_of(protocol, run):
        lines.append(_no_row(protocol, run))
    if protocol.exact_training:
        wanted_frames = round(FPS * float(run.settings.get("data.train_seconds", 0)))
        found = run.preparation.get("training_frames", _MISSING)
        if found != wanted_frames:
            asked = f"data.train_seconds={run.settings.get('data.train_seconds')} asks for {wanted_frames}"
            lines.append(_line(run, "training_frames", found, asked))
    return lines


def _differences_between(protocol: Protocol, runs: Sequence[RunFolder]) -> list[str]:
    """Of settings that no row varies, against the first run."""
    varied = {key for rule in protocol.rows.values() for key in rule.settings}
    free = (*protocol.free, *IGNORED)
    lines = []
    for run in runs[1:]:
        first = runs[0]
        for key in sorted(first.settings.keys() | run.settings.keys()):
            if key in varied or any(fnmatch(key, pattern) for pattern in free):
                continue
            ours, theirs = (one.settings.get(key, _MISSING) for one in (run, first))
            if not _same(ours, theirs):
                lines.append(_line(run, key, ours, f"run {first.name} has {theirs}"))
    return lines


def _other_models(runs: Sequence[RunFolder]) -> list[str]:
    """Of the general models that runs start from, against the first run; their seeds may differ."""
    wanted = [_general_models(run) for run in runs]
    return [
        _line(run, "init_from", f"of the general models {ours}", f"run {runs[0].name} of {wanted[0]}")
        for run, ours in zip(runs, wanted, strict=True)
        if ours != wanted[0]
    ]


def _general_models(run: RunFolder) -> str:
    """Hashes of their settings; where a run did not keep these, the models themselves."""
    stages = ("audio2pose", "memory_gan")
    parents = run.measured.get(PARENTS) or {stage: run.settings.get(f"init_from_{stage}") for stage in stages}
    return ", ".join(f"{stage} {parents.get(stage)}" for stage in stages)


def _other_frames(runs: Sequence[RunFolder]) -> list[str]:
    """Of the frames, or clips, that runs of one person were judged on, against the first run of that person."""
    first: dict[str, RunFolder] = {}
    lines = []
    for run in runs:
        other = first.setdefault(run.person, run)
        if run.judged != other.judged:
            lines.append(_line(run, "judged", _judged(run), f"run {other.name} of the same data {_judged(other)}"))
    return lines


def _judged(run: RunFolder) -> str:
    return f"on {run.judged[0]} {run.judged[1]}" if run.judged else "on an unknown number"


def _no_row(protocol: Protocol, run: RunFolder) -> str:
    varied = sorted({key for rule in protocol.rows.values() for key in rule.settings})
    theirs = ", ".join(f"{key}={run.settings.get(key, _MISSING)}" for key in varied)
    rows = "; ".join(
        f"{name}: {', '.join(f'{key}={value}' for key, value in rule.settings.items())}"
        for name, rule in protocol.rows.items()
    )
    return f"run {run.name}: {theirs} is no row of {protocol.path} ({rows})"


def _line(run: RunFolder, key: str, found: Any, wanted: str) -> str:
    return f"run {run.name}: {key} is {found}, {wanted}"


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
