"""What is logged where while a stage trains: a CSV file per stage, and one W&B run for the whole run."""

import csv
import netrc
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from experiments.launch import is_first_process
from experiments.score_table import read_scores, talking_videos
from experiments.settings import run_id
from media.errors import InputError
from media.whole_file import whole_file

_SECONDS_BETWEEN_WRITES = 5.0  # the file is written as a whole, so not after every step


class CurveLogger(Logger):
    """Appends to `logs/<stage>/metrics.csv`, one row per logged step.

    Lightning's own CSV logger deletes what a run logged before it was resumed; this one goes on. A run that was killed
    in the middle of an epoch repeats that epoch, so rows of steps not yet reached again are dropped at the start.

    Args:
        folder: The run folder.
        stage: `audio2pose` or `memory_gan`.
    """

    def __init__(self, folder: Path, stage: str):
        super().__init__()
        self.path, self._stage = folder / "logs" / stage / "metrics.csv", stage
        self._rows: list[dict[str, Any]] | None = None
        self._written = 0.0

    @property
    def name(self) -> str:
        """The stage."""
        return self._stage

    @property
    def version(self) -> str:
        """Nothing: the run folder says which run it is."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Settings are in `settings.yaml`, for both stages."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep a row; the first one decides what is kept of an earlier start."""
        if self._rows is None:
            self._rows = [row for row in read_curves(self.path) if step is None or row["step"] < step]
        values = {key: float(value) if isinstance(value, Tensor) else value for key, value in metrics.items()}
        self._rows.append({"step": step, **values})

    @rank_zero_only
    def save(self) -> None:
        """Write the file if that was last done a while ago; Lightning calls this after every logged step."""
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.flush()

    @rank_zero_only
    def flush(self) -> None:
        """Write the file now."""
        if not self._rows:
            return
        names = {name for row in self._rows for name in row}
        with whole_file(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", "step", *sorted(names - {"epoch", "step"})])
            writer.writeheader()
            writer.writerows(self._rows)
        self._written = time.monotonic()


def read_curves(path: Path) -> list[dict[str, float]]:
    """Rows of a `metrics.csv`, each with the values logged at its `step`; empty if there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


class StageWandbLogger(WandbLogger):
    """Logs a stage into the run's one W&B run, its names and its steps under the name of the stage.

    Args:
        run: From `start_wandb`.
        stage: `audio2pose` or `memory_gan`; both count steps from 0, so each needs an axis of its own.
    """

    def __init__(self, run: Any, stage: str):
        super().__init__(experiment=run, prefix=stage)
        self._step_name = f"{stage}/step"
        run.define_metric(f"{stage}/*", step_metric=self._step_name)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log under `<stage>/`."""
        named = {f"{self._prefix}/{key}": value for key, value in metrics.items()}
        self.experiment.log(named if step is None else named | {self._step_name: step})


def start_wandb(settings: dict[str, Any], folder: Path) -> Any | None:
    """Start, or resume, the W&B run of a run; its id is the run id, or the sweep agent's where there is one.

    Args:
        settings: Of the run.
        folder: The run folder; W&B's files go to `logs/wandb`.

    Returns:
        The `wandb` run, or None if `wandb.mode` is `disabled` or this is not the first process.

    Raises:
        InputError: If `wandb.mode=online` and W&B cannot be reached.
    """
    mode = wandb_mode(settings["wandb"]["mode"])
    if mode == "disabled" or not is_first_process():
        return None
    import wandb  # takes a second: not for runs that do without

    name = os.environ.get("WANDB_RUN_ID") or run_id(settings)
    keywords = {"project": settings["wandb"]["project"], "entity": settings["wandb"]["entity"], "config": settings}
    keywords |= {"id": name, "name": name, "dir": str(folder / "logs")}
    (folder / "logs").mkdir(parents=True, exist_ok=True)  # W&B looks for the commit from there, and warns otherwise
    quiet = wandb.Settings(silent=True, console="off", init_timeout=30)
    try:
        return wandb.init(**keywords, mode=mode, resume="allow" if mode == "online" else None, settings=quiet)
    except Exception as error:  # W&B raises several kinds, none of which may end hours of training
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if settings["wandb"]["mode"] == "online":
            raise InputError(f"wandb.mode=online: {reason}; use wandb.mode=offline or disabled") from error
        rank_zero_warn(f"W&B cannot be reached ({reason}): logging offline into {folder / 'logs'}")
        return wandb.init(**keywords, mode="offline", settings=quiet)


def wandb_mode(setting: str) -> Any:
    """What `wandb.mode=auto` means here: `WANDB_MODE` if set, online with an API key, else offline."""
    if setting != "auto":
        return setting
    if os.environ.get("WANDB_MODE"):
        return {"dryrun": "offline", "run": "online"}.get(os.environ["WANDB_MODE"], os.environ["WANDB_MODE"])
    return "online" if os.environ.get("WANDB_API_KEY") or _has_netrc_key() else "offline"


def log_results(run: Any | None, folder: Path) -> None:
    """Log a finished run to W&B: the score table and every video with its sound.

    Args:
        run: From `start_wandb`; nothing happens for None.
        folder: The run folder with `scores.csv` and `videos/`.
    """
    if run is None:
        return
    import wandb

    header, rows = read_scores(folder)
    if rows:
        run.log({"scores": wandb.Table(columns=[*header], data=[[_number(cell) for cell in row] for row in rows])})
    for path in (folder / "videos" / "comparison.mp4", *talking_videos(folder)):
        if path.is_file():
            run.log({f"videos/{path.stem}": wandb.Video(str(path), format="mp4")})


def _number(cell: str) -> float | str | None:
    try:
        return float(cell)
    except ValueError:
        return cell or None  # a table's column holds numbers or nothing


def _has_netrc_key() -> bool:
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
