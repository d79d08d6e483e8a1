import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.motion import noisy
from lightning_modules.networks.audio_encoder import AUDIO_ENCODERS

SMALL = {"encoder_channels": 8, "feature_size": 24, "hidden_size": 32}


def arrays(seed=0):
    random = np.random.default_rng(seed)
    return {
        "expression_scale": random.uniform(0.2, 3.0, 64).astype(np.float32),
        "expression_mean": random.normal(size=64).astype(np.float32),
        "pose_scale": random.uniform(0.05, 0.5, 6).astype(np.float32),
        "pose_mean": random.normal(size=6).astype(np.float32),
        "mouth_opening": random.normal(size=64).astype(np.float32),
        "mfcc_mean": random.normal(size=12).astype(np.float32),
        "mfcc_std": random.uniform(5, 20, 12).astype(np.float32),
    }


def make_module(seed=0, **keywords):
    torch.manual_seed(seed)
    return Audio2PoseLSTM(**arrays(), **(SMALL | {"dropout": 0.0} | keywords))


def make_batch(module, batch=4, frames=16, seed=0):
    """Motion that follows from the sound: the loudness of two bands moves two coefficients and the head."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(batch, 4 * frames + 24, 12, generator=generator)
    normal = rows.unfold(1, 28, 4).transpose(2, 3)  # windows of neighbouring frames share rows
    cue = normal[:, :, 12:16].mean(2)
    expression, pose = torch.zeros(batch, frames, 64), torch.zeros(batch, frames, 6)
    expression[..., :12], pose[..., :6] = 4 * cue, cue[..., :6]
    return {
        "mfcc": module.mfcc_mean + normal * module.mfcc_std,
        "expression": module.expression_mean + expression / module.expression_scale,
        "pose": module.pose_mean + pose * module.pose_scale,
    }


class Batches(Dataset):
    """The samples of one batch, again and again."""

    def __init__(self, batch, repeats=1):
        self.batch, self.repeats = batch, repeats

    def __len__(self):
        return self.repeats * len(self.batch["pose"])

    def __getitem__(self, index):
        return {name: value[index % len(value)] for name, value in self.batch.items()}


def trainer(tmp_path, **keywords):
    defaults = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**(defaults | keywords))


def test_starts_at_the_mean_face_and_pose():
    module = make_module().eval()
    expression, pose, _ = module(make_batch(module)["mfcc"])
    deviation = (expression - module.expression_mean) * module.expression_scale
    assert deviation.abs().max() < 0.3
    assert ((pose - module.pose_mean) / module.pose_scale).abs().max() < 0.3


def test_losses_are_eq_2_with_scaled_coefficients():
    module, generator = make_module(), torch.Generator().manual_seed(1)
    batch = {
        "expression": torch.randn(2, 5, 64, generator=generator),
        "pose": torch.randn(2, 5, 6, generator=generator),
    }
    expression = torch.randn(2, 5, 64, generator=generator)
    pose = torch.randn(2, 5, 6, generator=generator)
    terms = {name: value.item() for name, value in module.losses(expression, pose, batch).items()}
    s, d = module.expression_scale.numpy(), module.pose_scale.numpy()
    beta, true_beta, p, true_p = (x.numpy() for x in (expression, batch["expression"], pose, batch["pose"]))
    assert terms["expression"] == pytest.approx(np.mean((s * (beta - true_beta)) ** 2), rel=1e-5)
    assert terms["pose"] == pytest.approx(np.mean(((p - true_p) / d) ** 2), rel=1e-5)
    assert terms["continuity"] == pytest.approx(np.sum(np.diff(p / d, axis=1) ** 2) / 2, rel=1e-5)
    opening, true_opening = ((x * module.mouth_opening.numpy()).sum(-1) for x in (beta, true_beta))
    assert terms["opening"] == pytest.approx(np.mean((opening - true_opening) ** 2), rel=1e-4)


def test_default_loss_weights_are_the_papers():
    module = make_module()
    batch = make_batch(module)
    terms = module.losses(batch["expression"] + 0.1, batch["pose"] * 1.1, batch)
    expected = terms["expression"] + 0.2 * terms["pose"] + 0.01 * terms["continuity"]
    module.forward = lambda mfcc: (batch["expression"] + 0.1, batch["pose"] * 1.1, None)
    module.log = module.log_dict = lambda *arguments, **keywords: None
    torch.testing.assert_close(module.training_step(batch, 0), expected)


def test_state_carried_in_pieces_equals_the_whole_utterance():
    module = make_module(layers=2).eval()
    mfcc = make_batch(module, batch=2, frames=53)["mfcc"]
    with torch.no_grad():
        expression, pose, _ = module(mfcc)
        state, pieces = None, []
        for piece in mfcc.split([1, 20, 7, 25], dim=1):
            part, part_pose, state = module(piece, state)
            pieces.append((part, part_pose))
    torch.testing.assert_close(torch.cat([part for part, _ in pieces], 1), expression, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.cat([part for _, part in pieces], 1), pose, rtol=1e-5, atol=1e-6)


def test_no_look_ahead_beyond_the_window():
    module = make_module().eval()
    mfcc = make_batch(module, batch=1, frames=20)["mfcc"]
    changed = mfcc.clone()
    changed[:, 12:] += 5
    with torch.no_grad():
        before, after = module(mfcc)[0], module(changed)[0]
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.equal(before[:, 12:], after[:, 12:])


def test_with_lookahead_frames_are_told_after_the_next_ones_were_heard():
    module = make_module(layers=2, lookahead=3).eval()
    plain = make_module(layers=2).eval()
    plain.load_state_dict(module.state_dict())
    mfcc = make_batch(module, batch=2, frames=20)["mfcc"]
    with torch.no_grad():
        ahead, _, state = module(mfcc)
        torch.testing.assert_close(ahead[:, :17], plain(mfcc)[0][:, 3:])
        assert ahead.shape[1] == 20
        with pytest.raises(ValueError, match="whole utterances"):
            module(mfcc, state)


def test_overfits_one_batch_through_a_trainer(tmp_path):
    module = make_module(learning_rate=5e-3, average_decay=0.9)
    batch = make_batch(module)
    loader = DataLoader(Batches(batch), batch_size=4)
    before = trainer(tmp_path).validate(module, loader, verbose=False)[0]
    trainer(tmp_path).fit(module, DataLoader(Batches(batch, 150), batch_size=4))
    after = trainer(tmp_path).validate(module, loader, verbose=False)[0]
    assert after["val/loss"] < 0.1 * before["val/loss"]
    assert after["val/mouth_correlation"] > 0.95
    assert abs(after["val/mouth_correlation_rolled"]) < 0.5
    assert 0.8 < after["val/expression_variance_ratio"] < 1.1
    assert before["val/expression_variance_ratio"] < 0.05


@pytest.mark.parametrize(("encoder", "normalisation"), [("compact", "batch"), ("wide", "group"), ("wide", "batch")])
def test_other_encoders_learn(encoder, normalisation):
    module = make_module(encoder=encoder, normalisation=normalisation, encoder_channels=4)
    batch = make_batch(module, batch=2, frames=4)
    expression, pose, _ = module(batch["mfcc"])
    sum(module.losses(expression, pose, batch).values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.network.parameters())


def test_wide_encoder_has_the_size_of_the_original():
    from lightning_modules.networks.audio_encoder import WideEncoder

    encoder = WideEncoder(64, 256, 0.0, "batch")
    # convolutions 2.14 M, linear layers 25.69 M
    assert sum(parameter.numel() for parameter in encoder.parameters()) == pytest.approx(27.83e6, rel=1e-3)
    assert encoder(torch.zeros(2, 3, 28, 12)).shape == (2, 3, 256)


def test_batch_normalisation_refuses_several_processes():
    module = make_module(normalisation="batch")

    class Several:
        world_size = 2

    module._trainer = Several()
    with pytest.raises(ValueError, match="normalisation=batch"):
        module.setup("fit")


def test_augmentation_acts_in_training_alone():
    module = make_module(mfcc_noise=0.3, mfcc_shift=0.5)
    mfcc = torch.zeros(64, 16, 28, 12)
    heard = noisy(mfcc, module.mfcc_std, module.mfcc_noise, module.mfcc_shift) / module.mfcc_std
    offset = heard.mean((1, 2))
    assert offset.std() == pytest.approx(0.5, rel=0.1)
    assert (heard - offset[:, None, None]).std() == pytest.approx(0.3, rel=0.05)
    module.eval()
    batch = make_batch(module)
    assert torch.equal(module(batch["mfcc"])[0], module(batch["mfcc"])[0])


def test_checkpoint_loads_without_the_arrays(tmp_path):
    module = make_module()
    batch = make_batch(module)
    fit = trainer(tmp_path, max_epochs=2)
    fit.fit(module, DataLoader(Batches(batch), batch_size=4))
    fit.save_checkpoint(tmp_path / "a.ckpt")
    again = Audio2PoseLSTM.load_from_checkpoint(tmp_path / "a.ckpt", map_location="cpu", weights_only=True).eval()
    module.eval()
    assert torch.equal(again(batch["mfcc"])[0], module(batch["mfcc"])[0])
    assert set(again.person_buffers) <= set(again.state_dict())


def test_resumed_training_equals_training_in_one_go(tmp_path):
    def loader(module):
        return DataLoader(Batches(make_batch(module)), batch_size=2)

    whole = make_module()
    trainer(tmp_path, max_epochs=4).fit(whole, loader(whole))
    first, second = make_module(), make_module(seed=9)
    half = trainer(tmp_path, max_epochs=2)
    half.fit(first, loader(first))
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, max_epochs=4).fit(
        second, loader(second), ckpt_path=str(tmp_path / "half.ckpt"), weights_only=True
    )
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_bf16_training_keeps_this_stage_in_fp32(tmp_path):
    module = make_module()
    batch = make_batch(module)
    with torch.autocast("cpu", torch.bfloat16):
        expression, pose, _ = module(batch["mfcc"])
    assert expression.dtype == pose.dtype == torch.float32
    assert torch.equal(expression, module(batch["mfcc"])[0])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pose_scale", np.zeros(6), "pose_scale has to be above 0"),
        ("expression_mean", np.zeros(10), r"expression_mean should have shape \(64,\), got \(10,\)"),
    ],
)
def test_wrong_arrays_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Audio2PoseLSTM(**(arrays() | {name: value}), **SMALL)


@pytest.mark.parametrize("keywords", [{"encoder": "huge"}, {"normalisation": "none"}])
def test_unknown_choices_are_refused(keywords):
    with pytest.raises(ValueError, match="expected one of"):
        make_module(**keywords)


@pytest.mark.parametrize("encoder", ["compact", "wide"])
def test_a_feature_is_a_function_of_its_own_window(encoder):
    torch.manual_seed(0)
    network = AUDIO_ENCODERS[encoder](4, 16, 0.0, "layer").eval()
    windows = torch.randn(2, 4 * 9 + 24, 12).unfold(1, 28, 4).transpose(2, 3)
    one_by_one = torch.stack([network(windows[:, [t]])[:, 0] for t in range(9)], 1)
    torch.testing.assert_close(network(windows), one_by_one)


def test_compact_encoder_refuses_statistics_over_many_windows():
    with pytest.raises(ValueError, match="normalisation=group"):
        make_module(normalisation="group")
