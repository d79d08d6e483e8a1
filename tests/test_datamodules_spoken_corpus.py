"""A corpus that was spoken and never filmed: read like any prepared corpus, true to what was spoken."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.clip import Clip
from datamodules.lrw import LRWDataModule
from datamodules.manifest import read_manifest
from datamodules.synthetic.spoken_corpus import make_spoken_corpus
from datamodules.synthetic.spoken_truth import spoken_truth
from face.coefficients import EXPRESSION
from face.landmarks import mouth_opening
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from media.audio import mfcc_windows
from media.errors import InputError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_spoken_corpus(tmp_path_factory.mktemp("spoken"), speakers=3, seconds=4.0, processes=2).parent


def test_every_speaker_is_listed_and_one_validates(corpus: Path) -> None:
    entries = read_manifest(corpus)
    assert [entry.frames for entry in entries] == [100, 100, 100]
    assert sorted(entry.split for entry in entries) == ["train", "train", "val"]
    assert len({entry.sha256 for entry in entries}) == 3


def test_clips_hold_what_was_spoken(corpus: Path) -> None:
    entry = read_manifest(corpus)[1]
    clip = Clip.load(corpus / entry.clip)
    samples, chi = spoken_truth(20_001, 4.0)
    np.testing.assert_array_equal(clip.coefficients, chi)
    np.testing.assert_allclose(clip.sound(slice(0, 100)), samples, atol=2e-4)
    np.testing.assert_allclose(clip.mfcc, mfcc_windows(samples, 100), atol=1e-5)
    opening = chi[:, EXPRESSION] @ mouth_opening_map(load_face_model())
    assert np.corrcoef(mouth_opening(clip.landmarks), opening)[0, 1] > 0.95


def test_it_is_fed_to_the_first_stage(corpus: Path) -> None:
    data = LRWDataModule(corpus, "audio2pose", batch_size=4, window=16)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["mfcc"].shape == (4, 16, 28, 12)
    assert torch.isfinite(batch["expression"]).all()


def test_what_is_there_is_kept(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("arrays.npz")}
    manifest = (corpus / "manifest.jsonl").read_bytes()
    (corpus / "manifest.jsonl").unlink()
    make_spoken_corpus(corpus, speakers=3, seconds=4.0, processes=1)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("arrays.npz")} == before
    assert (corpus / "manifest.jsonl").read_bytes() == manifest


def test_one_speaker_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        make_spoken_corpus(tmp_path, speakers=1)
