"""The rows of a run, made once, and their score table, from films whose lost faces are known."""

import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from evaluation.measure import measure
from experiments.rows import (
    GENERATED_COLUMNS,
    REENACTED_COLUMNS,
    ROWS,
    SHUFFLES,
    is_scored,
    row_videos,
    score_rows,
    write_rows,
)
from media.video import read_frames
from synthesis.listening import Motion
from synthesis.talker import Performance
from tests.moving_photo import film

FRAMES = 9


def without_face(*frames: int):
    return lambda picture, frame: np.full_like(picture, 100) if frame in frames else picture


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rows are the reference, but for the faces that two videos of `audio` and one of `shuffled_2` have lost."""
    folder = tmp_path_factory.mktemp("run") / "videos"
    reference = film(folder / "reference.mp4", frames=FRAMES)
    for row in ("audio", "static", "true_coefficients", *(f"shuffled_{quarter}" for quarter in SHUFFLES)):
        (folder / row).mkdir()
        for name in ("reenacted",) if row == "true_coefficients" else ("reenacted", "generated"):
            shutil.copy(reference, folder / row / f"{name}.mp4")
    film(folder / "audio/reenacted.mp4", FRAMES, change=without_face(3, 4))
    film(folder / "audio/generated.mp4", FRAMES, change=without_face(5))
    film(folder / "shuffled_2/generated.mp4", FRAMES, change=without_face(2, 5, 6))
    return folder


@pytest.fixture(scope="module")
def table(videos: Path) -> dict[str, dict[str, str]]:
    score_rows(videos, videos.parent / "scores.csv")
    with (videos.parent / "scores.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_the_table_has_every_row_and_column(table: dict[str, dict[str, str]]) -> None:
    assert list(table) == ["audio", "static", "shuffled", "true_coefficients", "truth"]
    assert list(table["audio"]) == ["name", *REENACTED_COLUMNS, *GENERATED_COLUMNS]


def test_lost_faces_are_kept_for_both_videos_of_a_row(table: dict[str, dict[str, str]], videos: Path) -> None:
    lost = {name: (row["lost_frames"], row["lost_frames_generated"]) for name, row in table.items()}
    expected = {"audio": ("2", "1"), "static": ("0", "0"), "shuffled": ("0", "1"), "truth": ("0", "0")}
    assert lost == expected | {"true_coefficients": ("0", "")}
    assert json.loads((videos.parent / "scored.json").read_text())["frames"] == FRAMES


def test_the_face_has_its_own_ssim(table: dict[str, dict[str, str]], videos: Path) -> None:
    real, made = videos / "reference.mp4", videos / "audio/reenacted.mp4"
    masks = [measure(real).face_mask(frame) for frame in range(FRAMES)]
    images = [
        structural_similarity(*pair, channel_axis=2, data_range=255, full=True)[1]
        for pair in zip(read_frames(real), read_frames(made), strict=True)
    ]
    expected = np.mean([image[mask].mean() for image, mask in zip(images, masks, strict=True)])
    assert float(table["audio"]["ssim_face"]) == pytest.approx(expected, abs=1e-4)
    assert float(table["static"]["ssim_face"]) == 1


def touch_rows(videos: Path) -> None:
    for path in (videos / "reference.mp4", *(path for row in ROWS for path in row_videos(videos, row))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_only_missing_rows_are_performed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, asked = 2, []

    def listen(samples: np.ndarray) -> Motion:
        asked.append("listen")
        return Motion(np.zeros((frames, 64), np.float32), np.zeros((frames, 6), np.float32))

    def perform(motion: Motion) -> Performance:
        asked.append("perform")
        return Performance(np.zeros((frames, 257), np.float32), np.zeros(frames, int))

    coefficients = np.zeros((frames, 257), np.float32)
    clip = SimpleNamespace(
        coefficients=coefficients, training=slice(0, frames), sound=lambda part: np.zeros(frames * 640, np.float32)
    )
    talker = SimpleNamespace(
        clip=clip,
        renderer=SimpleNamespace(model=None),
        listen=listen,
        perform=perform,
        refine=lambda chi, background: iter([(np.zeros((64, 64, 3), np.uint8), None)] * frames),
        true_background=lambda part: None,
        training_background=lambda source_frames: None,
    )
    monkeypatch.setattr("experiments.rows.EyeFollower", lambda model: lambda expression, filmed: expression)
    touch_rows(tmp_path)
    missing = tmp_path / "static" / "generated.mp4"
    missing.unlink()
    write_rows(talker, slice(0, frames), tmp_path)
    assert asked.count("perform") == 1
    assert len(read_frames(missing)) == frames
    asked.clear()
    write_rows(talker, slice(0, frames), tmp_path)
    assert asked == []


def test_scores_are_those_of_the_videos_that_are_there(tmp_path: Path) -> None:
    videos, table, record = tmp_path / "videos", tmp_path / "scores.csv", tmp_path / "scored.json"
    touch_rows(videos)
    table.touch()
    assert not is_scored(videos, table)  # what is written last is missing
    record.touch()
    for path in (table, record):
        os.utime(path, (2e9, 2e9))
    assert is_scored(videos, table)
    os.utime(videos / "static" / "generated.mp4", (2.1e9, 2.1e9))
    assert not is_scored(videos, table)
    (videos / "static" / "generated.mp4").unlink()
    assert not is_scored(videos, table)
