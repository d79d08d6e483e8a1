"""R-Net, Deep3D's regressor (paper, 3.1; Deng et al. 2019): a ResNet-50 with seven linear heads, 257 numbers a face.

torchvision has no build beside CPU torch on some machines, so the network is written here; its key names are those of
the checkpoint of Deep3DFaceRecon_pytorch.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from face.licensed_files import R_NET
from media.errors import InputError

_FEATURE_SIZE = 2048
_BLOCKS = (3, 4, 6, 3)  # He et al. 2016, 50 layers
# identity, expression, texture, angles, illumination, translation in x and y, in z: the order of χ (facts 4.2)
HEAD_SIZES = (80, 64, 80, 3, 27, 2, 1)
_NETWORK = "net_recon"  # in the checkpoint, beside the states of the optimiser


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions, around a shortcut; the stride is that of the 3x3 one.

    Args:
        inputs: Channels in.
        channels: Channels of the 3x3 convolution; four times as many come out.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * channels
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """Images to their global 2048-number feature."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        first, second, third, fourth = _BLOCKS
        self.layer1 = _layer(64, 64, 1, first)
        self.layer2 = _layer(256, 128, 2, second)
        self.layer3 = _layer(512, 256, 2, third)
        self.layer4 = _layer(1024, 512, 2, fourth)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2048, 1, 1)."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return functional.adaptive_avg_pool2d(x, 1)


class RNet(nn.Module):
    """Aligned faces to coefficients."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(_FEATURE_SIZE, size, 1) for size in HEAD_SIZES)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 224, 224) RGB in [0, 1] -> (B, 257) χ."""
        feature = self.backbone(images)
        return torch.cat([head(feature) for head in self.final_layers], dim=1).flatten(1)


def load_r_net(file: str | Path) -> RNet:
    """Read the network from the checkpoint of Deep3DFaceRecon_pytorch (`epoch_20.pth`).

    Args:
        file: A torch file with the weights under `net_recon`.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        InputError: If the file cannot be read or holds other weights.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what zipfile and pickle raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file}: not a file of torch weights ({reason}); {R_NET}") from error
    if not isinstance(checkpoint, dict) or _NETWORK not in checkpoint:
        raise InputError(f"{file}: has no weights named {_NETWORK}; {R_NET}")
    network = RNet()
    try:
        network.load_state_dict(checkpoint[_NETWORK])
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[:2][-1].strip()  # the first line only names the class
        raise InputError(f"{file}: {_NETWORK} is not R-Net ({reason}); {R_NET}") from error
    return network.eval()


def _layer(inputs: int, channels: int, stride: int, blocks: int) -> nn.Sequential:
    further = [Bottleneck(4 * channels, channels, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(inputs, channels, stride), *further)
