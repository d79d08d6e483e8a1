import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.synthetic.carriers import WORDS, carry
from datamodules.synthetic.lrw_corpus import CorpusSize, make_lrw_corpus, plan_corpus
from datamodules.synthetic.spoken_truth import spoken_truth
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, TRANSLATION
from face.landmarks import mouth_opening
from face.models.registry import load_face_model
from face.tracking import track
from media.audio import read_audio
from media.errors import InputError
from media.video import probe, read_frames, stream_frames

SMALL = CorpusSize(words=2, clips=4, people=3, seed=0)
FIRST_SOUND = {"USEFUL": "j", "BOUGHT": "b"}  # in every accent of English
CLIPS = sorted(
    f"{w}/{s}/{w}_{n:05d}" for w in FIRST_SOUND for s, n in (("train", 1), ("train", 2), ("val", 1), ("test", 1))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lrw_corpus(tmp_path_factory.mktemp("corpus"), SMALL, processes=1)


@pytest.fixture(scope="module")
def truths(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    truths = {}
    for clip in CLIPS:
        with np.load(folder / f"{clip}.npz") as file:
            truths[clip] = dict(file)
    return truths


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_layout_is_that_of_lrw(folder: Path) -> None:
    expected = {f"{clip}{ending}" for clip in CLIPS for ending in (".mp4", ".txt", ".npz")} | {"speakers.csv"}
    assert set(_files(folder)) == expected
    for clip in CLIPS[::3]:
        video = folder / f"{clip}.mp4"
        info = probe(video)
        assert (info.width, info.height, info.fps, info.has_audio) == (256, 256, 25, True)
        assert len(read_frames(video)) == 29
        assert len(read_audio(video)) == pytest.approx(29 * 640, abs=1024)


def test_the_text_file_reads_like_lrw(folder: Path, truths: dict[str, dict[str, np.ndarray]]) -> None:
    for clip in CLIPS:
        lines = (folder / f"{clip}.txt").read_text().splitlines()
        fields = ["Disk reference", "Channel", "Program start", "Clip start", "Duration"]
        assert [line.partition(": ")[0] for line in lines] == fields
        duration = float(lines[4].split(" ")[1])  # as readers of LRW find it
        assert duration == pytest.approx(truths[clip]["word_end"] - truths[clip]["word_start"], abs=0.006)
        assert 0.15 < duration < 0.9


def test_speakers_of_the_table_are_those_of_the_truth(folder: Path, truths: dict[str, dict[str, np.ndarray]]) -> None:
    with open(folder / "speakers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["clip"] for row in rows) == CLIPS
    faces: dict[str, np.ndarray] = {}
    for row in rows:
        truth = truths[row["clip"]]
        assert truth["speaker"] == row["speaker"]
        face = faces.setdefault(row["speaker"], truth["chi"][0, IDENTITY])
        assert (truth["chi"][:, IDENTITY] == face).all()
    assert len(faces) == 3
    assert len({face.tobytes() for face in faces.values()}) == 3


@pytest.mark.parametrize("size", [(2, 4, 3), (20, 40, 50), (1, 3, 50), (3, 9, 2), (5, 30, 11)])
def test_splits_go_by_speaker(size: tuple[int, int, int]) -> None:
    words, clips, people = size
    plan = plan_corpus(CorpusSize(words, clips, people))
    who = {split: [clip.speaker for clip in plan if clip.split == split] for split in ("train", "val", "test")}
    assert set(who["val"]) <= set(who["train"])
    assert not set(who["test"]) & set(who["train"])
    assert max(clip.speaker for clip in plan) < people
    assert set(Counter(clip.word for clip in plan).values()) == {clips}
    assert len({clip.name for clip in plan}) == words * clips
    for turns in who.values():
        said = Counter(turns).values()
        assert max(said) - min(said) <= 1


def test_the_word_is_in_the_middle_of_a_phrase(truths: dict[str, dict[str, np.ndarray]]) -> None:
    for clip, truth in truths.items():
        start, end = truth["word_start"], truth["word_end"]
        assert (start + end) / 2 == pytest.approx(29 / 25 / 2, abs=1e-6)
        sounds = list(zip(truth["phonemes"], truth["starts"], truth["ends"], strict=True))
        assert sounds[0][1] == 0
        assert sounds[-1][2] == pytest.approx(29 / 25)
        inside = [name for name, first, _ in sounds if start - 0.02 < first < end - 0.02]
        first_sounds = [name for name, first, _ in sounds if start - 0.01 < first < start + 0.06]  # after a closure
        assert FIRST_SOUND[clip.partition("/")[0]] in first_sounds
        assert "_" not in inside
        for spoken in ([s for s in sounds if s[2] <= start + 0.02], [s for s in sounds if s[1] >= end - 0.02]):
            assert sum(last - first for name, first, last in spoken if name != "_") > 0.05
        assert str(truth["word"]).lower() in str(truth["text"]).lower()


def test_landmarks_are_those_of_the_coefficients(truths: dict[str, dict[str, np.ndarray]]) -> None:
    model = load_face_model()
    for truth in truths.values():
        chi = torch.from_numpy(truth["chi"])
        shape = model.shape(chi[:, IDENTITY], chi[:, EXPRESSION])[:, model.landmark_vertices]
        places = Camera(256).project(pose_vertices(shape, chi[:, ANGLES], chi[:, TRANSLATION])).numpy()
        np.testing.assert_allclose(truth["landmarks"][..., :2], places[..., :2], atol=0.02)


def test_the_tracker_sees_every_face(folder: Path, truths: dict[str, dict[str, np.ndarray]]) -> None:
    for clip in CLIPS[::3]:
        tracked, true = track(stream_frames(folder / f"{clip}.mp4"), clip), truths[clip]["landmarks"]
        assert not tracked.bridged.any()
        eyes = np.linalg.norm(true[:, 33, :2] - true[:, 263, :2], axis=-1)
        error = np.linalg.norm(tracked.landmarks[..., :2] - true[..., :2], axis=-1).mean(1) / eyes
        assert error.max() < 0.06
        assert np.corrcoef(mouth_opening(tracked.landmarks), mouth_opening(true))[0, 1] > 0.8


def test_two_processes_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert _files(make_lrw_corpus(tmp_path, SMALL, processes=2)) == _files(folder)


def test_an_interrupted_run_goes_on(folder: Path, tmp_path: Path) -> None:
    assert subprocess.run(["cp", "-a", f"{folder.parent}/.", tmp_path], check=False).returncode == 0
    copy = tmp_path / folder.name
    lost = copy / f"{CLIPS[-1]}.mp4"
    lost.unlink()
    half = lost.with_name(f".{lost.stem}.123.mp4")
    half.write_bytes(b"half a film")
    stamps = {path: path.stat().st_mtime_ns for path in copy.rglob("*_0*.*") if path != half}
    make_lrw_corpus(tmp_path, SMALL, processes=1)
    assert _files(copy) == _files(folder)
    remade = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert remade == {lost.with_suffix(".txt"), lost.with_suffix(".npz")}


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"words": 0}, "words is 0"),
        ({"words": len(WORDS) + 1}, f"from 1 to {len(WORDS)}"),
        ({"clips": 2}, "clips is 2"),
        ({"people": 1}, "people is 1"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_an_impossible_corpus_is_refused(tmp_path: Path, size: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_lrw_corpus(tmp_path / "x", CorpusSize(**size))
    assert not list(tmp_path.iterdir())


def test_another_corpus_is_not_mixed_in(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds the corpus"):
        make_lrw_corpus(folder.parent, CorpusSize(words=3, clips=4, people=3))
    (tmp_path / "lipread_mp4").mkdir()
    with pytest.raises(InputError, match="holds another corpus"):
        make_lrw_corpus(tmp_path, SMALL)


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    command = [sys.executable, "-m", "datamodules.synthetic", "lrw", str(tmp_path / "file/corpus"), "--words", "1"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert "cannot be written" in result.stderr


def test_there_are_a_hundred_words_in_sentences() -> None:
    assert len(WORDS) >= 100
    rng = np.random.default_rng(0)
    for word in WORDS:
        assert len(word) >= 5
        assert word.isalpha()
        carrier = carry(word, rng)
        before, after = carrier.text[: carrier.offset], carrier.text[carrier.offset + len(word) :]
        assert carrier.text == before + word + after
        assert len(before.split()) >= 1
        assert len(after.split()) >= 3


def test_speech_without_pictures() -> None:
    samples, chi = spoken_truth(5, 6.0)
    assert samples.shape == (150 * 640,)
    assert chi.shape == (150, 257)
    again, same = spoken_truth(5, 6.0)
    np.testing.assert_array_equal(samples, again)
    np.testing.assert_array_equal(chi, same)
    model = load_face_model()
    face = model.shape(*(torch.from_numpy(chi[:, part]) for part in (IDENTITY, EXPRESSION)))
    opening = mouth_opening(face[:, model.landmark_vertices].numpy())
    loud = np.sqrt((samples.reshape(150, 640) ** 2).mean(1))
    quiet = loud < 0.1 * np.percentile(loud, 90)
    assert opening[~quiet].mean() > 2 * opening[quiet].mean()
    assert opening.std() > 0.02
