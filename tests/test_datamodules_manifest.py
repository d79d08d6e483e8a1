import json

import pytest

from datamodules.layouts import Source
from datamodules.manifest import CLIP_FILES, ManifestEntry, holds_clip, is_current, read_manifest
from media.errors import InputError
from tests.prepared_corpus import write_clip, write_corpus


@pytest.mark.parametrize("name", ["arrays.npz", "crop.mp4", "sound.wav"])
def test_the_hash_is_of_all_that_is_learned_from(tmp_path, name):
    clip = write_clip(tmp_path / "clip", 9, seed=0, pictures=False)
    (clip.folder / "crop.mp4").write_bytes(b"pictures")
    source = Source("train/anna/1", tmp_path / "1.mp4", "train", "anna", None)
    before = ManifestEntry.of(source, clip, tmp_path)
    with (clip.folder / name).open("ab") as file:
        file.write(b"more")
    assert ManifestEntry.of(source, clip, tmp_path).sha256 != before.sha256
    assert before.clip == "clip"


def test_a_clip_has_all_its_files(tmp_path):
    for name in CLIP_FILES:
        assert not holds_clip(tmp_path / "clip")
        (tmp_path / "clip").mkdir(exist_ok=True)
        (tmp_path / "clip" / name).touch()
    assert holds_clip(tmp_path / "clip")


def test_manifests_of_older_versions_are_read(tmp_path):
    entries = write_corpus(tmp_path, {"train/anna/1": 9, "val/bert/1": 9}, pictures=False)
    path = tmp_path / "manifest.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(map(is_current, lines))
    older = [{key: line[key] for key in line if key not in ("offset_estimate", "offset_flag")} for line in lines]
    assert not any(map(is_current, older))
    path.write_text("".join(f"{json.dumps(line)}\n" for line in older))
    assert read_manifest(tmp_path) == entries
    path.write_text(json.dumps(older[0] | {"colour": 3}))
    with pytest.raises(InputError, match=r"line 1 is no clip .*colour.*prepare again"):
        read_manifest(tmp_path)
