"""The conditional discriminator D: a PatchGAN that sees the rendered window and one more frame (paper, 3.4)."""

import torch
from torch import Tensor, nn

from lightning_modules.networks.generator import WINDOW


class PatchDiscriminator(nn.Module):
    """Judges every patch of a frame, real or refined (pix2pix's PatchGAN; 70 x 70 px patches at 3 layers).

    Instance normalisation stands in for the original's BatchNorm: a result must not depend on the rest of the batch,
    nor on the process it is in.

    Args:
        channels: Of the first layer; they double with each layer up to eight times.
        layers: Halvings of the side before the last two convolutions.
    """

    def __init__(self, channels: int = 32, layers: int = 3):
        super().__init__()
        modules: list[nn.Module] = [nn.Conv2d(3 * (WINDOW + 1), channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        inputs = channels
        for layer in range(1, layers + 1):
            outputs = channels * min(2**layer, 8)
            stride = 2 if layer < layers else 1
            convolution = nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False)
            modules += [convolution, nn.GroupNorm(outputs, outputs), nn.LeakyReLU(0.2)]
            inputs = outputs
        modules.append(nn.Conv2d(inputs, 1, 4, 1, 1))
        for module in modules:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)  # original code
        self.layers = nn.Sequential(*modules)

    def forward(self, rendered: Tensor, frame: Tensor) -> Tensor:
        """Logits of "this frame is real", one per patch.

        Args:
            rendered: (B, 3, 3, H, W) window of rendered frames.
            frame: (B, 3, H, W) the frame to judge.

        Returns:
            (B, 1, h, w).
        """
        logits: Tensor = self.layers(torch.cat([rendered.flatten(1, 2), frame], dim=1))
        return logits
