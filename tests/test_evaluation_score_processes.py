"""Scoring shared among real processes, killed half-way, and started again: the same table, byte by byte."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from evaluation import score
from evaluation.finished_rows import FinishedRows
from evaluation.score import main
from media.video import VideoWriter
from tests.moving_photo import film, pictures

ROOT = Path(__file__).parents[1]
CLIPS = 5
ROWS = ("audio", "static")  # so that 2 and 3 processes share a clip, and none has as many pairs as another
NAMES = [f"audio/clip{clip}" for clip in range(CLIPS)] + [f"static/clip{clip}" for clip in range(CLIPS - 1)]
HEARD = ("beat_align", "beat_align_chance", "av_offset", "av_confidence")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five short real films with sound and two rows of generated ones, one film short, of unequal length."""
    folder = tmp_path_factory.mktemp("films")
    for clip in range(CLIPS):
        talking_film(folder / f"real/clip{clip}.mp4", frames=12 + clip, zoom=1.3 + 0.02 * clip)
    for number, name in enumerate(NAMES):
        dark = 2 + number // CLIPS
        film(folder / f"made/{name}.mp4", 16 - number % CLIPS, change=lambda p, frame, dark=dark: p // dark + frame)
    return folder


def talking_film(path: Path, frames: int, zoom: float) -> None:
    """The photo with a word of noise five times a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(640 * frames) / 16_000
    words = np.random.default_rng(frames).normal(0, 0.2, len(seconds)) * (np.sin(10 * np.pi * seconds) > 0)
    with VideoWriter(path, 256, 256, audio=words.clip(-1, 1).astype(np.float32), lossless=True) as writer:
        for picture in pictures(frames, zoom=zoom):
            writer.write(picture)


@pytest.fixture(scope="module")
def expected(films: Path) -> bytes:
    """The table of one process without torchrun."""
    assert main([str(films / "real"), str(films / "made"), "--out", str(films / "alone.csv")]) == 0
    return (films / "alone.csv").read_bytes()


def command(films: Path, out: Path, processes: int | None = None) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [sys.executable, *(launcher if processes else [])]
    return [*start, "-m", "evaluation.score", str(films / "real"), str(films / "made"), "--out", str(out)]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """To its end, or to that of the whole group: torchrun's children must not outlive a test."""
    process = subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@pytest.mark.parametrize(
    "processes", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_any_number_of_processes_writes_the_same_bytes(
    films: Path, expected: bytes, processes: int, tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    done = run(command(films, out, processes))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == expected
    blocks = sum(line.startswith("name ") for line in done.stdout.splitlines())  # a wide table is broken into parts
    assert done.stdout.count("truth against truth") == blocks  # one process prints it
    assert list(tmp_path.iterdir()) == [out]


def test_every_clip_is_scored_once(expected: bytes) -> None:
    names = [line.split(",")[0] for line in expected.decode().splitlines()[1:]]
    ends = [*(f"mean of {row}" for row in ROWS), "mean", score.TRUTH, score.CEILING, score.FLOOR]
    assert names == [*NAMES, *ends]


def test_the_films_are_heard(expected: bytes) -> None:
    """Otherwise equal tables would say nothing of the columns of the sound."""
    rows = [row for row in csv.DictReader(expected.decode().splitlines()) if row["name"] in NAMES]
    assert all(row[column] for row in rows for column in HEARD)


def test_what_was_finished_before_an_interruption_is_not_scored_again(
    films: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(films / "real"), str(films / "made"), "--out", str(tmp_path / "scores.csv")]
    scored: list[str] = []
    real_score_pair = score.score_pair

    def interrupted(*pair: object) -> object:
        if len(scored) == 5:
            raise KeyboardInterrupt
        scored.append(str(pair[1]))
        return real_score_pair(*pair)  # type: ignore[arg-type]

    monkeypatch.setattr(score, "score_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    kept = tmp_path / "scores.partial.jsonl"
    assert len(FinishedRows(kept)) == 5
    with kept.open("a") as file:
        file.write('{"key": "half a li')  # the line that a crash cut off
    done = list(scored)
    scored.clear()
    monkeypatch.setattr(score, "score_pair", lambda *pair: scored.append(str(pair[1])) or real_score_pair(*pair))
    assert main(arguments) == 0
    assert len(scored) == len(NAMES) + CLIPS - len(done)
    assert (tmp_path / "scores.csv").read_bytes() == expected
    assert not kept.exists()


def test_rows_of_other_settings_or_files_are_not_taken(films: Path) -> None:
    pair = films / "real/clip0.mp4", films / "made/audio/clip0.mp4"
    keys = {
        score._key(*pair, settings)
        for settings in (
            score.ScoreSettings(),
            score.ScoreSettings(bin_width=2.0),
            score.ScoreSettings(normaliser="full"),
        )
    }
    keys |= {score._key(pair[0], films / "made/audio/clip1.mp4", score.ScoreSettings())}
    assert len(keys) == 4


def test_without_out_nothing_is_kept(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(films / "real/clip0.mp4"), str(films / "made/audio/clip0.mp4")]) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_row(films: Path, expected: bytes, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    kept = tmp_path / "scores.partial.jsonl"
    process = subprocess.Popen(command(films, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while len(FinishedRows(kept)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= len(FinishedRows(kept)) < len(NAMES) + CLIPS
    assert not out.exists()
    done = run(command(films, out))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == expected
