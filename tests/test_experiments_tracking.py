import csv

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.settings import compose, run_id
from experiments.tracking import CurveLogger, StageWandbLogger, log_results, read_curves, start_wandb, wandb_mode
from media.video import VideoWriter


def settings(mode="disabled"):
    return compose([f"wandb.mode={mode}", "wandb.project=test"])


def test_curves_go_on_where_a_resumed_run_does(tmp_path):
    first = CurveLogger(tmp_path, "memory_gan")
    for step in range(10):
        first.log_metrics({"train/loss": torch.tensor(float(step)), "epoch": step // 5}, step)
    first.finalize("failed")
    second = CurveLogger(tmp_path, "memory_gan")  # resumed at step 5: 5 to 9 come again
    for step in range(5, 12):
        second.log_metrics({"train/loss": 100.0 + step, "val/psnr": 30.0}, step)
    second.finalize("success")
    rows = read_curves(tmp_path / "logs/memory_gan/metrics.csv")
    assert [row["step"] for row in rows] == list(range(12))
    assert [row["train/loss"] for row in rows] == [0, 1, 2, 3, 4, *range(105, 112)]
    assert "val/psnr" not in rows[0]
    with (tmp_path / "logs/memory_gan/metrics.csv").open() as file:
        assert next(csv.reader(file)) == ["epoch", "step", "train/loss", "val/psnr"]


@pytest.mark.parametrize(
    ("setting", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "x" * 40}, "online"),
        ("auto", {"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "disabled"}, "disabled"),
        ("offline", {"WANDB_API_KEY": "x" * 40}, "offline"),
        ("disabled", {}, "disabled"),
    ],
)
def test_wandb_is_offline_unless_there_is_a_key(monkeypatch, tmp_path, setting, environment, mode):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(setting) == mode


def test_key_in_netrc_counts(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password key\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert wandb_mode("auto") == "online"


def test_wandb_run_has_the_run_id_and_both_stages(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    chosen = settings("offline")
    run = start_wandb(chosen, tmp_path)
    try:
        assert run.id == run_id(chosen)
        for stage, steps in (("audio2pose", 3), ("memory_gan", 2)):
            logger = StageWandbLogger(run, stage)
            for step in range(steps):
                logger.log_metrics({"train/loss": float(step)}, step)
        summary = dict(run.summary)
    finally:
        run.finish()
    assert summary["audio2pose/train/loss"] == 2
    assert summary["memory_gan/train/loss"] == 1  # later than the other and yet at smaller steps
    assert summary["audio2pose/step"] == 2
    assert list((tmp_path / "logs" / "wandb").glob("offline-run-*"))


def test_sweep_agents_run_id_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_RUN_ID", "sweep123")
    run = start_wandb(settings("offline"), tmp_path)
    try:
        assert run.id == "sweep123"
    finally:
        run.finish()


def test_disabled_wandb_is_nothing(tmp_path):
    assert start_wandb(settings(), tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_results_and_image_grids_are_logged_offline(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)
    (tmp_path / "scores.csv").write_text("row,psnr,hs\naudio,33.1,0.83\ntrue_coefficients,34.0,\n")
    for name in ("comparison", "heldout", "speech/hello"):
        with VideoWriter(tmp_path / "videos" / f"{name}.mp4", 64, 64) as writer:
            writer.write(np.full((64, 64, 3), 99, np.uint8))
    run = start_wandb(settings("offline"), tmp_path)
    logged, log = [], run.log
    monkeypatch.setattr(run, "log", lambda values, *a, **k: logged.append(values) or log(values, *a, **k))
    try:
        StageWandbLogger(run, "memory_gan").log_image("validation", [Image.new("RGB", (32, 32), "red")])
        log_results(run, tmp_path)
    finally:
        run.finish()
    values = {name: value for entry in logged for name, value in entry.items()}
    table = values["scores"]
    assert table.columns == ["row", "psnr", "hs"]
    assert table.data == [["audio", 33.1, 0.83], ["true_coefficients", 34.0, None]]
    assert {"videos/comparison", "videos/heldout", "videos/hello"} <= set(values)
    (media,) = (tmp_path / "logs" / "wandb").glob("offline-run-*/files/media")
    kept = {suffix: len(list(media.rglob(f"*{suffix}"))) for suffix in (".mp4", ".png", ".table.json")}
    assert kept == {".mp4": 3, ".png": 1, ".table.json": 1}


def test_without_a_run_nothing_is_logged(tmp_path):
    log_results(None, tmp_path)
    assert not list(tmp_path.iterdir())
