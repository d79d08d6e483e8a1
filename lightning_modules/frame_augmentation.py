"""Frames placed a little differently: a few hundred frames of a person then teach what holds for other places too."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from kornia.geometry.transform import warp_affine

from lightning_modules.pixels import Batch

_PICTURES = ("rendered", "target", "face_mask")


@dataclass(frozen=True)
class FrameAugmentation:
    """Random similarities of the samples of `MemoryGAN`, rendered and true frames alike; 0 leaves one out.

    Attributes:
        shift: Largest shift to either side, as a share of the side of a frame.
        rotation: Largest rotation in the image plane either way, degrees.
        scale: Largest change of size either way, as a share.
    """

    shift: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name, highest in {"shift": 0.25, "rotation": 45.0, "scale": 0.5}.items():
            if not 0 <= getattr(self, name) <= highest:
                raise ValueError(f"augmentation: {name} is {getattr(self, name)}; it must be from 0 to {highest:g}")

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __call__(self, batch: Batch, seed: int, step: int) -> Batch:
        """The batch with other `rendered`, `target` and, where it has one, `face_mask`.

        What is drawn is a function of the seed, the step and a sample's `index` alone: the same in any number of
        processes, and after a resume. What was outside a frame repeats its border.

        Args:
            batch: As `MemoryGAN` takes it.
            seed: Of the run.
            step: Of the training.
        """
        if not self:
            return batch
        draws = [np.random.default_rng((seed, step, index)).uniform(-1, 1, 4) for index in batch["index"].tolist()]
        names = [name for name in _PICTURES if name in batch]
        planes = torch.cat([batch[name].flatten(1, -3) for name in names], 1)
        size: tuple[int, int] = (planes.shape[-2], planes.shape[-1])
        matrices = torch.from_numpy(self._similarities(np.array(draws), size)).to(planes)
        with torch.autocast(planes.device.type, enabled=False):  # in bf16, places would be a pixel off
            moved = warp_affine(planes, matrices, size, padding_mode="border")
        parts = moved.split([batch[name][0].numel() // (size[0] * size[1]) for name in names], dim=1)
        return batch | {name: part.reshape(batch[name].shape) for name, part in zip(names, parts, strict=True)}

    def _similarities(self, draws: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """(B, 2, 3) maps from old to new pixels, about the centre of the frame, of (B, 4) draws in [-1, 1]."""
        angle, scale = np.radians(self.rotation) * draws[:, 0], 1 + self.scale * draws[:, 1]
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        turn = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
        sides = np.array(size[::-1])
        centre, shift = (sides - 1) / 2, self.shift * draws[:, 2:] * sides
        return np.concatenate([turn, (centre + shift - turn @ centre)[..., None]], 2)
