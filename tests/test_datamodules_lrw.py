import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from datamodules.clip import Clip
from datamodules.loading import ClipLoader
from datamodules.lrw import LRWDataModule
from datamodules.manifest import read_manifest, write_manifest
from datamodules.rendered_frames import channels_first, render_over
from face.albedo import detailed_albedo
from face.coefficients import EXPRESSION, get_pose
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from face.rendering import Renderer
from media.errors import InputError
from media.threads import one_thread
from tests.prepared_corpus import write_corpus

SPEECH = {
    "train/anna/1": 29,
    "train/anna/2": 17,
    "train/bert/1": 60,
    "train/cora/1": 20,
    "train/dora/short": 9,
    "val/anna/1": 29,
    "val/bert/1": 23,
    "val/dora/1": 31,
}
FRAMES = {"train/anna/1": 18, "train/bert/1": 5, "train/bert/2": 7, "val/anna/1": 5, "val/cora/1": 4}


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    prepared = tmp_path_factory.mktemp("speech")
    write_corpus(prepared, SPEECH, pictures=False)
    return prepared


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> Path:
    prepared = tmp_path_factory.mktemp("frames")
    write_corpus(prepared, FRAMES)
    return prepared


def module(prepared, stage="audio2pose", **settings) -> LRWDataModule:
    data = LRWDataModule(prepared, stage, **settings)
    data.setup("fit")
    return data


def clips(prepared: Path, lengths: dict[str, int], split: str) -> list[Clip]:
    return [Clip.load(prepared / "clips" / name) for name in sorted(lengths) if name.startswith(split)]


def noisy(samples, targets, rng):
    return samples + np.float32(0.01) * rng.normal(size=len(samples)).astype(np.float32), targets


def test_speech_windows_are_slices_of_the_clips(speech):
    data = module(speech, centre_clips=False)
    windows = [
        (clip.mfcc[start : start + 16], clip.coefficients[start : start + 16])
        for clip in clips(speech, SPEECH, "train")
        for start in range(len(clip) - 15)
    ]
    assert len(data.train_set) == len(windows) == 14 + 2 + 45 + 5
    for number, (mfcc, chi) in enumerate(windows):
        sample = data.train_set[number]
        np.testing.assert_array_equal(sample["mfcc"], mfcc)
        np.testing.assert_array_equal(sample["expression"], chi[:, EXPRESSION])
        np.testing.assert_array_equal(sample["pose"], get_pose(chi))


def test_statistics_are_those_of_all_training_frames(speech):
    training, opening = clips(speech, SPEECH, "train"), mouth_opening_map(load_face_model())
    for centre in (True, False):
        found = LRWDataModule(speech, "audio2pose", centre_clips=centre).statistics()
        for name, of in (
            ("expression", lambda clip: clip.coefficients[:, EXPRESSION]),
            ("opening", lambda clip: (clip.coefficients[:, EXPRESSION] * opening).sum(1, keepdims=True)),
            ("pose", lambda clip: get_pose(clip.coefficients)),
            ("mfcc", lambda clip: clip.mfcc.reshape(-1, 12).astype(np.float64)),
        ):
            rows = np.concatenate([of(clip) for clip in training])
            spread = np.concatenate([of(clip) - of(clip).mean(0) for clip in training]) if centre else rows
            np.testing.assert_allclose(found[f"{name}_mean"], rows.mean(0), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(found[f"{name}_std"], np.sqrt((spread - spread.mean(0)).var(0)), rtol=1e-5)


def test_centred_clips_have_the_mean_of_training(speech):
    data = module(speech)
    found = data.statistics()
    batches = list(data.val_dataloader())
    assert [len(batch["expression"][0]) for batch in batches] == [29, 23, 31]
    for batch, clip in zip(batches, clips(speech, SPEECH, "val"), strict=True):
        expression, pose = batch["expression"][0].numpy(), batch["pose"][0].numpy()
        np.testing.assert_allclose(expression.mean(0), found["expression_mean"], atol=1e-5)
        np.testing.assert_allclose(pose.mean(0), found["pose_mean"], atol=1e-5)
        mfcc = batch["mfcc"][0].numpy()
        np.testing.assert_allclose(mfcc.mean((0, 1)), found["mfcc_mean"], atol=1e-4)
        np.testing.assert_allclose(np.diff(mfcc, axis=0), np.diff(clip.mfcc, axis=0), atol=1e-4)
        np.testing.assert_allclose(
            np.diff(expression, axis=0), np.diff(clip.coefficients[:, EXPRESSION], axis=0), atol=1e-5
        )


def test_clips_shorter_than_the_window_are_left_out(speech, caplog):
    assert module(speech).train_set.clips.frames.tolist() == [29, 17, 60, 20]
    assert "1 of 5 clips" in caplog.text
    with pytest.raises(InputError, match="no clips of 100 frames or more in the split train"):
        module(speech, window=100)


def flagged(prepared: Path, flags: dict[str, str | None]) -> None:
    """Say of some clips what is known of their offset, and of the others that they are in step."""
    entries = read_manifest(prepared)
    write_manifest(prepared, [replace(entry, offset_flag=flags.get(entry.name, "in_step")) for entry in entries])


def test_clips_with_unclear_offset_are_dropped_where_that_is_wanted(tmp_path, caplog):
    write_corpus(tmp_path, SPEECH, pictures=False)
    flagged(tmp_path, {"train/bert/1": "unclear", "val/dora/1": "unclear", "train/anna/1": "too_short"})
    kept, dropped = module(tmp_path), module(tmp_path, unclear_offset="drop")
    assert kept.train_set.clips.frames.tolist() == [29, 17, 60, 20]
    assert dropped.train_set.clips.frames.tolist() == [29, 17, 20]
    assert dropped.validation_set.clips.frames.tolist() == [29, 23]
    assert "2 of 8 clips may be out of step" in caplog.text
    lengths = {name: frames for name, frames in SPEECH.items() if name != "train/bert/1"}
    statistics = dropped.statistics()
    assert not np.allclose(statistics["mfcc_mean"], kept.statistics()["mfcc_mean"], atol=1e-6)
    spoken = [clip.mfcc.reshape(-1, 12) for clip in clips(tmp_path, lengths, "train")]
    np.testing.assert_allclose(statistics["mfcc_mean"], np.concatenate(spoken).mean(0, dtype=float), atol=1e-4)
    # the second stage hears nothing
    assert len(LRWDataModule(tmp_path, "memory_gan", unclear_offset="drop")._entries()) == 8


def test_an_old_manifest_drops_nothing_silently(tmp_path):
    write_corpus(tmp_path, SPEECH, pictures=False)
    flagged(tmp_path, {"train/anna/1": None})
    assert len(module(tmp_path).train_set.clips) == 4
    with pytest.raises(InputError, match=r"older version.*repeat the preparation"):
        module(tmp_path, unclear_offset="drop")
    with pytest.raises(InputError, match=r"data\.unclear_offset=maybe: must be one of keep, drop"):
        module(tmp_path, unclear_offset="maybe")


def test_augmentation_depends_on_seed_epoch_and_sample_alone(speech):
    data, again = (module(speech, augmentation=noisy, seed=1) for _ in range(2))
    total = len(data.train_set)
    sample = again.train_set[total * 2 + 7]["mfcc"]
    for other in (3, total + 7, 20):
        assert not torch.equal(data.train_set[other]["mfcc"], sample)
    assert torch.equal(data.train_set[total * 2 + 7]["mfcc"], sample)
    assert not torch.equal(module(speech, augmentation=noisy, seed=2).train_set[total * 2 + 7]["mfcc"], sample)
    plain = module(speech).train_set[7]
    assert torch.equal(data.train_set[total * 2 + 7]["expression"], plain["expression"])
    assert 0 < (sample - plain["mfcc"]).abs().mean() < 1


def test_rendered_windows_are_those_of_the_frames(frames):
    data = module(frames, "memory_gan")
    renderer = Renderer(load_face_model())
    number = 0
    for clip, speaker in zip(clips(frames, FRAMES, "train"), (0, 1, 1), strict=True):
        pictures, chi = clip.frames(slice(0, len(clip))), torch.from_numpy(clip.coefficients)
        target = channels_first(pictures)
        with one_thread():
            rendered, mask = render_over(renderer, chi, detailed_albedo(pictures, chi, renderer), target)
        for t in range(len(clip)):
            sample = data.train_set[number]
            assert torch.equal(sample["rendered"], rendered[[max(t - 2, 0), max(t - 1, 0), t]])
            assert torch.equal(sample["target"], target[t])
            assert torch.equal(sample["face_mask"], mask[t])
            np.testing.assert_array_equal(sample["identity"], clip.identity_features[t])
            assert (int(sample["index"]), int(sample["speaker"])) == (number, speaker)
            number += 1
    assert len(data.train_set) == number


def test_the_albedo_of_a_clip_is_used_where_it_is_the_wanted_one(tmp_path):
    write_corpus(tmp_path, FRAMES)
    clip, model = clips(tmp_path, FRAMES, "train")[0], load_face_model()
    green = torch.tensor([0.2, 0.8, 0.2]).expand(len(model.mean_shape), 3)
    replace(clip, albedo=green.numpy()).save(compact=True)
    target = channels_first(clip.frames(slice(0, 1)))
    rendered, _ = render_over(Renderer(model), torch.from_numpy(clip.coefficients[:1]), green, target)
    away = []
    for name in ("detailed", "low_frequency"):
        shown = module(tmp_path, "memory_gan", albedo=name).train_set[0]["rendered"][2]
        away.append((shown.int() - rendered[0].int()).abs())
    assert away[0].max() <= 1  # rounded otherwise in a batch of another size
    assert away[1].max() > 20


def test_validation_of_stage_2_is_the_middle_of_each_clip(frames):
    data = module(frames, "memory_gan")
    (batch,) = data.val_dataloader()
    for place, (clip, middle) in enumerate(zip(clips(frames, FRAMES, "val"), (2, 2), strict=True)):
        np.testing.assert_array_equal(batch["identity"][place], clip.identity_features[middle])
        target = channels_first(clip.frames(slice(middle, middle + 1)))
        assert torch.equal(batch["target"][place], target[0])
    assert batch["speaker"].tolist() == [0, 2]
    assert batch["index"].tolist() == [2, 7]


def assert_same_batches(mine, theirs):
    mine, theirs = list(mine), list(theirs)
    assert len(mine) == len(theirs) > 0
    for one, other in zip(mine, theirs, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_workers_change_nothing(speech, frames):
    for stage, prepared, settings in (("audio2pose", speech, {"augmentation": noisy}), ("memory_gan", frames, {})):
        here, there = (module(prepared, stage, batch_size=4, workers=n, **settings) for n in (0, 2))
        mine, theirs = here.train_dataloader(), there.train_dataloader()
        for epoch in (0, 3):
            mine.sampler.set_epoch(epoch), theirs.sampler.set_epoch(epoch)
            assert_same_batches(mine, theirs)
        assert_same_batches(here.val_dataloader(), there.val_dataloader())


HERE: list[object] = []


class WhatIsHere(Dataset[int]):
    """How much of this module's state a loading process sees."""

    def __getitem__(self, index: int) -> int:
        return len(HERE)

    def __len__(self) -> int:
        return 2


def test_workers_are_no_copies_of_this_process(frames):
    """What is copied from a process with threads may wait for one of them for ever."""
    HERE.append(threading.Lock())  # neither this nor a lock within a module travels
    assert [int(seen) for seen in ClipLoader(WhatIsHere(), 1, range(2), 1)] == [0, 0]
    data = module(frames, "memory_gan")
    data.train_set[0]
    assert len(data.train_set.held) == 1
    assert len(pickle.dumps(data.train_set)) < 100_000  # nor do the clips that are held


class Place:
    """What a Trainer says of the process."""

    def __init__(self, rank: int, processes: int):
        self.global_rank, self.world_size = rank, processes


def test_processes_share_clips_out(speech):
    lengths = []
    for rank in range(2):
        data = module(speech)
        data.trainer = Place(rank, 2)
        lengths.append([batch["mfcc"].shape[1] for batch in data.val_dataloader()])
        assert len(data.train_dataloader()) == 66 // 16
        assert all(len(batch["mfcc"]) == 8 for batch in data.train_dataloader())
    assert lengths == [[29, 31], [23]]
    data.trainer = Place(3, 4)  # no clip is left for this one, which must not look as if it did not validate
    assert list(data.val_dataloader()) == []
    with pytest.raises(TypeError):
        len(data.val_dataloader())


def test_few_clips_are_held(speech, frames):
    data = module(speech, batch_size=2, workers=4)
    data.train_dataloader()
    assert data.train_set.held.most == 4
    data = module(frames, "memory_gan", batch_size=1)
    for _ in data.train_dataloader():
        assert len(data.train_set.held) <= data.train_set.held.most == 8
