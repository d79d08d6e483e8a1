import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from experiments.devices import check_devices
from experiments.settings import compose
from media.errors import InputError


@pytest.fixture
def machine(monkeypatch):
    """Pretend that torch sees so many graphics processors."""

    def pretend(cuda: int, apple: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return pretend


def refusal(accelerator: str, devices: int) -> str:
    with pytest.raises(InputError) as caught:
        check_devices({"accelerator": accelerator, "devices": devices})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_more_devices_than_there_are_are_refused(machine):
    machine(cuda=1)
    for accelerator in ("auto", "gpu"):
        assert "trainer.devices=2: this machine has 1; add trainer.devices=1" in refusal(accelerator, 2)
        check_devices({"accelerator": accelerator, "devices": 1})
    check_devices({"accelerator": "cpu", "devices": 2})
    machine(cuda=0, apple=True)
    assert "trainer.devices=2" in refusal("mps", 2)
    check_devices({"accelerator": "mps", "devices": 1})


def test_a_kind_that_is_not_here_is_refused(machine):
    machine(cuda=0)
    for accelerator in ("gpu", "mps"):
        assert f"trainer.accelerator={accelerator}: torch sees no such device" in refusal(accelerator, 1)
    check_devices({"accelerator": "auto", "devices": 4})
    machine(cuda=4)
    check_devices({"accelerator": "gpu", "devices": 4})
    assert "trainer.accelerator=mps" in refusal("mps", 1)


def test_processes_of_the_settings_run_on_a_machine_with_one_of_them(machine):
    machine(cuda=1)
    check_devices(compose([])["trainer"])
    assert "trainer.devices=2" in refusal(*(compose(["trainer=ddp"])["trainer"][key] for key in TRAINER))
    check_devices(compose(["trainer=ddp", "trainer.accelerator=cpu"])["trainer"])


TRAINER = ("accelerator", "devices")


@pytest.mark.parametrize("accelerator", ["auto", "cpu", "gpu", "mps"])
@pytest.mark.parametrize("devices", [1, 2])
def test_refused_is_what_lightning_refuses(accelerator, devices, tmp_path):
    """On this machine, whatever it has."""
    settings = {"accelerator": accelerator, "devices": devices}
    try:
        check_devices(settings)
    except InputError:
        with pytest.raises((MisconfigurationException, ValueError, RuntimeError)):
            pl.Trainer(**settings, logger=False, default_root_dir=tmp_path)
    else:
        pl.Trainer(**settings, logger=False, default_root_dir=tmp_path)
