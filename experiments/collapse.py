"""Stops a training of stage 1 that has collapsed: a mouth that does not move, or not with the sound.

Users who trained the original on many speakers got the same face for any sound, and nothing told them.
"""

from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_warn

from media.errors import InputError


class CollapseGuard(Callback):
    """Looks at every validation from some epoch on; of a training that ends before, at the last one, and warns.

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

        Warns:
            UserWarning: If the training ends before the first look.

        Raises:
            InputError: What has collapsed, and what to try.
        """
        epoch = trainer.current_epoch + 1
        if trainer.sanity_checking or not self.after_epochs:
            return
        if epoch < self.after_epochs and epoch != trainer.max_epochs:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        fault = self._fault(values, epoch)
        if fault is None:
            return
        if epoch < self.after_epochs:
            rank_zero_warn(f"{fault}; so short a training may just not have begun to move")
            return
        if trainer.is_global_zero:
            raise InputError(
                f"{fault}; lower audio2pose.learning_rate, or give it more clips or clips in step with their sound; "
                "fit.audio2pose.collapse.after_epochs=0 goes on all the same"
            )
        raise SystemExit(0)  # the first process says it once, for all

    def _fault(self, values: Mapping[str, float], epoch: int) -> str | None:
        # written so that a ratio or a loss that is not a number is a fault too
        ratio = values["val/expression_variance_ratio"]
        if not ratio >= self.variance_ratio:
            return (
                f"audio2pose has collapsed to one face for every sound: after {epoch} epochs its expression has "
                f"{ratio:.2g} of the true variance (limit {self.variance_ratio:g})"
            )
        if self.rolled_sound and not values["val/loss"] < values["val/loss_rolled"]:
            return (
                f"audio2pose does not listen: after {epoch} epochs its loss on unseen clips is "
                f"{values['val/loss']:.4g}, and {values['val/loss_rolled']:.4g} with the sound of another moment"
            )
        return None
