"""A photo and four ways in which a picture differs from it, for metrics of pictures."""

import numpy as np
import torch
from skimage.data import astronaut


def changed_photos() -> tuple[np.ndarray, np.ndarray]:
    """(4, 64, 80, 3) uint8: a photo, and the same with noise, a shift, a flat square and other contrast."""
    rng = np.random.default_rng(0)
    reference = np.stack([astronaut()[y : y + 64, 180:260] for y in (40, 100, 300, 400)])
    generated = reference.astype(np.float64)
    generated[0] += rng.normal(0, 12, generated[0].shape)
    generated[1] = np.roll(generated[1], 2, axis=1)
    generated[2, 10:40, 10:40] = 128
    generated[3] = 0.5 * generated[3] + 60
    return np.clip(np.round(generated), 0, 255).astype(np.uint8), reference


def to_batch(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2)
