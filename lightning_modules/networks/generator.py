"""The attention-based generator G: a U-Net with AdaIN between rendered and refined frames (paper, 3.4; Eq. 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.precision import at_least_fp32

WINDOW = 3  # rendered frames t-2, t-1, t (paper, 3.4)
_WIDEST = 8  # times the base width; pix2pix, which the original generator follows, stops there too


@dataclass(frozen=True)
class Refined:
    """What the generator makes of a window.

    Attributes:
        frame: (B, 3, H, W) fp32 in [-1, 1], o = A r + (1 - A) C (Eq. 3).
        color: (B, 3, H, W) fp32 in [-1, 1], the color mask C.
        attention: (B, 1, H, W) fp32 in [0, 1], the attention mask A: how much of the rendered frame stays.
    """

    frame: Tensor
    color: Tensor
    attention: Tensor


class AdaIN(nn.Module):
    """Instance normalisation whose scale and shift follow from the identity feature (the paper's reference [24]).

    One linear layer per block makes them; the original code's shared three-layer network for all blocks together has
    204 million parameters, four times the rest of its generator.

    Args:
        channels: Of the normalised features.
        identity_size: Numbers of the identity feature.
    """

    def __init__(self, channels: int, identity_size: int):
        super().__init__()
        self.affine = nn.Linear(identity_size, 2 * channels)
        nn.init.normal_(self.affine.weight, 0.0, 0.02)  # original code
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        """(B, C, H, W) and (B, identity_size) -> (B, C, H, W)."""
        batch, channels, height, width = x.shape
        scale, shift = self.affine(identity).chunk(2, dim=1)
        if height * width == 1:  # one position has no deviation to normalise by
            return x * (1 + scale[..., None, None]) + shift[..., None, None]
        # With batch and channels as groups of one, GroupNorm is instance normalisation with the affine part of every
        # sample fused in; on a CPU it is several times faster than InstanceNorm followed by two more passes.
        flat = x.reshape(1, batch * channels, height, width)
        flat = functional.group_norm(flat, batch * channels, (1 + scale).reshape(-1), shift.reshape(-1))
        return flat.view(batch, channels, height, width)


class Block(nn.Module):
    """Convolution, AdaIN, dropout, (leaky) ReLU.

    Args:
        inputs: Channels in.
        channels: Channels out.
        identity_size: Numbers of the identity feature; 0 for a block without AdaIN.
        halve: Whether the side is halved (by a 4x4 convolution) or stays (3x3).
        slope: Of the ReLU below zero.
        dropout: Share of features dropped in training.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        identity_size: int,
        *,
        halve: bool = False,
        slope: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        kernel, stride = (4, 2) if halve else (3, 1)
        # AdaIN would remove a bias again; its gradient would be nothing but rounding
        self.convolution = nn.Conv2d(inputs, channels, kernel, stride, 1, bias=not identity_size)
        self.norm = AdaIN(channels, identity_size) if identity_size else None
        self.dropout = nn.Dropout(dropout)
        self.slope = slope

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        """(B, C, H, W) and (B, identity_size) -> (B, C', H', W')."""
        x = self.convolution(x)
        if self.norm is not None:
            x = self.norm(x, identity)
        return functional.leaky_relu(self.dropout(x), self.slope)


class Generator(nn.Module):
    """U-Net with AdaIN and two output masks.

    Down: 4x4 convolutions of stride 2, each halving the side, channels doubling up to eight times the base. Up: a 3x3
    convolution, then every pixel is repeated twice each way (so that no kernel overlaps itself unevenly, the cause of
    checkerboards in transposed convolutions), then the skip of that size is joined. At full size the window itself is
    the skip, so that fine detail of the rendered frame need not pass the bottleneck.

    Args:
        channels: Base width, of the features at half size.
        levels: Halvings; the side of the images must be a multiple of 2**levels.
        full_channels: Width at full size.
        identity_size: Numbers of the identity feature.
        dropout: In the three innermost upward blocks (original code: 0.5, left on at test).
    """

    def __init__(
        self,
        channels: int = 32,
        levels: int = 6,
        full_channels: int = 16,
        identity_size: int = 512,
        dropout: float = 0.0,
    ):
        super().__init__()
        if levels < 2:
            raise ValueError(f"the generator needs at least 2 levels, got {levels}")
        self.levels = levels
        widths = [channels * min(2**level, _WIDEST) for level in range(levels)]
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            inputs = widths[level - 1] if level else 3 * WINDOW
            # not the first block (as pix2pix), nor the innermost, where one position may be all there is
            identity = identity_size if 0 < level < levels - 1 else 0
            self.down.append(Block(inputs, width, identity, halve=True, slope=0.2))
        self.up = nn.ModuleList()
        for level in reversed(range(levels)):
            inputs = widths[level] * (1 if level == levels - 1 else 2)
            # narrow already before full size, where most of the time is spent
            outputs = widths[level - 1] if level else full_channels
            drop = dropout if levels - 1 - level < 3 else 0.0
            self.up.append(Block(inputs, outputs, identity_size, dropout=drop))
        self.full = Block(full_channels + 3 * WINDOW, full_channels, identity_size)
        self.masks = nn.Conv2d(full_channels, 4, 3, 1, 1)  # two parallel convolutions: C (3) and A (1)
        nn.init.normal_(self.masks.weight, 0.0, 0.02)  # original code

    def forward(self, rendered: Tensor, identity: Tensor) -> Refined:
        """Refine the last frame of a window.

        Args:
            rendered: (B, 3, 3, H, W) rendered frames t-2, t-1, t in [-1, 1].
            identity: (B, identity_size) unit identity feature.

        Raises:
            ValueError: The side is not a multiple of 2**levels.
        """
        multiple = 2**self.levels
        if rendered.shape[-2] % multiple or rendered.shape[-1] % multiple:
            size = "x".join(str(side) for side in rendered.shape[-2:])
            raise ValueError(f"a generator of {self.levels} levels needs sides in multiples of {multiple}, got {size}")
        window = rendered.flatten(1, 2)
        x, skips = window, []
        for block in self.down:
            x = block(x, identity)
            skips.append(x)
        x = self.up[0](skips.pop(), identity)
        for block in self.up[1:]:
            x = block(torch.cat([_double(x), skips.pop()], 1), identity)
        x = self.full(torch.cat([_double(x), window.to(x.dtype)], 1), identity)
        # in fp32: bf16 has fewer steps than an 8-bit image
        color, attention = at_least_fp32(self.masks(x)).split([3, 1], dim=1)
        color, attention = color.tanh(), attention.sigmoid()
        return Refined(attention * at_least_fp32(rendered[:, -1]) + (1 - attention) * color, color, attention)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
