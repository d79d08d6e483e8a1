"""Stops a training of stage 1 that has collapsed: a mouth that does not move, or not with the sound.

Users who trained the original on many speakers got the same face for any sound, and nothing told them.
"""

from typing import NoReturn

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from media.errors import InputError


class CollapseGuard(Callback):
    """Looks at every validation from some epoch on, and at the last one in any case.

    Args:
        after_epochs: Epochs before the first look, in which a network that starts at the mean face may still stand
            still; 0 for never looking.
        variance_ratio: Share of the true variance of expression below which the mouth counts as constant. The best
            prediction from a sound with correlation r has r² of the variance.
        rolled_sound: Whether to stop too if the loss is no larger with the sound of another moment. Needs more than a
            few seconds of validation to mean anything.
    """

    def __init__(self, after_epochs: int, variance_ratio: float, rolled_sound: bool):
        self.after_epochs, self.variance_ratio, self.rolled_sound = after_epochs, variance_ratio, rolled_sound

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge this epoch; all processes see the same values, so all of them stop.

        Raises:
            InputError: What has collapsed, and what to try.
        """
        epoch = trainer.current_epoch + 1
        if trainer.sanity_checking or not self.after_epochs:
            return
        if epoch < self.after_epochs and epoch != trainer.max_epochs:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        ratio = values["val/expression_variance_ratio"]
        remedy = (
            "lower audio2pose.learning_rate, or give it more clips or clips in step with their sound; "
            "fit.audio2pose.collapse.after_epochs=0 goes on all the same"
        )
        # written so that a ratio or a loss that is not a number stops too
        if not ratio >= self.variance_ratio:
            _stop(
                trainer,
                f"audio2pose has collapsed to one face for every sound: after {epoch} epochs its expression has "
                f"{ratio:.2g} of the true variance (limit {self.variance_ratio:g}); {remedy}",
            )
        if self.rolled_sound and not values["val/loss"] < values["val/loss_rolled"]:
            _stop(
                trainer,
                f"audio2pose does not listen: after {epoch} epochs its loss on unseen clips is "
                f"{values['val/loss']:.4g}, "
                f"and {values['val/loss_rolled']:.4g} with the sound of another moment; {remedy}",
            )


def _stop(trainer: pl.Trainer, reason: str) -> NoReturn:
    if trainer.is_global_zero:
        raise InputError(reason)
    raise SystemExit(0)  # the first process says it once, for all
