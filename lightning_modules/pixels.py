"""Pictures as bytes and as what networks see of them."""

import torch
from torch import Tensor

Batch = dict[str, Tensor]


def in_network_range(batch: Batch) -> Batch:
    """What networks see of a batch of windows: `rendered` and `target` in [-1, 1], `face_mask` in [0, 1].

    Pictures that are not uint8 are left as they are.
    """
    ranges = {"rendered": to_network, "target": to_network, "face_mask": lambda mask: mask / 255}
    return {
        name: ranges[name](values) if name in ranges and values.dtype == torch.uint8 else values
        for name, values in batch.items()
    }


def to_network(pixels: Tensor) -> Tensor:
    """Bytes 0..255 to what networks see, [-1, 1]."""
    return (pixels / 127.5).sub_(1)


def to_pixels(images: Tensor) -> Tensor:
    """What networks make, [-1, 1], to bytes 0..255."""
    return ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
