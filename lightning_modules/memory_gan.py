"""Stage 2: from rendered to realistic frames (paper, 3.4; Eq. 3-5)."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from evaluation.psnr import PSNR
from evaluation.ssim import SSIM
from lightning_modules import losses
from lightning_modules.averaging import averaged_copy, follow
from lightning_modules.frame_augmentation import FrameAugmentation
from lightning_modules.gathering import first_samples, in_global_order
from lightning_modules.networks.discriminator import PatchDiscriminator
from lightning_modules.networks.generator import Generator, Refined
from lightning_modules.networks.memory import UNKNOWN, IdentityMemory
from lightning_modules.networks.spatial_encoder import SpatialEncoder
from lightning_modules.pixels import Batch, in_network_range
from lightning_modules.precision import at_least_fp32
from lightning_modules.schedules import with_linear_decay
from lightning_modules.validation import ValidationMeans

IDENTITY_SOURCES = ("memory", "true", "none")
LOSS_WEIGHTS = {
    "adversarial": 1.0,  # paper, Eq. 4
    "l1": 100.0,  # paper, 4.1: λ1
    "attention": 2.0,  # paper, 4.1: λ2
    "smoothness": 1e-5,  # paper, 4.1: λ3
    "discriminator": 1.0,
    "triplet": 1.0,
}
_CALIBRATION_FRAMES = 32  # ours: rendered frames on which the seeded spatial encoder sets its statistics


class MemoryGAN(pl.LightningModule):
    """Generator G, discriminator D and memory M.

    Batches are dicts of `rendered` (B, 3, 3, H, W) [frames t-2, t-1, t], `target` (B, 3, H, W), `identity` (B, 512)
    of unit length, `index` (B,) int64 of the sample in the data set, and maybe `face_mask` (B, 1, H, W) and `speaker`
    (B,) int64; pictures in [-1, 1] and masks in [0, 1], or bytes, which become that once they are on the device. In
    training G gets the identity feature of its batch, at test the one that `retrieve` finds, smoothed by
    `networks.memory.smooth_features`.

    Optimisation is manual, three steps per batch. `trainer.global_step` therefore counts three per batch, and so does
    `max_steps`: give `max_epochs`. Loggers count batches, and so does the buffer `steps`. Memory and losses are
    computed in fp32, G and D in the Trainer's precision (bf16 needs no gradient scaler).

    In several processes every one writes the samples of all into its memory, sorted by index, so that all memories stay
    equal bit for bit; losses are means over samples, so that averaged gradients are those of the whole batch. DDP has
    to look for unused parameters: each of the three steps leaves the other two networks alone.

    Args:
        similarity_threshold: Cosine similarity above which two identity features are of one person; it belongs to the
            identity encoder.
        channels: Base width of G.
        levels: Halvings in G; sides must be multiples of 2**levels.
        full_channels: Width of G at full size.
        dropout: In the three innermost upward blocks of G, off at test.
        discriminator_channels: Of D's first layer.
        discriminator_layers: Of D; 3 judge patches of 70 x 70 px.
        identity_size: Numbers of an identity feature.
        spatial_encoder: `seeded` or `imagenet`.
        spatial_weights: The user's ResNet-18 file, for `imagenet`; needed when training starts, then in the checkpoint.
        spatial_size: Side to which frames are reduced for the spatial feature, px.
        memory_slots: Capacity of M.
        top_k: Slots among which the triplet loss looks.
        margin: α of the triplet loss.
        age_noise: Half width of the noise on ages when the oldest slot is replaced.
        identity_source: What G knows of the person at test: what the `memory` gives; in validation the `true`
            feature of the batch, an upper bound for the memory (a new speech has no true frames: there the memory is
            asked all the same); or `none`: neither memory nor identity, also in training, AdaIN gets zeros.
        loss_weights: Factors of `adversarial`, `l1`, `attention`, `smoothness`, `discriminator`, `triplet`.
        face_weight: Extra weight of the pixels of `face_mask` in the L1 term.
        augmentation: Ranges of `FrameAugmentation`, for G and D; the memory sees frames as they are.
        learning_rate: Of Adam, for D and G.
        memory_learning_rate: Of Adam, for the memory's linear layer.
        betas: Of Adam.
        gradient_clip: Largest norm of each network's gradient; 0 for none.
        decay_fraction: Share of the epochs, at the end, in which the learning rates fall linearly to 0.
        average_decay: Share that stays of the running average of G's weights which is used at test; 0 for none.
        seed: Of the spatial encoder and the memory's noise; the rest starts from the global random state.

    Raises:
        ValueError: A setting is out of range or unknown.
    """

    person_buffers: tuple[str, ...] = ()  # everything is taken over from a general model
    steps: Tensor

    def __init__(
        self,
        *,
        similarity_threshold: float,
        channels: int = 32,
        levels: int = 6,
        full_channels: int = 16,
        dropout: float = 0.0,
        discriminator_channels: int = 32,
        discriminator_layers: int = 3,
        identity_size: int = 512,
        spatial_encoder: str = "seeded",
        spatial_weights: str | None = None,
        spatial_size: int = 128,
        memory_slots: int = 1000,
        top_k: int = 256,
        margin: float = 0.3,
        age_noise: float = 4.0,
        identity_source: str = "memory",
        loss_weights: dict[str, float] = LOSS_WEIGHTS,
        face_weight: float = 0.0,
        augmentation: dict[str, float] | None = None,
        learning_rate: float = 2e-4,
        memory_learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        gradient_clip: float = 0.0,
        decay_fraction: float = 0.0,
        average_decay: float = 0.998,
        seed: int = 0,
    ):
        super().__init__()
        if identity_source not in IDENTITY_SOURCES:
            raise ValueError(f"unknown identity_source '{identity_source}': expected {', '.join(IDENTITY_SOURCES)}")
        self.save_hyperparameters(logger=False)
        self.automatic_optimization = False
        self.identity_source = identity_source
        self.generator = Generator(channels, levels, full_channels, identity_size, dropout)
        self.average = averaged_copy(self.generator) if average_decay else None
        self.discriminator = PatchDiscriminator(discriminator_channels, discriminator_layers)
        self.spatial = SpatialEncoder(spatial_encoder, spatial_size, seed=seed)
        self.memory = IdentityMemory(
            memory_slots,
            value_size=identity_size,
            similarity_threshold=similarity_threshold,
            top_k=top_k,
            margin=margin,
            age_noise=age_noise,
            seed=seed,
        )
        self.spatial_weights, self.loss_weights = spatial_weights, dict(loss_weights)
        self.face_weight, self.seed = face_weight, seed
        self.augmentation = FrameAugmentation(**(augmentation or {}))
        self.learning_rates = (memory_learning_rate, learning_rate, learning_rate)
        self.betas, self.gradient_clip = (betas[0], betas[1]), gradient_clip
        self.decay_fraction, self.average_decay = decay_fraction, average_decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        frames = {"psnr": PSNR(), "psnr_face": PSNR(), "ssim": SSIM()}
        self.validation = ValidationMeans({**frames, "l1": None, "retrieval_accuracy": None})

    def forward(self, rendered: Tensor, identity: Tensor) -> Refined:
        """Refine the last frame of each window (Eq. 3).

        Args:
            rendered: (B, 3, 3, H, W) rendered frames t-2, t-1, t in [-1, 1].
            identity: (B, identity_size) of unit length.
        """
        network = self.generator if self.training else self.generator_at_test
        refined: Refined = network(rendered, identity)
        return refined

    @property
    def generator_at_test(self) -> nn.Module:
        """The average of the weights where there is one."""
        return self.generator if self.average is None else self.average

    @torch.no_grad()
    def retrieve(self, frames: Tensor) -> Tensor:
        """The identity feature that the memory holds for each rendered frame, to be smoothed over time.

        Zeros for `identity_source=none`.

        Args:
            frames: (B, 3, H, W) rendered frames in [-1, 1].

        Returns:
            (B, identity_size) fp32 of unit length.

        Raises:
            RuntimeError: The memory is empty.
        """
        if self.identity_source == "none":
            return self.memory.values.new_zeros(len(frames), self.memory.values.shape[1])
        if len(self.memory) == 1:  # as a rule after training on one person: there is nothing to choose, or to encode
            return self.memory.values[self.memory.filled].expand(len(frames), -1)
        return self.memory.retrieve(self.spatial(frames)).values

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Bytes to what networks see."""
        return in_network_range(batch)

    def on_train_start(self) -> None:
        """Make the spatial encoder ready, unless a checkpoint did.

        Raises:
            ValueError: `imagenet` without a fitting file.
        """
        batches: Any = self.trainer.train_dataloader
        if self.identity_source != "none":
            self.spatial.make_ready(
                self.spatial_weights,
                lambda: first_samples(self, batches, "rendered", _CALIBRATION_FRAMES)[:, -1],
            )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Memory first, then D and G on what G makes now (paper, footnote 3).

        The memory is updated before and apart from the GAN; D learns before G, so that G answers to a D that has
        seen its present output.
        """
        optimizers: Any = self.optimizers()
        memory_optimizer, discriminator_optimizer, generator_optimizer = optimizers
        if self.identity_source == "none":
            identity, values = torch.zeros_like(batch["identity"]), {}
        else:
            identity, values = batch["identity"], self._update_memory(batch, memory_optimizer)
        batch = self.augmentation(batch, self.seed, int(self.steps))
        refined = self.generator(batch["rendered"], identity)
        values |= self._step(discriminator_optimizer, lambda: self._discriminator_losses(batch, refined.frame.detach()))
        values |= self._step(generator_optimizer, lambda: self._generator_losses(batch, refined))
        if self.average is not None:
            follow(self.average, self.generator, self.average_decay, int(self.steps))
        self.steps += 1
        self.log("train/l1", values.pop("l1"), prog_bar=True, batch_size=len(batch["target"]))
        self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=len(batch["target"]))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Refine as at test, with retrieved features; before anything is in the memory, with the true ones.

        Logs PSNR, whole and inside `face_mask`; SSIM with the window of the paper's Table 2; the mean absolute
        difference; and how often the memory's best match is of the same person.
        """
        frame = self(batch["rendered"], self._identity_at_test(batch)).frame
        for name in ("psnr", "ssim"):
            self.validation.update(name, frame, batch["target"])
        self.validation.update("l1", (frame - batch["target"]).abs().mean(dim=(1, 2, 3)))
        if "face_mask" in batch:
            self.validation.update("psnr_face", frame, batch["target"], batch["face_mask"])

    def on_validation_epoch_end(self) -> None:
        """Log what all processes have seen."""
        for name, value in self.validation.results().items():
            self.log(f"val/{name}", value, prog_bar=name == "psnr")

    def configure_optimizers(self) -> Any:
        """Adam for the memory's linear layer, D and G, in the order of their steps, and their decay if there is one."""
        fused = not self.gradient_clip  # a third of the time; Lightning clips no gradients of fused optimisers
        networks = (self.spatial.project, self.discriminator, self.generator)
        optimizers = [
            torch.optim.Adam(network.parameters(), rate, betas=self.betas, fused=fused)
            for network, rate in zip(networks, self.learning_rates, strict=True)
        ]
        return with_linear_decay(optimizers, self.decay_fraction, self.trainer.max_epochs or -1)

    def on_train_epoch_end(self) -> None:
        """Step the decay of the learning rates."""
        schedules: Any = self.lr_schedulers() or []
        for schedule in schedules:
            schedule.step()

    def _step(self, optimizer: LightningOptimizer, terms: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """One step on the weighted sum of some losses; the other optimisers' networks get no gradients."""
        with self.toggled_optimizer(optimizer):
            values = terms()
            optimizer.zero_grad()
            self.manual_backward(losses.weighted_sum(values, self.loss_weights))
            if self.gradient_clip:
                self.clip_gradients(optimizer.optimizer, self.gradient_clip, "norm")
            optimizer.step()
        return {name: value.detach() for name, value in values.items()}

    def _update_memory(self, batch: Batch, optimizer: LightningOptimizer) -> dict[str, Tensor]:
        """Threshold triplet loss on the spatial features, then write them as they are after that step."""
        pool5, identity = self.spatial.pool5(batch["rendered"][:, -1]), at_least_fp32(batch["identity"])
        values = self._step(
            optimizer, lambda: {"triplet": self.memory.triplet_loss(self.spatial.embed(pool5), identity)}
        )
        queries = self.spatial.embed(pool5)
        speaker = batch.get("speaker", torch.full_like(batch["index"], UNKNOWN))
        index, queries, identity, speaker = in_global_order(self, batch["index"], queries, identity, speaker)
        self.memory.write(queries, identity, index, speaker)
        return values | {"memory_filled": self.memory.filled.float().mean()}

    def _identity_at_test(self, batch: Batch) -> Tensor:
        true = at_least_fp32(batch["identity"])
        if self.identity_source == "none":
            return torch.zeros_like(true)
        if not len(self.memory):
            return true
        found = self.memory.retrieve(self.spatial(batch["rendered"][:, -1]))
        right = self.memory.is_same_person(found, true, batch.get("speaker"))
        self.validation.update("retrieval_accuracy", right.float())
        return found.values if self.identity_source == "memory" else true

    def _discriminator_losses(self, batch: Batch, refined: Tensor) -> dict[str, Tensor]:
        # one pass for both: normalisation is per frame, so they do not see each other
        rendered = torch.cat([batch["rendered"], batch["rendered"]])
        real, fake = self.discriminator(rendered, torch.cat([batch["target"], refined])).chunk(2)
        return {"discriminator": losses.discriminator_loss(real, fake)}

    def _generator_losses(self, batch: Batch, refined: Refined) -> dict[str, Tensor]:
        weight = 1 + self.face_weight * batch["face_mask"] if self.face_weight else None
        logits = self.discriminator(batch["rendered"], refined.frame)
        return losses.generator_losses(logits, refined.frame, refined.attention, batch["target"], weight)
