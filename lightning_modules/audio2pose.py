"""Stage 1: from sound to expression and head pose (paper, 3.2; Eq. 1-2)."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.averaging import averaged_copy, follow
from lightning_modules.losses import continuity, weighted_sum
from lightning_modules.motion import EXPRESSION_SIZE, POSE_SIZE, Array, checked_scale, lip_sync, movement, noisy
from lightning_modules.networks.ensemble import first_encoder, make_mapping, members_of
from lightning_modules.networks.recurrent_mapping import State
from lightning_modules.networks.speech_regression import SpeechRegression
from lightning_modules.precision import at_least_fp32
from lightning_modules.validation import ValidationMeans

LOSS_WEIGHTS = {
    "expression": 1.0,
    "pose": 0.2,  # paper, 4.1: λ1
    "continuity": 0.01,  # paper, 4.1: λ2
    "expression_continuity": 0.0,  # not in the paper; original code: 1e-4
    "opening": 0.0,  # not in the paper: of the mouth, once more
}

_NETWORK_SETTINGS = (
    *("encoder", "encoder_channels", "feature_size", "hidden_size", "layers"),
    *("dropout", "normalisation", "lookahead"),
)


class Audio2PoseLSTM(pl.LightningModule):
    """Encoder E and LSTM R of Eq. 1: MFCC windows to expression β and head pose p.

    The network's outputs are in the units of the loss: β = expression_mean + y / expression_scale and
    p = pose_mean + y * pose_scale, so that it starts at the person's mean face and every unit of error counts alike.

    Batches are dicts of `mfcc` (B, T, 28, 12), `expression` (B, T, 64), `pose` (B, T, 6). Everything is computed in
    fp32 or more whatever the Trainer's precision: the network is small, and errors of a state add up over an utterance.

    Args:
        expression_scale: (64,) s_k, by which the error of β_k is multiplied: RMS movement of the vertices per unit of
            β_k, normalised so that the training targets have mean variance 1. Above 0.
        expression_mean: (64,) of the training part.
        pose_scale: (6,) standard deviation of the training part, by which the error is divided. Above 0.
        pose_mean: (6,) of the training part.
        mouth_opening: (64,) linear map from β to the opening of the mouth, in standard deviations of the training part.
        mfcc_mean: (12,) of the training part.
        mfcc_std: (12,) of the training part. Above 0.
        encoder: `compact` or `wide` (original code).
        encoder_channels: Width of the encoder's first convolution.
        feature_size: Numbers of the encoder's feature.
        hidden_size: Of the LSTM.
        layers: Of the LSTM.
        dropout: In the encoder, and between LSTM layers.
        normalisation: `layer`, `group` (`wide` only), or `batch` as in the original code, which refuses to train in
            several processes.
        lookahead: Frames heard before the motion of a frame is due; 0 in the paper.
        mfcc_noise: Deviation of the noise added to every normalised MFCC in training.
        mfcc_shift: Deviation of an offset added to each normalised coefficient, constant in a sample: another
            microphone, another voice.
        loss_weights: Factors of `expression`, `pose`, `continuity`, `expression_continuity`, `opening`.
        learning_rate: Of AdamW.
        betas: Of AdamW.
        weight_decay: Of AdamW; 0 is Adam.
        gradient_clip: Largest norm of each member's gradient; 0 for none.
        average_decay: Share that stays of the running average of weights which is used at test; 0 for none.
        members: Networks that learn side by side, from unequal starts; at test expressions are averaged, and the head
            pose is that of the last.
        kernel_weight: At test the expression is the mean one and this many times what the network adds to it and what
            a `SpeechRegression` on the first encoder, as it is when training starts, adds to it; 0 for the network
            alone, 0.5 for the mean of both. Where the regression is not to be trusted the network speaks alone, as it
            does in validation. The data module needs a `recording`, all of the training part in one batch.

    Raises:
        ValueError: An array of another shape, a scale that is not above 0, an unknown choice.
    """

    person_buffers = (
        *("expression_scale", "expression_mean", "pose_scale", "pose_mean"),
        *("mouth_opening", "mfcc_mean", "mfcc_std"),
    )
    expression_scale: Tensor
    expression_mean: Tensor
    pose_scale: Tensor
    pose_mean: Tensor
    mouth_opening: Tensor
    mfcc_mean: Tensor
    mfcc_std: Tensor
    steps: Tensor

    def __init__(
        self,
        expression_scale: Array,
        expression_mean: Array,
        pose_scale: Array,
        pose_mean: Array,
        mouth_opening: Array,
        mfcc_mean: Array,
        mfcc_std: Array,
        *,
        encoder: str = "compact",
        encoder_channels: int = 32,
        feature_size: int = 128,
        hidden_size: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        normalisation: str = "layer",
        lookahead: int = 0,
        mfcc_noise: float = 0.0,
        mfcc_shift: float = 0.0,
        loss_weights: dict[str, float] = LOSS_WEIGHTS,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 1e-2,
        gradient_clip: float = 1.0,
        average_decay: float = 0.98,
        members: int = 1,
        kernel_weight: float = 0.0,
    ):
        super().__init__()
        self.save_hyperparameters(ignore=self.person_buffers, logger=False)
        arrays = (expression_scale, expression_mean, pose_scale, pose_mean, mouth_opening, mfcc_mean, mfcc_std)
        self._register_person(arrays)
        shape = {name: self.hparams[name] for name in _NETWORK_SETTINGS}
        self.network = make_mapping(EXPRESSION_SIZE + POSE_SIZE, EXPRESSION_SIZE, members, **shape)
        self.average = averaged_copy(self.network) if average_decay else None
        if not 0 <= kernel_weight <= 1:
            raise ValueError(f"Audio2PoseLSTM: kernel_weight is a factor from 0 to 1, got {kernel_weight:g}")
        self.kernel: SpeechRegression | None = None
        if kernel_weight:
            self.kernel = SpeechRegression(first_encoder(self.network), feature_size, EXPRESSION_SIZE, lookahead)
        self.kernel_weight = kernel_weight
        self.normalisation, self.mfcc_noise, self.mfcc_shift = normalisation, mfcc_noise, mfcc_shift
        self.loss_weights, self.members = dict(loss_weights), members
        self.learning_rate, self.betas, self.weight_decay = learning_rate, (betas[0], betas[1]), weight_decay
        self.gradient_clip, self.average_decay = gradient_clip, average_decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        names = ("loss", "loss_rolled", "mouth_correlation", "mouth_correlation_rolled", "movement", "true_movement")
        self.validation = ValidationMeans(dict.fromkeys(names))

    def _register_person(self, arrays: tuple[Array, ...]) -> None:
        for name, array in zip(self.person_buffers, arrays, strict=True):
            tensor = checked_scale(name, array)
            self.register_buffer(name, tensor)
            self.hparams[name] = tensor.clone()  # so that a checkpoint loads without the arrays at hand

    def setup(self, stage: str) -> None:
        """Refuse what several processes would compute differently.

        Raises:
            ValueError: BatchNorm in several processes.
        """
        if self.normalisation == "batch" and self.trainer.world_size > 1:
            raise ValueError("normalisation=batch differs from process to process: train in one, or use layer")

    def forward(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, Tensor, State]:
        """Speech to motion; a long utterance may come in pieces, each with the state the last one returned.

        With `lookahead` it comes whole, for the last frames of a piece would need the next one.

        Args:
            mfcc: (B, T, 28, 12) windows, not normalised.
            state: Of the LSTM before the first frame; None at the start of an utterance.

        Returns:
            Expression (B, T, 64), pose (B, T, 6) [angles in radians, translation in decimetres], and the state after
            the last frame.

        Raises:
            ValueError: A state, with `lookahead`.
        """
        expression, pose, state = self.network_alone(mfcc, state)
        if self.training or self.kernel is None or not self.kernel.trusted:
            return expression, pose, state
        with torch.autocast(mfcc.device.type, enabled=False):
            more = expression - self.expression_mean + self.kernel(self._normalised(mfcc)) / self.expression_scale
            return self.expression_mean + self.kernel_weight * more, pose, state

    def network_alone(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, Tensor, State]:
        """What `forward` gives without the regression."""
        with torch.autocast(mfcc.device.type, enabled=False):
            network = self.network if self.training or self.average is None else self.average
            outputs, state = network(self._normalised(mfcc), state)
            expression, pose = outputs.split([EXPRESSION_SIZE, POSE_SIZE], dim=-1)
            expression = self.expression_mean + expression / self.expression_scale
            return expression, self.pose_mean + pose * self.pose_scale, state

    def on_train_start(self) -> None:
        """Fit the kernel regression to the whole training part, unless a checkpoint brought it.

        What validates is not held back: nothing of the regression is chosen there, or judged.

        Raises:
            TypeError: The data module has no recording of one person.
        """
        if self.kernel is None or self.kernel.is_fitted:
            return
        data: Any = getattr(self.trainer, "datamodule", None)
        speech: dict[str, Tensor] | None = getattr(data, "recording", None)
        if speech is None:
            raise TypeError(f"kernel_weight={self.kernel_weight:g} needs the speech of one person; set it to 0")
        expression = speech["expression"].to(self.device)
        self.kernel.fit(
            first_encoder(self.network),
            self._normalised(speech["mfcc"].to(self.device)),
            (expression - self.expression_mean) * self.expression_scale,
            self.mouth_opening / self.expression_scale,
        )

    def losses(self, expression: Tensor, pose: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms of Eq. 2, in scaled units, and two that the paper has not.

        Args:
            expression: (B, T, 64) predicted.
            pose: (B, T, 6) predicted.
            batch: With the true `expression` and `pose`.

        Returns:
            Scalars under the keys of `LOSS_WEIGHTS`, not yet weighted.
        """
        scaled = expression * self.expression_scale
        motion = pose / self.pose_scale
        return {
            "expression": (scaled - batch["expression"] * self.expression_scale).square().mean(),
            "pose": (motion - batch["pose"] / self.pose_scale).square().mean(),
            "continuity": continuity(motion),
            "expression_continuity": continuity(scaled),
            "opening": ((expression - batch["expression"]) @ self.mouth_opening).square().mean(),
        }

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step of Eq. 2 on stretches of speech, each from a zero state."""
        shares = {name: torch.cat([batch[name]] * self.members) for name in ("mfcc", "expression", "pose")}
        expression, pose, _ = self(noisy(shares["mfcc"], self.mfcc_std, self.mfcc_noise, self.mfcc_shift))
        losses = self.losses(expression, pose, shares)
        loss = weighted_sum(losses, self.loss_weights)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(pose))
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=len(pose))
        return self.members * loss  # each member's gradient is that of a network of its own

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Judge whole utterances, as the network alone speaks them, by what a constant mouth would fail.

        Logs the loss; the correlation of mouth openings; both again with the sound rolled by half its length, which
        should be worse and near 0; and the predicted share of the true variance of expression (scaled).
        """
        expression, pose, _ = self.network_alone(batch["mfcc"])
        rolled, rolled_pose, _ = self.network_alone(batch["mfcc"].roll(batch["mfcc"].shape[1] // 2, dims=1))
        values = {
            "loss": weighted_sum(self.losses(expression, pose, batch), self.loss_weights),
            "loss_rolled": weighted_sum(self.losses(rolled, rolled_pose, batch), self.loss_weights),
            "mouth_correlation": lip_sync(expression, batch["expression"], self.mouth_opening),
            "mouth_correlation_rolled": lip_sync(rolled, batch["expression"], self.mouth_opening),
            "movement": movement(expression * self.expression_scale),
            "true_movement": movement(batch["expression"] * self.expression_scale),
        }
        for name, value in values.items():
            self.validation.update(name, value, torch.full_like(value, len(pose)))

    def on_validation_epoch_end(self) -> None:
        """Log what all processes have seen."""
        values = self.validation.results()
        # of the sums: a single clip in which nothing moves has no ratio
        ratio = values.pop("movement") / values.pop("true_movement").clamp_min(1e-12)
        self.log_dict({f"val/{name}": value for name, value in (values | {"expression_variance_ratio": ratio}).items()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over the network."""
        return torch.optim.AdamW(
            self.network.parameters(), self.learning_rate, betas=self.betas, weight_decay=self.weight_decay
        )

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip each member's norm to `gradient_clip`, unless the Trainer was given a value of its own."""
        if gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm or "norm")
        elif self.gradient_clip:
            for member in members_of(self.network):
                torch.nn.utils.clip_grad_norm_(member.parameters(), self.gradient_clip)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the average of the weights."""
        if self.average is not None:
            follow(self.average, self.network, self.average_decay, int(self.steps))
        self.steps += 1

    def _normalised(self, mfcc: Tensor) -> Tensor:
        return (at_least_fp32(mfcc) - self.mfcc_mean) / self.mfcc_std
