"""Where a run's numbers come from: `provenance.json` in the run folder.

One map of facts that hold for the whole run, one list of `starts` (a resumed run has several, perhaps with other
code or on another machine) and one list of `stages` with their times. The file is replaced as a whole, so a killed
run never leaves half of one.
"""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.origin import REPOSITORY, git_output
from evaluation.run_files import PROVENANCE
from experiments.launch import is_first_process
from experiments.settings import run_id
from media.whole_file import whole_file

DIFFERENCE = "uncommitted.diff"  # what the working tree had beyond the commit
PACKAGES = (
    *("torch", "pytorch-lightning", "torchmetrics", "omegaconf", "numpy", "scipy", "librosa", "av", "numba", "kornia"),
    *("POT", "ai-edge-litert", "onnxruntime-gpu", "onnxruntime", "espeakng-loader", "wandb"),
)
BF16_FLAGS = ("avx512_bf16", "amx_bf16")  # processors that compute in bfloat16 rather than emulate it


def record_start(folder: Path, settings: dict[str, Any], arguments: Sequence[str]) -> None:
    """Add one start to a run's provenance: command, code, packages, machine.

    Args:
        folder: The run folder; `uncommitted.diff` is written there if the code is not what is committed.
        settings: Resolved settings of the run.
        arguments: Of the command line.
    """
    parent = settings.get("init_from")
    record(folder, run_id=run_id(settings), parent_run=Path(parent).resolve().name if parent else None)
    commit, difference = code_state()
    if difference:
        (folder / DIFFERENCE).write_text(difference)
    start = {
        "time": _now(),
        "arguments": list(arguments),
        "settings": settings,
        "commit": commit,
        "uncommitted_changes": bool(difference),
        "python": platform.python_version(),
        "packages": package_versions(),
        "machine": machine(),
    }
    _append(folder, "starts", start)


@contextmanager
def stage(folder: Path, name: str) -> Iterator[None]:
    """Time a stage of a run; what fails or is interrupted is recorded too, with how it ended.

    Args:
        folder: The run folder.
        name: Such as `prepare`, `fit memory_gan`, `score`.
    """
    started, clock, outcome = _now(), time.perf_counter(), "finished"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        seconds = round(time.perf_counter() - clock, 2)
        entry = {"name": name, "started": started, "seconds": seconds, "outcome": outcome}
        _append(folder, "stages", entry | {"peak_memory_gb": round(peak_memory() / 2**30, 2)})


def record(folder: Path, **facts: Any) -> None:
    """Add facts that hold for the whole run, e.g. `video_sha256=...` or `assets={name: sha256}`."""
    _write(folder, read(folder) | facts)


def read(folder: Path) -> dict[str, Any]:
    """The provenance recorded so far; empty for a folder without any."""
    path = folder / PROVENANCE
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def code_state(repository: Path = REPOSITORY) -> tuple[str | None, str]:
    """Commit of the code that runs, and the difference of the working tree to it (new files by name only).

    Returns:
        `(None, "")` where there is no git or no repository.
    """
    commit = git_output(repository, "rev-parse", "HEAD")
    if commit is None:
        return None, ""
    untracked = git_output(repository, "ls-files", "--others", "--exclude-standard") or ""
    difference = git_output(repository, "diff", "HEAD") or ""
    return commit.strip(), difference + "".join(f"new file: {name}\n" for name in untracked.splitlines())


def package_versions() -> dict[str, str]:
    """Versions of the packages that shape results, those of them that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """Processor, number of usable cores, graphics processors. Times mean nothing without these."""
    devices: list[str] = []
    if "torch" in sys.modules:  # asking is not worth the seconds of importing it
        cuda = sys.modules["torch"].cuda
        devices = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": processor_name(), "cores": cores, "gpus": devices, "system": platform.platform()}


def processor_name() -> str:
    """Such as `AMD EPYC (avx2, avx512f, avx512_bf16)`: the instructions decide how fast networks are."""
    name = _processor_facts().get("model name") or platform.processor() or platform.machine()
    marks = [flag for flag in ("avx2", "avx512f", *BF16_FLAGS) if flag in processor_flags()]
    return f"{name} ({', '.join(marks)})" if marks else name


def processor_flags() -> set[str]:
    """Instruction sets of the processor, as Linux names them; empty on other systems."""
    return set(_processor_facts().get("flags", "").split())


def _processor_facts() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")  # getrusage would count what the parent had before it started this program
    if status.is_file():
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if line is not None:
            return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # kilobytes everywhere but there


def _append(folder: Path, name: str, entry: dict[str, Any]) -> None:
    provenance = read(folder)
    _write(folder, provenance | {name: [*provenance.get(name, []), entry]})


def _write(folder: Path, provenance: dict[str, Any]) -> None:
    if not is_first_process():
        return
    with whole_file(folder / PROVENANCE) as temporary:
        temporary.write_text(json.dumps(provenance, indent=1, default=str))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
