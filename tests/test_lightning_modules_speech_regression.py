"""Kernel ridge regression against its dual form written out, and inside the first stage."""

import copy

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from datamodules.windows import SpeechWindows
from experiments.parents import load_parent
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.networks.audio_encoder import CompactEncoder
from lightning_modules.networks.speech_regression import SpeechRegression
from tests.test_lightning_modules_audio2pose import Batches, make_batch, make_module, trainer

FRAMES, OUTPUTS = 120, 5


@pytest.fixture
def speech() -> tuple[CompactEncoder, torch.Tensor, torch.Tensor]:
    """An encoder, windows of sound, and targets of which the first follows from the sound, the others from nothing."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    encoder = CompactEncoder(4, 16, 0.5).eval()
    rows = torch.randn(4 * FRAMES + 24, 12, generator=generator)
    mfcc = rows.unfold(0, 28, 4).transpose(1, 2)[:FRAMES]
    targets = torch.randn(FRAMES, OUTPUTS, generator=generator)
    with torch.no_grad():
        targets[:, 0] = (encoder(mfcc[None])[0] @ torch.randn(16, generator=generator)).sub_(0.3)
    targets -= targets.mean(0)
    return encoder, mfcc, targets


def expected(features: np.ndarray, asked: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """The textbook's dual form."""
    dual = np.linalg.solve(gram(features, features) + penalty * np.eye(len(features)), targets)
    return gram(asked, features) @ dual


def gram(asked: np.ndarray, features: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """Gaussian kernel, one pair of frames at a time."""
    spread = (features if known is None else known).std(0)
    deviation = np.maximum(spread, 0.5 * np.sqrt(np.mean(spread**2)))
    return np.array([[np.exp(-np.mean(((one - other) / deviation) ** 2) / 6) for other in features] for one in asked])


def best_penalty(features: np.ndarray, target: np.ndarray, gap: int) -> float:
    """By leaving out a quarter at a time, and `gap` frames on both sides of it."""
    errors = {}
    for penalty in (0.3, 1.0, 3.0, 10.0):
        errors[penalty] = 0.0
        for part in np.array_split(np.arange(len(target)), 4):
            rest = [k for k in range(len(target)) if k < part[0] - gap or k > part[-1] + gap]
            inner = gram(features[rest], features[rest], features) + penalty * np.eye(len(rest))
            found = gram(features[part], features[rest], features) @ np.linalg.solve(inner, target[rest])
            errors[penalty] += float(((found - target[part]) ** 2).sum())
    return min(errors, key=errors.__getitem__)


@pytest.mark.parametrize("lookahead", [0, 2])
def test_it_is_kernel_ridge_regression(speech, lookahead):
    encoder, mfcc, targets = speech
    regression = SpeechRegression(encoder, 16, OUTPUTS, lookahead)
    assert not regression.is_fitted
    regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[0])
    with torch.no_grad():
        heard = encoder(mfcc[None])[0].double().numpy()
        found = regression(mfcc[None, 30:50])[0].numpy()

    def features(piece: np.ndarray) -> np.ndarray:
        padded = np.concatenate([piece, *[piece[-1:]] * lookahead])
        return np.concatenate([padded[k : k + len(piece)] for k in range(lookahead + 1)], 1)

    penalty = best_penalty(features(heard), targets[:, 0].double().numpy(), 7 + lookahead)
    wanted = expected(features(heard), features(heard[30:50]), targets.numpy(), penalty)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert regression.trusted


def test_noise_gets_the_largest_penalty_and_a_face_that_follows_the_sound_the_least(speech):
    encoder, mfcc, targets = speech
    loudness = []
    for column in (0, 1):
        regression = SpeechRegression(encoder, 16, OUTPUTS)
        regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[column])
        loudness.append(float(regression(mfcc[None])[0, :, 1].std()))
    assert loudness[1] < 0.5 * loudness[0]  # the same noise, held down harder
    assert not regression.trusted


def test_what_follows_from_the_sound_is_found_in_unheard_frames(speech):
    encoder, mfcc, targets = speech
    regression = SpeechRegression(encoder, 16, OUTPUTS)
    regression.fit(encoder, mfcc[:80], targets[:80], torch.eye(OUTPUTS)[0])
    found = regression(mfcc[None, 87:])[0]
    correlation = [float(np.corrcoef(found[:, k], targets[87:, k])[0, 1]) for k in range(OUTPUTS)]
    assert correlation[0] > 0.7
    assert max(np.abs(correlation[1:])) < 0.6


def test_a_checkpoint_brings_as_many_frames_as_were_learned(speech):
    encoder, mfcc, targets = speech
    regression, other = (SpeechRegression(copy.deepcopy(encoder), 16, OUTPUTS, 1) for _ in range(2))
    regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[0])
    other.load_state_dict(regression.state_dict())
    assert other.is_fitted
    assert torch.equal(other(mfcc[None]), regression(mfcc[None]))
    assert not [p for p in other.parameters() if p.requires_grad]


def test_it_learns_the_encoder_as_it_is_then_and_hears_without_dropout(speech):
    encoder, mfcc, targets = speech
    regression = SpeechRegression(CompactEncoder(4, 16, 0.5), 16, OUTPUTS).train()
    regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[0])
    before = regression(mfcc[None])
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert torch.equal(regression.train()(mfcc[None]), before)


def test_two_minutes_are_the_most(speech, monkeypatch):
    encoder, mfcc, targets = speech
    monkeypatch.setattr("lightning_modules.networks.speech_regression._MOST_FRAMES", 50)
    regression = SpeechRegression(encoder, 16, OUTPUTS)
    regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[0])
    assert len(regression.support) == 40
    few = SpeechRegression(encoder, 16, OUTPUTS)
    few.fit(encoder, mfcc[:3], targets[:3], torch.eye(OUTPUTS)[0])  # nothing is left beside a part
    assert not few.trusted
    assert torch.isfinite(few(mfcc[None])).all()


def test_a_feature_that_was_still_in_training_does_not_silence_a_frame(speech):
    encoder, mfcc, targets = speech
    with torch.no_grad():
        encoder.feature[1].weight[0] = 0
        encoder.feature[1].bias[0] = 0
    regression = SpeechRegression(encoder, 16, OUTPUTS)
    regression.fit(encoder, mfcc, targets, torch.eye(OUTPUTS)[0])
    before = regression(mfcc[None])[0, :, 0]
    with torch.no_grad():
        regression.encoder.feature[1].bias[0] = 0.1
    after = regression(mfcc[None])[0, :, 0]
    assert float(np.corrcoef(before, after)[0, 1]) > 0.99
    assert after.std() > 0.8 * before.std()


class Speech(pl.LightningDataModule):
    """One recording."""

    def __init__(self, windows: SpeechWindows):
        super().__init__()
        self.windows = windows
        self.recording = {"mfcc": windows.mfcc, "expression": windows.expression, "pose": windows.pose}

    def train_dataloader(self):
        return DataLoader(self.windows, batch_size=8)


def windows(module: Audio2PoseLSTM, frames: int = 60) -> SpeechWindows:
    batch = make_batch(module, batch=1, frames=frames)
    coefficients = np.zeros((frames, 257), np.float32)
    coefficients[:, 80:144] = batch["expression"][0].numpy()
    coefficients[:, 224:227], coefficients[:, 254:257] = np.split(batch["pose"][0].numpy(), 2, axis=1)
    return SpeechWindows(batch["mfcc"][0].numpy(), coefficients, 16)


def fitted(tmp_path, epochs: int = 1, resume=None, **keywords) -> tuple[Audio2PoseLSTM, Speech]:
    module = make_module(lookahead=1, kernel_weight=0.6, **keywords)
    speech = Speech(windows(module))
    fit = trainer(tmp_path, max_epochs=epochs)
    fit.fit(module, speech, ckpt_path=resume, weights_only=True)
    fit.save_checkpoint(tmp_path / f"{epochs}.ckpt")
    return module.eval(), speech


def test_the_first_stage_adds_it_to_its_network_at_test(tmp_path):
    module, speech = fitted(tmp_path)
    heard = speech.recording["mfcc"][None]
    expression, pose, _ = module(heard)
    regression, module.kernel = module.kernel, None
    alone, same_pose, _ = module(heard)
    normal = (heard - module.mfcc_mean) / module.mfcc_std
    both = (alone - module.expression_mean) + regression(normal) / module.expression_scale
    assert torch.allclose(expression, module.expression_mean + 0.6 * both, atol=1e-5)
    assert torch.equal(pose, same_pose)
    truth = speech.recording["expression"]
    error, error_alone = ((x[0] - truth).square().mean() for x in (expression, alone))
    assert error < error_alone  # one epoch of so few steps teaches a network little


def test_the_network_speaks_alone_where_it_is_not_trusted_and_in_validation(tmp_path):
    module, speech = fitted(tmp_path)
    batch = {name: value[None] for name, value in speech.recording.items()}

    def validated() -> dict:
        module.validation_step(batch, 0)
        return {name: float(value) for name, value in module.validation.results().items()}

    both, seen = module(batch["mfcc"])[0], validated()
    module.kernel.trusted.fill_(False)
    alone = module(batch["mfcc"])[0]
    assert not torch.allclose(both, alone)
    assert validated() == seen
    module.kernel = None
    assert torch.equal(module(batch["mfcc"])[0], alone)


def test_it_is_in_the_checkpoint_and_a_resumed_run_fits_it_no_second_time(tmp_path):
    module, speech = fitted(tmp_path)
    heard = speech.recording["mfcc"][None]
    again = Audio2PoseLSTM.load_from_checkpoint(tmp_path / "1.ckpt", map_location="cpu", weights_only=True).eval()
    assert torch.equal(again(heard)[0], module(heard)[0])
    resumed, _ = fitted(tmp_path, epochs=2, resume=str(tmp_path / "1.ckpt"))
    for name, value in module.kernel.state_dict().items():
        assert torch.equal(resumed.kernel.state_dict()[name], value), name


def test_it_stays_with_the_person_when_another_run_starts_from_theirs(tmp_path):
    module, _ = fitted(tmp_path)
    place = tmp_path / "checkpoints/audio2pose"
    place.mkdir(parents=True)
    torch.save({"state_dict": module.state_dict()}, place / "last.ckpt")
    for weight in (0.6, 0.0):
        child = make_module(seed=1, lookahead=1, kernel_weight=weight)
        load_parent(child, tmp_path, "audio2pose")
        assert child.kernel is None or not child.kernel.is_fitted
        assert torch.equal(child.network.head.weight, module.network.head.weight)


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_is_from_0_to_1(weight):
    with pytest.raises(ValueError, match="kernel_weight"):
        make_module(kernel_weight=weight)


def test_it_needs_one_recording(tmp_path):
    module = make_module(kernel_weight=0.6)
    with pytest.raises(TypeError, match="one person"):
        trainer(tmp_path).fit(module, DataLoader(Batches(make_batch(module)), batch_size=2))
