"""Whether this machine has the devices that a training asks for, before anything is prepared for it."""

from typing import Any

from media.errors import InputError


def check_devices(trainer: dict[str, Any]) -> None:
    """Refuse devices that are not there.

    Args:
        trainer: The settings `trainer`; `devices` are those of one machine, as this is.

    Raises:
        InputError: If `accelerator` is of a kind that is not here, or there are fewer of it than `devices`.
    """
    accelerator, wanted = trainer["accelerator"], trainer["devices"]
    if accelerator == "cpu" or (accelerator == "auto" and wanted == 1):
        return  # is everywhere, and torch takes seconds to import
    found = device_count(accelerator)
    if accelerator == "auto" and not found:
        return  # processes on the processor, as many as are asked for
    if not found:
        raise InputError(
            f"trainer.accelerator={accelerator}: torch sees no such device here; add trainer.accelerator=cpu, or "
            "install its driver and a torch built for it"
        )
    if wanted > found:
        raise InputError(
            f"trainer.devices={wanted}: this machine has {found}; add trainer.devices={found}, or "
            "trainer.accelerator=cpu for that many processes on its processor"
        )


def device_count(accelerator: str) -> int:
    """How many devices of a kind torch sees: NVIDIA's or AMD's, or the one of Apple; `gpu` and `auto` mean any."""
    import torch

    of_apple = int(torch.backends.mps.is_available())
    return of_apple if accelerator == "mps" else torch.cuda.device_count() or of_apple
