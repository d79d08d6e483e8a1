"""What a person's stages are given to learn from, seen by what a training leaves."""

import numpy as np
import pytest
import torch

from datamodules.windows import RenderedFrames
from experiments import fit
from experiments.callbacks import last_checkpoint
from experiments.settings import compose
from tests.test_datamodules_clip import make_clip

TINY = [
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "wandb.mode=disabled", "face.mouth_interior=black"),
    *("memory_gan.channels=4", "memory_gan.full_channels=4", "memory_gan.levels=2", "memory_gan.spatial_size=32"),
    *("memory_gan.discriminator_channels=4", "memory_gan.discriminator_layers=1"),
    *("fit.memory_gan.epochs=1", "fit.memory_gan.validation_seconds=0.4"),
]
FITTED = 10  # of 20 training frames


def random_frames(clip, part, *arguments, mouths):
    noise = np.random.default_rng(1).integers(0, 256, (20, 3, 32, 32)).astype(np.uint8)
    picture = torch.from_numpy(noise)
    return RenderedFrames(picture, picture, picture[:, :1], torch.from_numpy(clip.identity_features[part]))


@pytest.mark.parametrize("feature", ["person", "frame"])
def test_a_memory_holds_the_identity_feature_that_the_settings_name(tmp_path, monkeypatch, feature):
    clip = make_clip(tmp_path)
    clip.identity_features[:] /= np.linalg.norm(clip.identity_features, axis=1, keepdims=True)
    monkeypatch.setattr(fit, "person_renderer", lambda *_: (None, None))
    monkeypatch.setattr(fit, "render_clip", random_frames)
    settings = compose(["experiment=personal", "data.video=v.mp4", *TINY, f"data.identity_feature={feature}"])
    fit.fit_memory_gan(settings, tmp_path, clip)
    state = torch.load(last_checkpoint(tmp_path, "memory_gan"), weights_only=True)["state_dict"]
    held = state["memory.values"][state["memory.filled"]].numpy()
    mean = clip.identity_features[:FITTED].mean(0)
    expected = mean[None] / np.linalg.norm(mean) if feature == "person" else clip.identity_features[:FITTED]
    nearest = (held @ expected.T).max(1)
    assert len(held) >= 1
    np.testing.assert_allclose(nearest, 1, atol=1e-5)
