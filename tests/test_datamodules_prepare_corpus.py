import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from datamodules import prepare_corpus as module
from datamodules.clip import Clip
from datamodules.layouts import read_layout
from datamodules.manifest import CLIP_FILES, read_manifest
from datamodules.preparation import Preparation
from datamodules.prepare import prepare_clip
from datamodules.prepare_corpus import prepare_corpus
from face.albedo import detailed_albedo
from face.coefficients import ANGLES, EXPRESSION
from face.models.registry import load_face_model
from face.rendering import Renderer
from media.video import stream_frames
from tests.talking_photos import FRAMES, NAMES, bytes_of, write_clip, write_corpus

DATA = Path(__file__).parents[2] / "shared/data/clips"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def prepared(root, tmp_path_factory) -> Path:
    return prepare_corpus(root, tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr(module, "prepare_clip", lambda *a, **k: pytest.fail("prepared again"))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """Names of the videos that are prepared."""
    made = []

    def count(video: Path, *a, **k) -> Clip:
        made.append(video.stem)
        return prepare_clip(video, *a, **k)

    monkeypatch.setattr(module, "prepare_clip", count)
    return made


def test_the_manifest_lists_every_clip(root, prepared):
    entries = read_manifest(prepared)
    assert [entry.name for entry in entries] == sorted(NAMES)
    for entry, source in zip(entries, read_layout("lrw", root), strict=True):
        clip = Clip.load(prepared / entry.clip)
        assert (entry.split, entry.speaker, entry.word) == (source.split, source.speaker, source.word)
        assert entry.frames == len(clip) == clip.training_frames == FRAMES
        assert clip.source == source.path.resolve()
        assert (entry.audio_offset, entry.offset_confidence) == (0, 0)  # too short to tell
        assert (entry.offset_estimate, entry.offset_flag) == (0, "too_short")
        assert entry.source_sha256 == clip.source_sha256
    assert len({entry.sha256 for entry in entries}) == len(NAMES)


def test_a_corpus_clip_is_small_and_true(prepared, root):
    entry = read_manifest(prepared)[0]
    clip = Clip.load(prepared / entry.clip)
    assert {path.name for path in clip.folder.iterdir()} == set(CLIP_FILES)
    video = stream_frames(root / "lipread_mp4" / f"{entry.name}.mp4")
    made = np.stack([clip.crop.apply(frame) for frame in video]).astype(float)
    error = np.mean((clip.frames(clip.training) - made) ** 2, axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / error)).min() >= 42  # SPEC, clip
    with av.open(str(clip.folder / "crop.mp4")) as container:
        assert all(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert bytes_per_frame(clip) <= 25_000


def test_a_corpus_clip_has_the_albedo_that_its_pictures_give(prepared):
    clip = Clip.load(prepared / read_manifest(prepared)[0].clip)
    model = load_face_model()
    pictures = clip.frames(clip.training)
    seen = np.flatnonzero(~clip.bridged)
    chi = clip.coefficients[seen]
    best = np.sqrt((chi[:, EXPRESSION] ** 2).mean(1)) + np.sqrt((chi[:, ANGLES] ** 2).mean(1)) / 0.1
    frame = seen[[best.argmin()]]
    made = detailed_albedo(pictures[frame], clip.coefficients[frame], Renderer(model, size=256)).numpy()
    assert clip.albedo.shape == model.mean_shape.shape
    # the stored picture is lossy
    assert np.abs(clip.albedo - made).mean() < 0.01
    assert np.corrcoef(clip.albedo.ravel(), made.ravel())[0, 1] > 0.99


def bytes_per_frame(clip: Clip) -> float:
    return sum(path.stat().st_size for path in clip.folder.iterdir()) / len(clip)


def test_what_is_stored_compactly_is_what_was_measured(root, prepared, tmp_path, monkeypatch):
    whole = Clip.save
    monkeypatch.setattr(Clip, "save", lambda clip, compact: whole(clip))
    path = root / "lipread_mp4" / f"{NAMES[0]}.mp4"
    full = prepare_clip(path, tmp_path / "full", Preparation())
    clip = Clip.load(prepared / "clips" / f"{NAMES[0]}.clip")
    np.testing.assert_allclose(clip.landmarks, full.landmarks, atol=1 / 128)
    np.testing.assert_allclose(np.linalg.norm(clip.identity_features, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(clip.identity_features, full.identity_features, atol=1e-4)
    assert clip.landmarks.dtype == clip.identity_features.dtype == np.float32
    for name in ("coefficients", "mfcc", "confidence", "fit_error", "bridged"):
        np.testing.assert_array_equal(getattr(clip, name), getattr(full, name))


def test_bytes_depend_on_nothing_but_clip_and_settings(root, prepared, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        path = root / "lipread_mp4" / f"{NAMES[1]}.mp4"
        again = prepare_clip(path, tmp_path / "again", Preparation())
    finally:
        torch.set_num_threads(threads)
    assert bytes_of(again.folder) == bytes_of(prepared / "clips" / f"{NAMES[1]}.clip")


def test_shards_together_are_the_corpus(root, prepared, tmp_path):
    for number in (3, 1, 2):
        assert not (tmp_path / "manifest.jsonl").exists()
        prepare_corpus(root, tmp_path, shard=(number, 3))
    assert (tmp_path / "manifest.jsonl").read_bytes() == (prepared / "manifest.jsonl").read_bytes()
    shares = [json.loads(path.read_text())["clips"] for path in (tmp_path / "shards").iterdir()]
    assert len(shares) == 3
    assert sorted(clip["name"] for share in shares for clip in share) == sorted(NAMES)


def test_a_record_means_done(root, prepared, no_work):
    before = bytes_of(prepared)
    (prepared / "manifest.jsonl").unlink()
    assert bytes_of(prepare_corpus(root, prepared)) == before


def test_only_what_is_new_or_changed_is_prepared(tmp_path, counted):
    root, prepared, made = write_corpus(tmp_path / "corpus", NAMES[:2]), tmp_path / "prepared", counted
    prepare_corpus(root, prepared)
    write_clip(root / "lipread_mp4/ABOUT/train/ABOUT_00003.mp4", seed=3)
    prepare_corpus(root, prepared)
    assert made == ["ABOUT_00001", "ABOUT_00002", "ABOUT_00003"]
    write_clip(root / "lipread_mp4/ABOUT/train/ABOUT_00001.mp4", seed=4)  # another recording of the same name
    half = prepared / "clips/ABOUT/train/ABOUT_00002.clip/arrays.npz"
    half.write_bytes(half.read_bytes()[:1000])  # what a power failure may leave
    (prepared / "shards/0001-of-0001.json").unlink()
    prepare_corpus(root, prepared)
    assert made[3:] == ["ABOUT_00001", "ABOUT_00002"]
    names = {entry.name.rpartition("/")[2]: entry for entry in read_manifest(prepared)}
    assert len({entry.source_sha256 for entry in names.values()}) == 3


def test_a_clip_that_lacks_something_is_prepared_again(tmp_path, counted):
    """Training says of a damaged clip: delete its folder and repeat the preparation."""
    root, prepared = write_corpus(tmp_path / "corpus", NAMES[:2]), tmp_path / "prepared"
    before = bytes_of(prepare_corpus(root, prepared))
    folder = prepared / f"clips/{NAMES[1]}.clip"
    for damage in (*(folder / name for name in CLIP_FILES), folder):
        counted.clear()
        shutil.rmtree(damage) if damage is folder else damage.unlink()
        assert bytes_of(prepare_corpus(root, prepared)) == before
        assert counted == ["ABOUT_00002"], damage


def test_a_record_of_an_older_version_is_written_anew_from_the_clips(tmp_path, counted):
    root, prepared = write_corpus(tmp_path / "corpus", NAMES[:2]), tmp_path / "prepared"
    before = bytes_of(prepare_corpus(root, prepared))
    record = prepared / "shards/0001-of-0001.json"
    content = json.loads(record.read_text())
    for clip in content["clips"]:
        del clip["offset_estimate"], clip["offset_flag"]
    record.write_text(json.dumps(content))
    (prepared / "manifest.jsonl").write_text("".join(f"{json.dumps(clip)}\n" for clip in content["clips"]))
    assert [entry.offset_flag for entry in read_manifest(prepared)] == [None, None]  # loads as it is
    assert bytes_of(prepare_corpus(root, prepared)) == before
    assert counted == ["ABOUT_00001", "ABOUT_00002"]  # the first time alone


def test_bytes_are_on_the_disk_before_names(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def named(source, target):
        events.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    prepared = prepare_corpus(write_corpus(tmp_path / "corpus", NAMES[:1]), tmp_path / "prepared")
    folder = prepared / f"clips/{NAMES[0]}.clip"
    named_at = events.index(folder.name)
    for path in (folder, *folder.iterdir()):
        assert path.stat().st_ino in events[:named_at], path
    for path in (prepared / "shards/0001-of-0001.json", prepared / "manifest.jsonl"):
        assert events.index(path.stat().st_ino) == events.index(path.name) - 1 > named_at


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_a_real_clip_fits_into_25_kilobytes_a_frame(tmp_path):
    name = "grid_bbaf2n.mpg"
    clip = prepare_clip(DATA / name, tmp_path / "clip", Preparation())
    assert bytes_per_frame(clip) <= 25_000
    frames = zip(stream_frames(DATA / name), clip.frames(clip.training), strict=True)
    errors = [np.mean((clip.crop.apply(frame).astype(float) - stored) ** 2) for frame, stored in frames]
    assert 10 * np.log10(255**2 / np.max(errors)) >= 42
