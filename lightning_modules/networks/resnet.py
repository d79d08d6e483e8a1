"""ResNet-18 (He et al. 2016) up to its 'pool5' feature, with the key names of torchvision's checkpoint.

torchvision has no build beside CPU torch on some machines, so the network is written here; a file saved from
`torchvision.models.resnet18` loads into it, its classifier (`fc.*`) being left out.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURE_SIZE = 512  # of 'pool5'


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut.

    Args:
        inputs: Channels in.
        channels: Channels out.
        stride: Of the first convolution.
    """

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Images to their global 512-number feature."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, 64, 1)
        self.layer2 = _layer(64, 128, 2)
        self.layer3 = _layer(128, 256, 2)
        self.layer4 = _layer(256, FEATURE_SIZE, 2)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), ImageNet's mean and deviation removed -> (B, 512) mean over all positions ('pool5')."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


@torch.no_grad()
def folded(network: ResNet18) -> ResNet18:
    """A copy for inference, its normalisation part of its convolutions: on a processor it takes two thirds of the time.

    Args:
        network: Its running statistics are what the copy normalises by, now and later.
    """
    copy: Any = deepcopy(network).eval()
    for part in copy.modules():
        for convolution, norm in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
            found: Any = dict(part.named_children())
            if isinstance(found.get(norm), nn.BatchNorm2d):
                setattr(part, convolution, fuse_conv_bn_eval(found[convolution], found[norm]))
                setattr(part, norm, nn.Identity())
    whole: ResNet18 = copy.to(memory_format=torch.channels_last)
    return whole


def _layer(inputs: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, channels, stride), BasicBlock(channels, channels, 1))
