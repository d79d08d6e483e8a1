import json
from pathlib import Path

import numpy as np
import pytest

from datamodules.lrw import LRWDataModule
from media.audio import write_wav
from media.errors import InputError
from media.video import VideoWriter
from tests.prepared_corpus import write_corpus

LENGTHS = {"train/anna/1": 20, "val/bert/1": 6}


def change_array(folder: Path, name: str, change) -> None:
    with np.load(folder / "arrays.npz") as stored:
        arrays = dict(stored)
    arrays[name] = change(arrays[name])
    np.savez(folder / "arrays.npz", **arrays)


def not_a_number(array):
    array[3] = np.nan
    return array


def write_pictures(folder: Path, frames: int, side: int = 256) -> None:
    with VideoWriter(folder / "crop.mp4", side, side, crf=8, gop=1) as writer:
        for _ in range(frames):
            writer.write(np.zeros((side, side, 3), np.uint8))


BOTH = ["audio2pose", "memory_gan"]
DAMAGES = {
    "no folder": (BOTH, lambda folder: folder.rename(folder.with_name("elsewhere")), "clip.json"),
    "no numbers": (BOTH, lambda folder: (folder / "arrays.npz").unlink(), "arrays.npz"),
    "half the numbers": (BOTH, lambda folder: (folder / "arrays.npz").write_bytes(b"PK\x03\x04" + bytes(99)), ""),
    "no facts": (BOTH, lambda folder: (folder / "clip.json").write_text('{"crop": 1'), ""),
    "other facts": (BOTH, lambda folder: (folder / "clip.json").write_text(json.dumps({"crop": {}})), ""),
    "another length": (BOTH, lambda folder: change_array(folder, "mfcc", lambda a: a[:-1]), "mfcc has 19 frames"),
    "NaN": (BOTH, lambda folder: change_array(folder, "coefficients", not_a_number), "coefficients holds values"),
    "no sound": (BOTH[:1], lambda folder: (folder / "sound.wav").unlink(), "sound.wav"),
    "short sound": (BOTH[:1], lambda folder: write_wav(folder / "sound.wav", np.zeros(640 * 19)), "12160 samples"),
    "no pictures": (BOTH[1:], lambda folder: (folder / "crop.mp4").unlink(), "crop.mp4"),
    "half the pictures": (BOTH[1:], lambda folder: write_pictures(folder, 9), "no frame"),
    "small pictures": (BOTH[1:], lambda folder: write_pictures(folder, 20, 128), "256 x 256"),
    "no video": (BOTH[1:], lambda folder: (folder / "crop.mp4").write_bytes(bytes(5000)), "crop.mp4"),
}


def unchanged(samples, targets, rng):
    return samples, targets


@pytest.mark.parametrize(
    ("damage", "stage"), [(damage, stage) for damage, (stages, _, _) in DAMAGES.items() for stage in stages]
)
def test_a_damaged_clip_is_refused_in_one_line(tmp_path, damage, stage):
    write_corpus(tmp_path, LENGTHS, pictures=False)
    folder = tmp_path / "clips/train/anna/1"
    write_pictures(folder, 20)
    _, spoil, message = DAMAGES[damage]
    data = LRWDataModule(tmp_path, stage, centre_clips=False, augmentation=unchanged)
    data.setup("fit")
    spoil(folder)
    with pytest.raises(InputError) as caught:
        list(data.train_dataloader())
    text = str(caught.value)
    assert text.startswith(f"{folder}: ")
    assert message in text
    assert text.endswith("delete the clip folder and repeat the preparation.")
    assert "\n" not in text


def test_a_worker_refuses_in_the_same_line(tmp_path):
    write_corpus(tmp_path, LENGTHS, pictures=False)
    (tmp_path / "clips/train/anna/1/arrays.npz").unlink()
    messages = []
    for workers in (0, 1):
        data = LRWDataModule(tmp_path, "memory_gan", workers=workers)
        data.setup("fit")
        with pytest.raises(InputError) as caught:
            list(data.train_dataloader())
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_corpus_without_manifest_or_clips_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        LRWDataModule(tmp_path, "memory_gan").setup("fit")
    write_corpus(tmp_path, {"train/anna/1": 20}, pictures=False)
    with pytest.raises(InputError, match="no clips in the split val"):
        LRWDataModule(tmp_path, "memory_gan").setup("fit")
