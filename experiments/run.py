"""Prepare, fit, generate and score: `python -m experiments.run [key=value ...]`.

Settings are checked before anything heavy is imported, the machine before anything long is started.
"""

import errno
import fcntl
import logging
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from evaluation.run_files import DONE, PROVENANCE, flatten
from experiments.checks import check_machine, check_photo
from experiments.grid import Grid, named_grid, run_named_grid
from experiments.launch import is_first_process, run_folder, run_grid
from experiments.score_table import summary
from experiments.settings import (
    CONFIGS,
    FILES,
    compose,
    differences,
    existing_file,
    expand_grid,
    save_settings,
    to_yaml,
)
from media.digest import sha256
from media.errors import InputError
from media.whole_file import remove_unfinished

HELP = """\
usage: python -m experiments.run [key=value ...] [--dry-run]

Fits both networks to one person, generates the held-out part from its sound, scores and reports it.

  (nothing)                              the embedded person: a small run that shows the whole path
  experiment=personal data.video=VIDEO   a real video of one person, with sound, 16 s or longer
  ... seed=0,1,2 | grid=ablation         a grid, finished runs skipped; of a table: docs/tables.md
  ... generate.audio=SPEECH              one more video, of this speech
  ... init_from=RUN_FOLDER               start from the weights of a finished run
  experiment=audio2pose_general data.root=CORPUS   many people; or memory_gan_general, prepare_lrw
  experiment=photo data.image=PHOTO generate.audio=SPEECH     a photo instead of a video

The same command continues a stopped run. Results: runs/<run id>/report.html, scores.csv, videos/
  --dry-run    print the settings and the run id, do nothing
  --help       this text

experiment={experiments}, or one of those above
{groups}
All settings are in configs/default.yaml and configs/<group>/<option>.yaml; a.b=value changes one."""


class Stopped(KeyboardInterrupt):
    """The process was asked to end by SIGTERM, as Ctrl-C asks by SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say.

    Returns:
        Exit status: 0 done, 1 a run of a grid failed, 2 refused input, 130 or 143 stopped by a signal.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help", "help"} & set(arguments):
        print(help_text())
        return 0
    dry = "--dry-run" in arguments
    arguments = [argument for argument in arguments if argument != "--dry-run"]
    try:
        grid = named_grid(arguments) or Grid(None, expand_grid(arguments))
        settings = [compose(cell) for cell in grid.cells]
        for chosen in settings:
            check_photo(chosen)  # before it is told that a file is missing which it cannot use
            run_folder(chosen)  # reads the files named in the settings
        if dry:
            for chosen in [*map(compose, grid.before), *settings]:
                print(f"{to_yaml(chosen)}run id: {run_folder(chosen).name}")
            return 0
        signal.signal(signal.SIGTERM, _stop)
        if settings[0]["data"].get("prepare_only"):
            return prepare_corpora(settings)
        if grid.name:
            return run_named_grid(grid, settings)
        return run_grid(grid.cells, settings) if len(settings) > 1 else run_one(settings[0], arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        _mark_preempted()
        _say_how_to_resume(arguments)
        return 143 if isinstance(stop, Stopped) else 130


def run_one(settings: dict[str, Any], arguments: Sequence[str]) -> int:
    """One run from where it stands to its end.

    Args:
        settings: Composed settings.
        arguments: Of the command line, for the provenance.

    Raises:
        InputError: If something the user gave, or the machine, cannot be used.
    """
    folder = run_folder(settings)
    first = is_first_process()
    if (folder / DONE).is_file() and not settings["generate"]["audio"]:
        print(f"run {folder.name} is finished\n\n{summary(folder)}")
        return 0
    check_machine(settings, folder)
    with _lock(folder) if first else _nothing():
        if first:
            print(introduction(settings, folder), flush=True)
            remove_unfinished(folder)
            save_settings(settings, folder)
        _run(settings, folder, arguments)
        if first:
            (folder / DONE).touch()
            print(f"\n{summary(folder)}")
            if settings["generate"]["output"]:
                print(f"video   {settings['generate']['output']}")
    return 0


def prepare_corpora(settings: Sequence[dict[str, Any]]) -> int:
    """Prepare corpora, or shards of one, one after the other; that is no run and leaves no run folder."""
    from experiments.corpus import prepare_only

    for chosen in settings:
        prepare_only(chosen)
    return 0


def introduction(settings: dict[str, Any], folder: Path) -> str:
    """What is run and where, and every setting that is not the default."""
    resumed = "continued" if (folder / PROVENANCE).is_file() else "new"
    lines = [f"run {folder.name} ({resumed}), experiment {settings['experiment']}, in {folder}"]
    for key, (value, default) in sorted(differences(settings).items()):
        was = "" if default in (None, "???") else f"  (default {default})"
        lines.append(f"  {key} = {value}{was}")
    return "\n".join(lines)


def given_files(settings: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the user's face models and networks, by the settings that name them."""
    flat = flatten(settings)
    keys = [key for key in FILES if not key.startswith("data.") and flat.get(key)]
    return {key: sha256(existing_file(key, flat[key])) for key in keys}


def help_text() -> str:
    """Short help, with the names of all experiments and groups."""
    groups = {
        path.name: sorted(file.stem for file in path.glob("*.yaml"))
        for path in CONFIGS.iterdir()
        if path.is_dir() and path.name not in ("grid", "protocols")  # named above; of tables, not of runs
    }
    experiments = "|".join(name for name in groups.pop("experiment") if name not in HELP)
    listed = "\n".join(f"{name}={'|'.join(options)}" for name, options in sorted(groups.items()) if len(options) > 1)
    return HELP.format(experiments=experiments, groups=listed)


def _run(settings: dict[str, Any], folder: Path, arguments: Sequence[str]) -> None:
    """The long part; torch and Lightning are imported only here."""
    threads = settings["trainer"]["threads"]
    if threads:  # torch reads it when it is imported, and so do the other processes of a training
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from experiments import provenance
    from experiments.stages import run_stages

    _quieten_libraries()
    if is_first_process():
        provenance.record_start(folder, settings, arguments)
        provenance.record(folder, files_sha256=given_files(settings))
    try:
        run_stages(settings, folder)
    except SystemExit as end:  # what Lightning makes of an interrupt
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        raise
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(f"{error.filename or folder}: the disk is full; make room and repeat the command") from error


def _stop(signum: int, frame: FrameType | None) -> None:
    raise Stopped


def _say_how_to_resume(arguments: Sequence[str]) -> None:
    if not is_first_process():
        return
    command = shlex.join(["python", "-m", "experiments.run", *arguments])
    print(f"\nstopped; the same command continues after what is finished:\n  {command}", file=sys.stderr)


def _mark_preempted() -> None:
    """Have a W&B sweep queue this run again, which its non-zero exit status alone would not."""
    run = sys.modules["wandb"].run if "wandb" in sys.modules else None
    if run is not None:
        run.mark_preempting()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a run folder; the system lets go of it with the process, however that ends."""
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: this run is being computed by another process; wait for it or stop it"
            ) from error
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _quieten_libraries() -> None:
    """Keep from the user what libraries say to developers; to be called once they are imported, which resets this."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric|torch\.utils\.data)\b.*")


if __name__ == "__main__":
    sys.exit(main())
