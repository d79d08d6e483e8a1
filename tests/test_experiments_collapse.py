import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from experiments.collapse import CollapseGuard
from experiments.settings import compose, run_id
from lightning_modules.audio2pose import Audio2PoseLSTM
from media.errors import InputError


class Speech(Dataset):
    """Movement that follows the sound in a way that is quickly learned: every number is the same row of MFCC."""

    def __init__(self, size, frames):
        self.size, self.frames = size, frames

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        rows = torch.randn(4 * self.frames + 24, 12, generator=generator)
        loudness = torch.randn(self.frames + 6, 1, generator=generator)
        rows[:, :6] = 3 * loudness.repeat_interleave(4, 0)
        mfcc, loudness = rows.unfold(0, 28, 4).transpose(1, 2).contiguous(), loudness[3:-3]
        return {"mfcc": mfcc, "expression": loudness.expand(-1, 64), "pose": loudness.expand(-1, 6)}


class Constant(Audio2PoseLSTM):
    """Every error of expression pulls the outputs to the mean."""

    def losses(self, expression, pose, batch):
        still = {name: torch.zeros_like(batch[name]) for name in ("expression", "pose")}
        return super().losses(expression, pose, batch | still if self.training else batch)


class Deaf(Audio2PoseLSTM):
    """Moves a lot, whatever the sound says."""

    def network_alone(self, mfcc, state=None):
        expression, pose, state = super().network_alone(mfcc, state)
        wave = torch.linspace(0, 3, mfcc.shape[1], device=mfcc.device).sin()
        return 0 * expression + wave[:, None], 0 * pose, state


def fit(tmp_path, kind, epochs=4, samples=16, **guard):
    torch.manual_seed(0)
    sizes = {"expression_scale": 64, "expression_mean": 64, "pose_scale": 6, "pose_mean": 6}
    person = {name: np.full(size, float(name.endswith("scale")), np.float32) for name, size in sizes.items()}
    person |= {"mouth_opening": np.ones(64), "mfcc_mean": np.zeros(12), "mfcc_std": np.ones(12)}
    module = kind(**person, encoder_channels=4, feature_size=8, hidden_size=16, dropout=0.0, learning_rate=3e-2)
    settings = {"after_epochs": 3, "variance_ratio": 0.01, "rolled_sound": True}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        callbacks=[CollapseGuard(**(settings | guard))],
    )  # fmt: skip
    trainer.fit(module, DataLoader(Speech(samples, 8), 8), DataLoader(Speech(2, 25), 1))
    return trainer


def test_a_training_that_listens_is_left_alone(tmp_path):
    values = fit(tmp_path, Audio2PoseLSTM, samples=120).callback_metrics
    assert values["val/expression_variance_ratio"] > 0.3
    assert values["val/loss"] < 0.7 * values["val/loss_rolled"]


def test_a_constant_mouth_stops_the_training_in_one_line(tmp_path):
    limit = r"one face for every sound: after 3 epochs its expression has .* of the true variance \(limit 0\.01\)"
    with pytest.raises(InputError, match=limit) as stop:
        fit(tmp_path, Constant, rolled_sound=False)
    assert "\n" not in str(stop.value)


def test_a_mouth_that_moves_without_listening_stops_too(tmp_path):
    with pytest.raises(InputError, match="does not listen: after 3 epochs"):
        fit(tmp_path, Deaf)
    assert fit(tmp_path, Deaf, rolled_sound=False).current_epoch == 4


def test_a_loss_that_is_not_a_number_stops(tmp_path):
    class Broken(Audio2PoseLSTM):
        def network_alone(self, mfcc, state=None):
            expression, pose, state = super().network_alone(mfcc, state)
            return expression * (torch.nan if not self.training else 1), pose, state

    with pytest.raises(InputError, match="collapsed"):
        fit(tmp_path, Broken)


def test_the_first_epochs_are_given_time_and_0_is_never(tmp_path):
    with pytest.raises(InputError, match="after 4 epochs"):
        fit(tmp_path, Constant, after_epochs=4)
    assert fit(tmp_path, Constant, after_epochs=0).current_epoch == 4


def test_the_last_epoch_is_judged_in_any_case(tmp_path):
    with pytest.warns(UserWarning, match="one face for every sound: after 2 epochs"):
        assert fit(tmp_path, Constant, epochs=2, rolled_sound=False).current_epoch == 2
    assert fit(tmp_path, Audio2PoseLSTM, epochs=2, samples=120).current_epoch == 2


def test_what_the_remedy_changes_is_no_other_run():
    general = ["experiment=audio2pose_general", "data.root=CORPUS"]
    patient = [*general, "fit.audio2pose.collapse.after_epochs=0", "fit.audio2pose.collapse.rolled_sound=false"]
    assert run_id(compose(patient)) == run_id(compose(general))
