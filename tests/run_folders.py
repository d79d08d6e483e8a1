"""Run folders as experiments leave them, for what tables read of them."""

import csv
import json
from pathlib import Path

import numpy as np
import yaml

from evaluation.tables.protocol import Protocol

COLUMNS = (
    *("psnr", "psnr_face", "psnr_atvg", "ssim", "lmd_px128", "lmd_iod", "mouth_correlation"),
    *("hs", "hs_centred", "w1_pitch", "w1_yaw", "w1_roll", "head_motion_ratio", "velocity_distance"),
)


def write_run(
    runs: Path,
    name: str,
    protocol: Protocol,
    scores: dict[str, float] | None = None,
    *,
    person: str = "person",
    row: str | None = None,
    changes: dict | None = None,
    measured: dict | None = None,
    angles: np.ndarray | None = None,
    training_frames: int | None = None,
    finished: bool = True,
) -> Path:
    """A finished run that follows a protocol, but for the changes; all of its scores are 1 unless given."""
    folder = runs / name
    folder.mkdir(parents=True)
    row = row or next(iter(protocol.rows))
    settings = {"data.train_seconds": 12.0, "seed": 0, "memory_gan.channels": 16, "data.video": person}
    settings |= protocol.settings | protocol.rows[row].settings | (changes or {})
    (folder / "settings.yaml").write_text(yaml.safe_dump(nested(settings)))
    (folder / "scored.json").write_text(json.dumps(protocol.measured | (measured or {})))
    frames = round(25 * settings["data.train_seconds"]) if training_frames is None else training_frames
    (folder / "preparation.json").write_text(json.dumps({"source_sha256": person, "training_frames": frames}))
    start = {"commit": "c0ffee" * 7, "uncommitted_changes": False}
    (folder / "provenance.json").write_text(json.dumps({"run_id": name, "starts": [start]}))
    lines = {"audio": scores or {}, "static": {}, "shuffled": {}, "truth": {}}
    write_scores(folder / "scores.csv", {name: dict.fromkeys(COLUMNS, 1.0) | own for name, own in lines.items()})
    if angles is not None:
        np.save(folder / "reference_angles.npy", angles.astype(np.float32))
    if finished:
        (folder / "DONE").touch()
    return folder


def write_scores(path: Path, rows: dict[str, dict[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", *next(iter(rows.values()))])
        writer.writeheader()
        writer.writerows({"name": name, **values} for name, values in rows.items())


def nested(flat: dict) -> dict:
    tree: dict = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def write_record(runs: Path, grid: str, cells: list[tuple[str, str, dict]]) -> None:
    """What `experiments.run grid=...` leaves."""
    (runs / "grids").mkdir(parents=True, exist_ok=True)
    content = {"grid": grid, "runs": [{"run": run, "state": state, "settings": s} for run, state, s in cells]}
    (runs / "grids" / f"{grid}.json").write_text(json.dumps(content))
