"""The stream of frames against the same thing done all at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import synthesis.talker
from face.crop import Crop
from lightning_modules.pixels import to_network
from media.frame_reader import FrameReader
from media.video import VideoWriter
from synthesis.listening import Motion
from synthesis.talker import Performance, Talker, near_face

SIZE = 8


class Recorder:
    """Stands in for MemoryGAN: features are a known function of the frame, refined frames show their inputs."""

    device = torch.device("cpu")

    def __init__(self):
        self.windows, self.identities = [], []

    def eval(self):
        return self

    def retrieve(self, frames):
        level = frames.mean((1, 2, 3))
        angles = torch.outer(level, torch.arange(1.0, 513.0))
        return torch.nn.functional.normalize(torch.cos(angles), dim=1)

    def __call__(self, window, identity):
        self.windows.append(window), self.identities.append(identity)
        return SimpleNamespace(frame=window[:, -1])


@pytest.fixture
def recorded(monkeypatch):
    def render_over(renderer, coefficients, albedo, background, interior):
        shade = coefficients[:, :1, None, None].to(torch.uint8)
        shown = background + shade if interior is None else background + shade + interior
        return shown, torch.full((len(background), 1, SIZE, SIZE), 255, dtype=torch.uint8)

    def stay(background, filmed, wanted):
        return background, torch.zeros(len(background), 1, SIZE, SIZE, dtype=torch.uint8)

    monkeypatch.setattr(synthesis.talker, "render_over", render_over)
    monkeypatch.setattr(synthesis.talker, "OutlineFollower", lambda renderer: stay)
    recorder = Recorder()
    talker = Talker(SimpleNamespace(), None, None, SimpleNamespace(eval=lambda: None), recorder)
    return talker, recorder


@pytest.mark.parametrize("total", [1, 2, 24, 25, 26, 61])
def test_streaming_equals_all_at_once(recorded, total):
    talker, recorder = recorded
    chi = np.zeros((total, 257), np.float32)
    chi[:, 0] = np.arange(total) * 3 % 40
    background = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(total, 3, SIZE, SIZE)
    frames = list(talker.refine(chi, lambda piece: (background[piece], chi[piece])))

    whole = background + torch.from_numpy(chi[:, 0]).to(torch.uint8)[:, None, None, None]
    assert len(frames) == total
    for (frame, mask), expected in zip(frames, whole, strict=True):
        np.testing.assert_array_equal(frame, expected.permute(1, 2, 0).numpy())
        assert mask.shape == (SIZE, SIZE)
    windows = torch.cat(recorder.windows)
    for t in range(total):
        expected = to_network(whole[[max(t - 2, 0), max(t - 1, 0), t]])
        assert torch.equal(windows[t], expected), f"window of frame {t}"

    features = recorder.retrieve(to_network(whole)).double()
    for t, identity in enumerate(torch.cat(recorder.identities)):
        mean = features[max(t - 12, 0) : t + 13].mean(0)
        torch.testing.assert_close(identity.double(), mean / mean.norm(), atol=1e-5, rtol=0)


class Mouths:
    """Source k for frame k of a video, each as bright as its number."""

    def __init__(self):
        self.asked = []

    def choose(self, coefficients, previous):
        self.asked.append(previous)
        return coefficients[:, 0].astype(int)

    def __call__(self, coefficients, chosen):
        return torch.from_numpy(chosen).to(torch.uint8)[:, None, None, None].expand(-1, 3, SIZE, SIZE)


def test_mouths_are_shown_and_every_second_begins_where_the_last_one_ended(recorded):
    talker, _ = recorded
    talker.mouths = Mouths()
    chi = np.zeros((61, 257), np.float32)
    chi[:, 0] = np.arange(61)
    background = torch.zeros(61, 3, SIZE, SIZE, dtype=torch.uint8)
    frames = [frame for frame, _ in talker.refine(chi, lambda piece: (background[piece], chi[piece]))]
    assert [int(frame.max()) for frame in frames] == [2 * time for time in range(61)]  # its shade and its mouth
    assert talker.mouths.asked == [None, 24, 49]


def test_frames_are_made_only_when_asked_for(recorded):
    talker, recorder = recorded
    asked = []

    def background(piece):
        asked.append(piece.stop)
        count = piece.stop - piece.start
        return torch.zeros(count, 3, SIZE, SIZE, dtype=torch.uint8), np.zeros((count, 257), np.float32)

    frames = talker.refine(np.zeros((1000, 257), np.float32), background)
    next(frames)
    assert not torch.is_inference_mode_enabled()  # whoever takes the frame may train
    assert max(asked) <= 50
    assert len(torch.cat(recorder.windows)) <= 25


def test_frames_with_odd_sides_keep_their_size(recorded, tmp_path, monkeypatch):
    """The gallery on disk has even sides; what is pasted into it, and what comes out, has those of the video."""
    talker, _ = recorded
    width, height, total = 75, 61, 3
    with VideoWriter(tmp_path / "gallery.mp4", width, height, crf=1, gop=1) as writer:
        for level in range(total):
            writer.write(np.full((height, width, 3), 60 + 40 * level, np.uint8))
    talker.clip = SimpleNamespace(
        crop=Crop(10.0, 8.0, 40.0, SIZE),
        width=width,
        height=height,
        gallery=lambda: FrameReader(tmp_path / "gallery.mp4"),
    )
    untouched = (np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.uint8))
    monkeypatch.setattr(talker, "refine", lambda coefficients, background: iter([untouched] * total))
    monkeypatch.setattr(talker, "training_background", lambda source_frames: None)
    order = np.array([2, 0, 1])
    frames = list(talker.full_frames(Performance(np.zeros((total, 257), np.float32), order)))
    assert [frame.shape for frame in frames] == [(height, width, 3)] * total
    assert [round(frame.mean()) for frame in frames] == pytest.approx(60 + 40 * order, abs=2)


def test_the_background_stays_away_from_the_face():
    mask = torch.zeros(1, 1, 256, 256, dtype=torch.uint8)
    mask[..., 100:150, 90:170] = 255
    rendered, refined = torch.full((1, 3, 256, 256), 40, dtype=torch.uint8), torch.full((1, 3, 256, 256), 200)
    shown = near_face(rendered, refined.to(torch.uint8), mask)
    assert (shown[..., 100:150, 90:170] == 200).all()
    far = torch.ones(256, 256, dtype=torch.bool)
    far[70:180, 60:200] = False
    assert (shown[..., far] == 40).all()
    row = shown[0, 0, 125].int()
    assert row.diff().abs().max() < 40  # no step from one to the other


def test_a_fixed_head_is_one_training_frame_throughout(monkeypatch):
    """The ablation of Fig. 4: no pose from the sound; the frame nearest the mean stands behind a mouth that moves."""
    rng = np.random.default_rng(0)
    training = rng.normal(0, 0.1, (50, 257)).astype(np.float32)
    training[7, 224:227] = training[np.arange(50) != 7, 224:227].mean(0)
    clip = SimpleNamespace(coefficients=training, training=slice(0, 50))
    monkeypatch.setattr(synthesis.talker, "OutlineFollower", lambda renderer: None)
    monkeypatch.setattr(synthesis.talker, "EyeFollower", lambda model: lambda expression, filmed: expression)
    stage = SimpleNamespace(eval=lambda: None)
    motion = Motion(rng.normal(size=(60, 64)).astype(np.float32), rng.normal(size=(60, 6)).astype(np.float32))
    talkers = {
        name: Talker(clip, SimpleNamespace(model=None), None, stage, stage, head_pose=name)
        for name in ("fixed", "predicted")
    }
    fixed, moving = (talkers[name].perform(motion) for name in ("fixed", "predicted"))
    assert set(fixed.source_frames) == {7}
    assert (fixed.coefficients[:, 224:227] == training[7, 224:227]).all()
    assert (fixed.coefficients[:, 80:144] == motion.expression).all()
    assert len(set(moving.source_frames)) > 1
