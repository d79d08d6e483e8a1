from pathlib import Path

import pytest

from datamodules.layouts import Source, read_layout, split_speakers
from media.errors import InputError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture
def lrw(tmp_path) -> Path:
    """A made-up tree in the form of the official archive."""
    names = ["WATER/val/WATER_00002", "ABOUT/train/ABOUT_00010", "ABOUT/train/ABOUT_00009", "ABOUT/test/ABOUT_00001"]
    touch(tmp_path, *(f"lipread_mp4/{name}{ending}" for name in names for ending in (".mp4", ".txt")))
    return touch(tmp_path, "lipread_mp4/ABOUT/train/._ABOUT_00009.mp4", "lipread_mp4/._ABOUT", "LICENCE.txt")


def test_official_layout(lrw):
    clips = read_layout("lrw", lrw)
    folder = lrw / "lipread_mp4"
    parts = [("ABOUT", "test", 1), ("ABOUT", "train", 9), ("ABOUT", "train", 10), ("WATER", "val", 2)]
    for clip, (word, split, number) in zip(clips, parts, strict=True):
        name = f"{word}/{split}/{word}_{number:05d}"
        assert clip == Source(name, folder / f"{name}.mp4", split, name, word)
    assert read_layout("lrw", folder) == clips


def test_speakers_where_a_file_names_them(lrw):
    rows = "clip,speaker\nABOUT/train/ABOUT_00009,person_0003\nWATER/val/WATER_00002,person_0003\n"
    (lrw / "lipread_mp4/speakers.csv").write_text(rows)
    speakers = {clip.name: clip.speaker for clip in read_layout("lrw", lrw)}
    assert speakers["ABOUT/train/ABOUT_00009"] == speakers["WATER/val/WATER_00002"] == "person_0003"
    assert speakers["ABOUT/train/ABOUT_00010"] == "ABOUT/train/ABOUT_00010"
    (lrw / "lipread_mp4/speakers.csv").write_text("name;who\n")
    with pytest.raises(InputError, match="first line must be clip,speaker"):
        read_layout("lrw", lrw)


def test_folder_layout_is_split_by_speaker(tmp_path):
    names = [f"speaker_{k}/{clip}" for k in range(30) for clip in ("a.mp4", "session/b.mov", "notes.txt")]
    clips = read_layout("folder", touch(tmp_path, *names, "alone.mkv", ".hidden/c.mp4"))
    assert len(clips) == 61
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)
    assert {clip.name: clip.speaker for clip in clips}["speaker_7/session/b"] == "speaker_7"
    assert {clip.name: clip.speaker for clip in clips}["alone"] == "alone"
    of_speaker: dict[str, set[str]] = {}
    for clip in clips:
        of_speaker.setdefault(clip.speaker, set()).add(clip.split)
    assert all(len(splits) == 1 for splits in of_speaker.values())
    assert {split for splits in of_speaker.values() for split in splits} == {"train", "val", "test"}


def test_names_are_never_shared(tmp_path):
    clips = read_layout("folder", touch(tmp_path, "a.mp4", "a.mov", "a/b.mp4", "c.mp4"))
    assert [clip.name for clip in clips] == ["a.mov", "a.mp4", "a/b", "c"]


def test_shares_of_the_splits():
    splits = list(split_speakers(f"person {k}" for k in range(5000)).values())
    assert [splits.count(split) / 5000 for split in ("train", "val", "test")] == pytest.approx(
        [0.8, 0.1, 0.1], abs=0.02
    )


def test_a_new_speaker_moves_nobody():
    few, many = split_speakers(f"{k}" for k in range(40)), split_speakers(f"{k}" for k in range(400))
    assert few.items() <= many.items()


@pytest.mark.parametrize("start", range(40))
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_has_train_and_val(start, count):
    splits = list(split_speakers(f"{start}-{k}" for k in range(count)).values())
    assert "train" in splits
    assert count == 1 or "val" in splits


@pytest.mark.parametrize(
    ("layout", "root", "message"),
    [
        ("lrw", "nowhere", "nowhere does not exist"),
        ("lrw", "file", "is a file"),
        ("lrw", "empty", "data.layout=folder"),
        ("folder", "empty", "holds no videos"),
        ("grid", "empty", "known ones: folder, lrw"),
    ],
)
def test_refusals(tmp_path, layout, root, message):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        read_layout(layout, tmp_path / root)
