"""The spatial feature of a rendered frame, which the memory is asked with (paper, 3.4)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.networks.resnet import FEATURE_SIZE, ResNet18, folded
from lightning_modules.precision import at_least_fp32

SPATIAL_ENCODERS = ("seeded", "imagenet")
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of the published ResNet-18 checkpoint
IMAGENET_STD = (0.229, 0.224, 0.225)


class SpatialEncoder(nn.Module):
    """Frozen ResNet-18 'pool5', a trained fully connected layer, unit length.

    The paper's network is pre-trained on ImageNet. Without the user's file (`imagenet`) a seeded random one stands in
    (`seeded`): random convolutions still map like frames to like features once every layer is normalised, so its
    statistics are measured on rendered frames, once, and then kept. Only the last layer is ever trained.

    Args:
        kind: `seeded` or `imagenet`.
        size: Frames are reduced to this side first, px.
        feature_size: Numbers of the spatial feature.
        seed: Of the random convolutions and of the fully connected layer.

    Attributes:
        ready: () bool buffer; whether `calibrate` or `load_imagenet` has been called (or a checkpoint loaded).
    """

    ready: Tensor
    file_hash: Tensor
    pool5_mean: Tensor
    pool5_std: Tensor
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, kind: str = "seeded", size: int = 128, feature_size: int = 512, seed: int = 0):
        super().__init__()
        if kind not in SPATIAL_ENCODERS:
            raise ValueError(f"unknown spatial_encoder '{kind}': expected one of {', '.join(SPATIAL_ENCODERS)}")
        self.kind, self.size = kind, size
        self.backbone = ResNet18().requires_grad_(False)
        self.project = nn.Linear(FEATURE_SIZE, feature_size)
        self._folded: tuple[ResNet18, ...] = ()  # of the frozen part; a tuple, so that it is in no checkpoint
        self._seed_weights(seed)
        self.register_buffer("ready", torch.tensor(False))
        self.register_buffer("file_hash", torch.zeros(32, dtype=torch.uint8))
        self.register_buffer("pool5_mean", torch.zeros(FEATURE_SIZE))
        self.register_buffer("pool5_std", torch.ones(FEATURE_SIZE))
        self.register_buffer("pixel_mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.train(self.training)

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the file the backbone was loaded from, None for a random one."""
        return bytes(self.file_hash.tolist()).hex() if self.file_hash.any() else None

    def train(self, mode: bool = True) -> "SpatialEncoder":
        """Training mode for the last layer; the frozen part always uses its stored statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Rendered frames (B, 3, H, W) in [-1, 1] -> (B, feature_size) of length 1, always computed in fp32 or more."""
        return self.embed(self.pool5(frames))

    @torch.no_grad()
    def pool5(self, frames: Tensor) -> Tensor:
        """The frozen part: (B, 3, H, W) -> (B, 512), always computed in fp32 or more."""
        # in bf16 the nearest of many memory slots would often be another one
        with torch.autocast(frames.device.type, enabled=False):
            self._folded = self._folded or (folded(self.backbone),)
            return (self._folded[0](self._normalise(frames)) - self.pool5_mean) / self.pool5_std

    def embed(self, pool5: Tensor) -> Tensor:
        """The trained part: (B, 512) -> (B, feature_size) of length 1, always computed in fp32 or more."""
        with torch.autocast(pool5.device.type, enabled=False):
            return functional.normalize(self.project(pool5), dim=1)

    def make_ready(self, weights: str | Path | None, frames: Callable[[], Tensor]) -> None:
        """Load or calibrate the frozen part, unless that was done before, or in a checkpoint.

        Args:
            weights: The user's file, for `imagenet`.
            frames: Gives the rendered frames (B, 3, H, W) to calibrate `seeded` on.

        Raises:
            ValueError: `imagenet` without a fitting file.
        """
        if self.ready:
            return
        if self.kind == "seeded":
            self.calibrate(frames())
        elif weights is None:
            raise ValueError("spatial_encoder=imagenet needs spatial_weights, torchvision's resnet18 .pth file")
        else:
            self.load_imagenet(weights)

    @torch.no_grad()
    def calibrate(self, frames: Tensor) -> None:
        """Set every normalisation statistic of the random network from rendered frames (B, 3, H, W), once.

        Raises:
            ValueError: Fewer than 2 frames: their features would have no deviation.
        """
        if len(frames) < 2:
            raise ValueError(f"the spatial encoder needs at least 2 rendered frames to calibrate on, got {len(frames)}")
        norms = [module for module in self.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0  # the running statistics become those of this batch
        self.backbone.train()
        with torch.autocast(frames.device.type, enabled=False):
            self.backbone(self._normalise(frames))
            self.backbone.eval()
            pool5 = self.backbone(self._normalise(frames))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        # pool5 is a mean of positive numbers: without its own mean removed, all frames would look alike
        self.pool5_mean.copy_(pool5.mean(0))
        self.pool5_std.copy_(pool5.std(0).clamp_min(1e-3 * pool5.std()))
        self._became_ready()

    def load_imagenet(self, path: str | Path) -> None:
        """Load the user's ResNet-18 file in torchvision's key layout and note its sha256.

        Raises:
            ValueError: There is no such file, or it holds another network.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"spatial_weights: no file {path}; give torchvision's resnet18 .pth file, or use seeded")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = {name: value for name, value in state.items() if not name.startswith("fc.")}
            self.backbone.load_state_dict(state)
        except Exception as error:  # torch.load raises many kinds; each means that this is not the file
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"spatial_weights: {path} is not torchvision's resnet18: {reason}") from None
        digest = hashlib.sha256(path.read_bytes()).digest()
        self.file_hash.copy_(torch.tensor(list(digest), dtype=torch.uint8))
        self._became_ready()

    def _became_ready(self) -> None:
        self._folded = ()
        self.ready.fill_(True)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._folded = ()

    def _apply(self, *arguments: Any, **keywords: Any) -> "SpatialEncoder":
        super()._apply(*arguments, **keywords)
        self._folded = ()  # on another device, or in another precision
        return self

    def _normalise(self, frames: Tensor) -> Tensor:
        frames = at_least_fp32(frames)
        if frames.shape[-1] != self.size:
            frames = functional.interpolate(frames, (self.size, self.size), mode="area")  # antialiased
        return ((frames + 1) / 2 - self.pixel_mean) / self.pixel_std

    def _seed_weights(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as ResNet was initialised
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        # an orthogonal map keeps all angles: before training, similar frames already have similar features
        nn.init.orthogonal_(self.project.weight, generator=generator)
        nn.init.zeros_(self.project.bias)
