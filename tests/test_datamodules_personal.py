import numpy as np
import pytest
import torch

from datamodules.personal import PersonalVideoDataModule
from datamodules.windows import RenderedFrames, RenderedWindows, SpeechWindows
from media.errors import InputError
from tests.test_datamodules_clip import make_clip


def make_frames(total: int) -> RenderedFrames:
    marks = torch.arange(total, dtype=torch.uint8)[:, None, None, None]
    return RenderedFrames(
        rendered=marks.expand(total, 3, 8, 8).contiguous(),
        target=(marks + 100).expand(total, 3, 8, 8).contiguous(),
        face_mask=torch.full((total, 1, 8, 8), 255, dtype=torch.uint8),
        identity=torch.eye(512)[:total],
    )


def test_speech_windows_are_stretches_in_step():
    clip_mfcc = np.arange(30, dtype=np.float32)[:, None, None] * np.ones((1, 28, 12), np.float32)
    chi = np.arange(30, dtype=np.float32)[:, None] * np.ones((1, 257), np.float32)
    windows = SpeechWindows(clip_mfcc, chi, 16)
    assert len(windows) == 15
    sample = windows[4]
    assert sample["mfcc"].shape == (16, 28, 12)
    assert sample["expression"].shape == (16, 64)
    assert sample["pose"].shape == (16, 6)
    for key in ("mfcc", "expression", "pose"):
        assert torch.equal(sample[key].reshape(16, -1)[:, 0], torch.arange(4.0, 20.0)), key
    assert len(SpeechWindows(clip_mfcc, chi, 0)) == 1


def test_rendered_windows_repeat_the_first_frame():
    windows = RenderedWindows(make_frames(6))
    seen = [windows[t]["rendered"][:, 0, 0, 0].tolist() for t in range(4)]
    assert seen == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert int(windows[3]["target"][0, 0, 0]) == 103
    assert windows[3]["identity"][3] == 1


def test_validation_is_the_end_of_training_and_heldout_is_untouched(tmp_path):
    clip = make_clip(tmp_path, total=200, training=120)
    data = PersonalVideoDataModule(clip, "audio2pose", batch_size=4, window=16, validation_seconds=2.0)
    data.setup("fit")
    fitted = torch.cat([batch["expression"].reshape(-1, 64) for batch in data.train_dataloader()]).numpy()
    validated = torch.cat([batch["expression"][0] for batch in data.val_dataloader()]).numpy()
    expression = clip.coefficients[:, 80:144]
    np.testing.assert_array_equal(data.recording["expression"], expression[:120])
    np.testing.assert_array_equal(validated, expression[70:120])
    assert {row.tobytes() for row in fitted} <= {row.tobytes() for row in expression[:70]}


@pytest.mark.parametrize("feature", ["person", "frame"])
def test_identity_is_the_persons_and_not_that_of_frames_which_validate(tmp_path, feature):
    frames = make_frames(20)
    clip = make_clip(tmp_path, total=30, training=20)
    data = PersonalVideoDataModule(clip, "memory_gan", frames=frames, validation_seconds=0.2, identity_feature=feature)
    data.clip.bridged[3] = True
    data.setup("fit")
    for dataset, start in ((data.train_set, 0), (data.validation_set, 15)):
        for index in range(len(dataset)):
            own = frames.identity[start + index].numpy()
            mean = np.r_[np.full(15, 14**-0.5), np.zeros(497)]  # of unit vectors along 14 of the first 15 axes
            mean[3] = 0  # no face was found there
            np.testing.assert_allclose(dataset[index]["identity"], mean if feature == "person" else own, atol=1e-6)


def test_memory_gan_needs_rendered_frames(tmp_path):
    with pytest.raises(ValueError, match="render_clip"):
        PersonalVideoDataModule(make_clip(tmp_path), "memory_gan")


@pytest.mark.parametrize("seconds", [1.96, 2.0, 3.0])
def test_validation_leaves_something_to_learn_from(tmp_path, seconds):
    clip = make_clip(tmp_path, total=80, training=50)
    with pytest.raises(InputError, match=r"fit\.audio2pose\.validation_seconds=.* training part of 2\.0 s") as refusal:
        PersonalVideoDataModule(clip, "audio2pose", validation_seconds=seconds)
    assert "\n" not in str(refusal.value)
    assert PersonalVideoDataModule(clip, "audio2pose", validation_seconds=1.92).fitted_frames == 2
