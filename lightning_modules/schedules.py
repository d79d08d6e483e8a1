"""How learning rates change over a training."""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def with_linear_decay(optimizers: Sequence[Optimizer], fraction: float, epochs: int) -> Any:
    """What `configure_optimizers` returns for rates that fall linearly to 0 at the end, to be stepped every epoch.

    Args:
        optimizers: Of one module.
        fraction: Share of the epochs, at the end, in which the rates fall; 0 for constant rates.
        epochs: Of the training; below 0 if there is no end, and so no decay.
    """
    if not fraction or epochs < 0:
        return optimizers
    length = fraction * epochs

    def rate(epoch: int) -> float:
        return max(0.0, min(1.0, (epochs - epoch) / length))

    return optimizers, [LambdaLR(optimizer, rate) for optimizer in optimizers]
