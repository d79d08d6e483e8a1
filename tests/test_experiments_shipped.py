"""The general first stage that comes with the project: what is shipped is what a run had, and it moves mouths."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.run_files import flatten
from experiments import provenance
from experiments.checks import check_machine
from experiments.parents import start_from_parent
from experiments.settings import GENERAL, GENERAL_WEIGHTS, compose, nest, run_id, save_settings
from experiments.shipped import load_shipped, require_shipped_network, ship
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from media.audio import mfcc_windows
from media.digest import sha256
from media.errors import InputError
from tests.test_experiments_parents import make_lstm, save, settings_of_small_lstm


def test_shipped_weights_are_those_of_the_run_used_at_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, child = make_lstm(0), make_lstm(1)
    for value in parent.average.state_dict().values():
        value.add_(0.25)  # so that the average differs from the network
    run = save(parent, tmp_path / "run", "audio2pose")
    settings = settings_of_small_lstm()
    save_settings(settings, run)
    output = ship(run, tmp_path / "weights.npz")
    monkeypatch.setattr("experiments.shipped.GENERAL_WEIGHTS", output)
    own = {name: getattr(child, name).clone() for name in child.person_buffers}
    fresh = child.network.head.weight[64:].clone()
    load_shipped(child, settings)
    assert torch.equal(child.network.head.weight[64:], fresh)  # the head pose is the person's own
    for name, value in parent.average.state_dict().items():
        half = value.half().float()
        if name.startswith("head."):
            half[64:] = child.network.state_dict()[name][64:]
        assert torch.equal(child.network.state_dict()[name], half), name
        assert torch.equal(child.average.state_dict()[name], half), name
    assert all(torch.equal(getattr(child, name), value) for name, value in own.items())


def test_another_network_is_refused(tmp_path: Path) -> None:
    settings = settings_of_small_lstm()
    with pytest.raises(InputError, match=r"another network; .*=null .*hidden_size=128") as refusal:
        load_shipped(make_lstm(0), settings)
    assert "\n" not in str(refusal.value)


def test_a_named_run_goes_before_the_general_weights(tmp_path: Path) -> None:
    run = save(make_lstm(0), tmp_path / "run", "audio2pose")
    settings = settings_of_small_lstm(init_from=str(run), init_from_audio2pose=GENERAL)
    save_settings(settings, run)
    child = make_lstm(1)
    start_from_parent(child, settings, tmp_path, "audio2pose")
    assert provenance.read(tmp_path)["parents"]["audio2pose"]["run"] == "run"
    own = torch.load(run / "checkpoints/audio2pose/last.ckpt")["state_dict"]["network.head.weight"]
    assert torch.equal(child.network.head.weight, own)


def test_run_id_follows_the_shipped_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = compose(["init_from_audio2pose=general"])
    before = run_id(settings)
    assert before != run_id(compose(["init_from_audio2pose=null"]))
    other = tmp_path / "other.npz"
    other.write_bytes(b"other weights")
    monkeypatch.setattr("experiments.settings.GENERAL_WEIGHTS", other)
    assert run_id(settings) != before
    assert sha256(GENERAL_WEIGHTS) != sha256(other)


def test_the_mouth_follows_a_voice_never_heard() -> None:
    """An embedded speaker of another seed: with the person's scales and the shipped weights alone, nothing fitted."""
    from datamodules.synthetic.spoken_truth import spoken_truth
    from experiments.fit import make_audio2pose
    from face.coefficients import EXPRESSION, get_pose

    samples, chi = spoken_truth(987_654, 12.0)
    model, windows = load_face_model(), mfcc_windows(samples, len(chi))
    parts = {"expression": chi[:, EXPRESSION], "pose": get_pose(chi), "mfcc": windows.reshape(-1, 12)}
    statistics = {f"{name}_mean": values.mean(0) for name, values in parts.items()}
    statistics |= {f"{name}_std": values.std(0) for name, values in parts.items()} | {"opening_std": np.ones(1)}
    settings = nest(flatten(compose(["experiment=demo"])))
    module = make_audio2pose(settings, model, statistics)
    load_shipped(module, settings)
    with torch.no_grad():
        expression, _, _ = module.eval()(torch.from_numpy(windows)[None])
    opening, true = (values @ mouth_opening_map(model) for values in (expression[0].numpy(), chi[:, EXPRESSION]))
    assert np.corrcoef(opening, true)[0, 1] > 0.6


@pytest.mark.parametrize("unfit", ["face.model=bfm", "audio2pose.hidden_size=64"])
def test_general_weights_are_refused_before_long_work(unfit: str, tmp_path: Path) -> None:
    chosen = ["experiment=personal", "data.video=embedded", f"runs={tmp_path}"]
    check_machine(compose(chosen), tmp_path)
    settings = compose([*chosen, unfit])
    settings["face"]["model_file"] = None
    with pytest.raises(InputError, match="=null to start from scratch"):
        require_shipped_network(settings)
