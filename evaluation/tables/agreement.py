"""Whether runs followed a table's protocol, and if not, which, where and how."""

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

from evaluation.tables.protocol import Protocol
from evaluation.tables.run_folder import RunFolder
from media.errors import InputError
from media.video import FPS

# Settings that cannot change a run's result: names, places, speed, what is made of it afterwards.
NOT_THE_RESULT = (
    *("experiment", "runs", "launch.*", "shard", "generate.*", "wandb.*", "data.cache", "data.prepared"),
    *("trainer.accelerator", "trainer.strategy", "trainer.devices", "trainer.num_nodes", "trainer.threads"),
    *("trainer.workers", "fit.*.workers"),
)
_MISSING = "not there"


def require_agreement(protocol: Protocol, runs: Sequence[RunFolder]) -> None:
    """Refuse runs that a table cannot compare.

    Every run must have the pinned settings, be scored as pinned, belong to a row, and have everything else in common
    with the other runs but what the rows vary and what is free.

    Raises:
        InputError: Names the run, the key and both values; one line, of the first difference.
    """
    differences = [line for run in runs for line in _own_differences(protocol, run)]
    differences += _differences_between(protocol, runs)
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
    free = (*protocol.free, *NOT_THE_RESULT)
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
