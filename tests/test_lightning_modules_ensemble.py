"""Members of a first stage: trained as if alone, averaged at test, one of them from a general model."""

import numpy as np
import pytest
import torch

from experiments.parents import load_parent
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.networks.ensemble import Ensemble, members_of
from tests.test_experiments_parents import make_lstm, save


def make(members: int, seed: int = 0) -> Audio2PoseLSTM:
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    person = [rng.uniform(0.5, 2, size).astype(np.float32) for size in (64, 64, 6, 6, 64, 12, 12)]
    small = {"encoder_channels": 4, "feature_size": 8, "hidden_size": 8, "layers": 2, "dropout": 0.0}
    module = Audio2PoseLSTM(*person, **small, average_decay=0.0, members=members)
    module.log = module.log_dict = lambda *a, **k: None  # no Trainer here
    return module


def batch(size: int = 3, frames: int = 7) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = {"mfcc": (size, 4 * frames + 24, 12), "expression": (size, frames, 64), "pose": (size, frames, 6)}
    made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return made | {"mfcc": made["mfcc"].unfold(1, 28, 4).transpose(2, 3)}  # windows of neighbours share rows


def alone(module: Audio2PoseLSTM, number: int) -> Audio2PoseLSTM:
    """A module of one network, that of a member."""
    single = make(1)
    assert isinstance(module.network, Ensemble)
    single.network.load_state_dict(module.network.members[number].state_dict())
    return single


def test_members_start_unequal_and_their_expressions_are_averaged_at_test() -> None:
    module, windows = make(3).eval(), batch()["mfcc"]
    expression, pose, _ = module(windows)
    single = [alone(module, number).eval()(windows) for number in range(3)]
    assert not torch.allclose(single[0][0], single[1][0], atol=1e-4)
    torch.testing.assert_close(expression, torch.stack([one[0] for one in single]).mean(0))
    torch.testing.assert_close(pose, single[-1][1])


def test_an_utterance_in_pieces_is_the_whole_utterance() -> None:
    module, windows = make(2).eval(), batch(frames=9)["mfcc"]
    whole, _, _ = module(windows)
    first, _, state = module(windows[:, :4])
    second, _, _ = module(windows[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_each_member_has_the_gradient_of_a_network_of_its_own() -> None:
    module = make(2).train()
    module.training_step(batch(), 0).backward()
    module.gradient_clip = 0.01  # far below the norm of either
    module.configure_gradient_clipping(torch.optim.SGD(module.parameters(), 1.0))
    for number, member in enumerate(members_of(module.network)):
        single = alone(module, number).train()
        single.training_step(batch(), 0).backward()
        torch.nn.utils.clip_grad_norm_(single.network.parameters(), 0.01)
        for ours, theirs in zip(member.parameters(), single.network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_general_model_becomes_the_first_member(tmp_path) -> None:
    parent = make_lstm(0)
    torch.manual_seed(1)
    person = [getattr(parent, name).numpy() + 1 for name in parent.person_buffers]
    child = Audio2PoseLSTM(*person, encoder_channels=4, feature_size=8, hidden_size=8, members=2)
    others = {name: value.clone() for name, value in child.network.members[1].state_dict().items()}
    load_parent(child, save(parent, tmp_path, "audio2pose"), "audio2pose")
    for name, value in parent.network.state_dict().items():
        assert torch.equal(members_of(child.network)[0].state_dict()[name], value), name
        assert torch.equal(members_of(child.average)[0].state_dict()[name], parent.average.state_dict()[name]), name
    assert all(torch.equal(child.network.members[1].state_dict()[name], value) for name, value in others.items())
    assert torch.equal(child.pose_mean, parent.pose_mean + 1)


def test_a_checkpoint_brings_its_members(tmp_path) -> None:
    module = make(2)
    state = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.6.4",
    }
    torch.save(state, tmp_path / "last.ckpt")
    loaded = Audio2PoseLSTM.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    windows = batch()["mfcc"]
    torch.testing.assert_close(loaded.eval()(windows)[0], module.eval()(windows)[0])


@pytest.mark.parametrize("members", [1, 3])
def test_one_network_has_no_ensemble_around_it(members: int) -> None:
    assert isinstance(make(members).network, Ensemble) == (members > 1)
