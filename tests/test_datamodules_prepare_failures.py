"""What goes wrong with half a million clips: single files, too many of them, the place that is written to."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from datamodules import prepare_corpus as module
from datamodules.manifest import read_manifest
from datamodules.preparation import Preparation
from datamodules.prepare_corpus import prepare_corpus, require_prepared_alike
from datamodules.shard import Shard
from media.errors import InputError
from media.video import VideoWriter
from tests.talking_photos import write_clip

GOOD = "good/train/good_00001"
REASONS = {
    "bad/train/broken": "broken or no video",
    "bad/train/cut": "damaged",
    "bad/train/empty": "is empty",
    "bad/train/no_face": "no face",
    "bad/train/no_sound": "has no sound",
    "bad/train/silent": "silent",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    write_clip(root / "lipread_mp4" / f"{GOOD}.mp4")
    place = root / "lipread_mp4/bad/train"
    write_clip(place / "no_sound.mp4", loudness=-1)
    write_clip(place / "silent.mp4", loudness=0)
    (place / "broken.mp4").write_bytes(b"no video" * 100)
    (place / "empty.mp4").touch()
    whole = bytearray((root / "lipread_mp4" / f"{GOOD}.mp4").read_bytes())
    begin = whole.index(b"mdat") + len(whole) // 3
    whole[begin : begin + len(whole) // 4] = bytes(len(whole) // 4)
    (place / "cut.mp4").write_bytes(whole)
    noise = np.random.default_rng(0)
    with VideoWriter(place / "no_face.mp4", 256, 256, audio=noise.normal(0, 0.1, 5120)) as writer:
        for _ in range(8):
            writer.write(np.full((256, 256, 3), 90, np.uint8))
    return root


def test_unfit_clips_are_listed_with_their_reasons(root, tmp_path):
    prepared = prepare_corpus(root, tmp_path, largest_failed_share=0.9)
    assert [entry.name for entry in read_manifest(prepared)] == [GOOD]
    lines = (prepared / "failures/0001-of-0001.jsonl").read_text().splitlines()
    reasons = {failure["name"]: failure for failure in map(json.loads, lines)}
    assert list(reasons) == sorted(REASONS)
    for name, reason in REASONS.items():
        assert reason in reasons[name]["reason"], reasons[name]
        assert reasons[name]["path"] == str(root / "lipread_mp4" / f"{name}.mp4")
    assert not list((prepared / "clips").rglob("bad"))
    assert not list((prepared / "unfinished/0001-of-0001").iterdir())
    assert Shard(1, 1, prepared).counts() == (1, 8, 6)


def test_too_many_failures_are_one_clear_error_and_lose_nothing(root, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"6 of 7 clips failed .*largest_failed_share=0\.5.*jsonl") as refusal:
        prepare_corpus(root, tmp_path, largest_failed_share=0.5)
    assert "\n" not in str(refusal.value)
    assert len((tmp_path / "failures/0001-of-0001.jsonl").read_text().splitlines()) == 6
    with pytest.raises(InputError, match="not every shard"):
        read_manifest(tmp_path)
    prepare_clip, again = module.prepare_clip, []
    monkeypatch.setattr(
        module, "prepare_clip", lambda video, *a, **k: again.append(video) or prepare_clip(video, *a, **k)
    )
    prepare_corpus(root, tmp_path, largest_failed_share=0.9)
    assert {video.stem for video in again} == {name.rpartition("/")[2] for name in REASONS}  # the good one was kept
    assert len(read_manifest(tmp_path)) == 1


def test_a_defect_in_one_clip_does_not_stop_the_others(root, tmp_path, monkeypatch):
    def fail(*a, **k):
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(module, "prepare_clip", fail)
    prepare_corpus(root, tmp_path, largest_failed_share=1)
    assert '"ZeroDivisionError: by zero"' in (tmp_path / "failures/0001-of-0001.jsonl").read_text()


def test_a_full_disk_is_not_blamed_on_the_clips(root, tmp_path, monkeypatch):
    def fail(*a, **k):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise InputError("crop.mp4: cannot be written") from None

    monkeypatch.setattr(module, "prepare_clip", fail)
    with pytest.raises(InputError, match="make room and repeat"):
        prepare_corpus(root, tmp_path, largest_failed_share=1)
    assert not (tmp_path / "shards").exists()


def test_an_unwritable_folder_is_named(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/prepared: cannot be written .*data\.prepared"):
        prepare_corpus(root, tmp_path / "file/prepared")


def test_crops_never_become_clips(root):
    with pytest.raises(InputError, match=r"data\.prepared: .*/made lies in data\.root"):
        prepare_corpus(root, root / "made", layout="folder")


def test_differently_prepared_clips_are_not_mixed(root, tmp_path, monkeypatch):
    prepare_corpus(root, tmp_path, largest_failed_share=1)
    with pytest.raises(InputError, match=r"other settings \(audio_offset\).*data\.prepared"):
        prepare_corpus(root, tmp_path, preparation=Preparation(audio_offset=-3), largest_failed_share=1)
    monkeypatch.setattr("datamodules.preparation._CORPUS_FORMAT", -1)
    with pytest.raises(InputError, match=r"another version of this project.*data\.prepared, or delete it"):
        prepare_corpus(root, tmp_path, largest_failed_share=1)


def test_a_corpus_of_another_version_is_not_learned_from(tmp_path):
    preparation = Preparation()
    require_prepared_alike(tmp_path, preparation)  # says nothing of itself
    (tmp_path / "preparation.json").write_text(json.dumps(preparation.describe()))
    require_prepared_alike(tmp_path, preparation)
    (tmp_path / "preparation.json").write_text(json.dumps(preparation.describe() | {"format": 6}))
    with pytest.raises(InputError, match=r"another version of this project, .*prepare the corpus again"):
        require_prepared_alike(tmp_path, preparation)


def test_a_shard_is_prepared_by_one_at_a_time(root, tmp_path):
    with Shard(1, 1, tmp_path).held(), pytest.raises(InputError, match="another process is preparing shard 1/1"):
        prepare_corpus(root, tmp_path)


def test_what_a_killed_command_left_is_not_touched_while_another_prepares(tmp_path):
    """Its workers may still be at work there, and must not publish a clip of which half was removed."""
    shard = Shard(1, 1, tmp_path)
    orphan = shard.unfinished / "of_a_killed_one/clip"
    orphan.mkdir(parents=True)
    (orphan / "crop.mp4").touch()
    with shard.held() as scratch:
        assert scratch.parent == shard.unfinished
        assert not list(scratch.iterdir())
        (scratch / "clip").mkdir()
        assert (orphan / "crop.mp4").exists()
    assert not list(shard.unfinished.iterdir())
    with shard.held() as again:
        assert again != scratch


def test_what_is_removed_cannot_be_published(tmp_path, monkeypatch):
    shard, seen = Shard(1, 1, tmp_path), {}
    orphan = shard.unfinished / "of_a_killed_one/clip"
    orphan.mkdir(parents=True)
    monkeypatch.setattr("datamodules.shard.shutil.rmtree", lambda path, **k: seen.update({path.name: orphan.exists()}))
    with shard.held():
        pass
    assert seen["of_a_killed_one.gone"] is False  # when files are removed, their folder has no longer its name


@pytest.mark.parametrize("shard", [(5, 4), (0, 4)])
def test_a_shard_that_is_none_is_refused(root, tmp_path, shard):
    with pytest.raises(InputError, match=f"shard={shard[0]}/4: must be one of 1/4 to 4/4"):
        prepare_corpus(root, tmp_path, shard=shard)


@pytest.mark.parametrize("content", ["no json\n", '{"name": "a"}\n', "[]\n"])
def test_a_strange_manifest_is_refused(tmp_path, content):
    (tmp_path / "manifest.jsonl").write_text(content)
    with pytest.raises(InputError, match="line 1 is no clip"):
        read_manifest(tmp_path)
