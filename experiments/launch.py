"""A grid of runs, each in a process of its own: finished ones are skipped, a failing one does not stop the others."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evaluation.run_files import DONE, flatten
from experiments.score_table import mean_scores
from experiments.settings import run_id


@dataclass(frozen=True)
class GridRun:
    """One run of a grid.

    Attributes:
        arguments: Of its command line.
        settings: What they compose to.
        name: The run id.
        folder: The run folder.
    """

    arguments: Sequence[str]
    settings: dict[str, Any]
    name: str
    folder: Path


def is_first_process() -> bool:
    """Whether this is the process that writes and speaks; Lightning starts the others with the same command line."""
    ranks = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def process_count(settings: dict[str, Any]) -> int:
    """How many processes train."""
    count: int = settings["trainer"]["devices"] * settings["trainer"]["num_nodes"]
    return count


def run_folder(settings: dict[str, Any]) -> Path:
    """`<runs>/<run id>`."""
    return Path(settings["runs"]).expanduser() / run_id(settings)


def run_grid(
    argument_lists: Sequence[Sequence[str]],
    settings: Sequence[dict[str, Any]],
    left_out: Sequence[str] = (),
    record: Callable[[Sequence[GridRun], Sequence[str]], object] | None = None,
) -> int:
    """Run every cell of a grid and print a summary.

    Args:
        argument_lists: Command line arguments of each run.
        settings: What each composes to.
        left_out: Why a run is not started, for each; empty for those that are.
        record: Called with runs and states at the start and at the end.

    Returns:
        Exit status: 0 if all runs are finished, else 1.
    """
    pairs = zip(argument_lists, settings, strict=True)
    runs = [GridRun(arguments, chosen, run_id(chosen), run_folder(chosen)) for arguments, chosen in pairs]
    states = ["finished before" if _is_finished(run) else "" for run in runs]
    finished = sum(map(bool, states))
    states = [state or why for state, why in zip(states, left_out or [""] * len(runs), strict=True)]
    waiting = [index for index, state in enumerate(states) if not state]
    said = f"grid of {len(runs)} runs, {finished} of them finished before"
    impossible = len(runs) - len(waiting) - finished
    print(said + (f", {impossible} left out" if impossible else ""), flush=True)
    if record:
        record(runs, [state or "not started" for state in states])
    running: dict[int, subprocess.Popen[bytes]] = {}
    parallel = settings[0]["launch"]["parallel"]
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                index = waiting.pop(0)
                print(f"\n[{index + 1}/{len(runs)}] {' '.join(runs[index].arguments)}", flush=True)
                running[index] = _start(runs[index], alone=parallel == 1)
            for index, process in list(running.items()):
                if process.poll() is not None:
                    states[index] = "finished" if process.returncode == 0 else f"failed ({_reason(process.returncode)})"
                    del running[index]
            time.sleep(0.1)
    finally:
        for index, process in running.items():
            process.terminate()
            process.wait()
            states[index] = "stopped"
        states = [state or "not started" for state in states]
        if record:
            record(runs, states)
        print("\n" + grid_table(runs, states), flush=True)
    return int(any(state.startswith("failed") for state in states))


def grid_table(runs: Sequence[GridRun], states: Sequence[str]) -> str:
    """The table at the end of a grid: what varied, how it ended, and the scores of the row `audio`."""
    flat = [flatten(run.settings) for run in runs]
    varied = [key for key in flat[0] if len({str(values.get(key)) for values in flat}) > 1]
    scores = [mean_scores(run.folder) for run in runs]
    names = list(dict.fromkeys(name for values in scores for name in values))
    rows = [["run", *varied, "state", *names]]
    for run, values, state, scored in zip(runs, flat, states, scores, strict=True):
        numbers = [f"{scored[name]:.4g}" if name in scored else "" for name in names]
        rows.append([run.name, *(str(values.get(key)) for key in varied), state, *numbers])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _is_finished(run: GridRun) -> bool:
    return (run.folder / DONE).is_file() and not run.settings["generate"]["audio"]


def _start(run: GridRun, alone: bool) -> subprocess.Popen[bytes]:
    """Start a run; several at the same time would mix their lines, so each then writes into its folder."""
    output: IO[bytes] | None = None
    if not alone:
        run.folder.mkdir(parents=True, exist_ok=True)
        output = (run.folder / "output.txt").open("ab")
        print(f"    output in {output.name}", flush=True)
    command = [sys.executable, "-m", "experiments.run", *run.arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT if output else None)


def _reason(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
