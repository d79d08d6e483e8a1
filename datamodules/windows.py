"""The samples of the two stages: stretches of speech with face movement, windows of rendered frames with the truth."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from face.coefficients import EXPRESSION, get_pose

Batch = dict[str, torch.Tensor]


class SpeechWindows(Dataset[Batch]):
    """Every stretch of `length` frames of a clip, for `Audio2PoseLSTM`.

    Args:
        mfcc: (T, 28, 12) windows of the sound.
        coefficients: (T, 257) χ.
        length: Frames per sample; the whole clip is one sample if it is shorter or `length` is 0.
    """

    def __init__(self, mfcc: np.ndarray, coefficients: np.ndarray, length: int):
        if len(mfcc) != len(coefficients) or not len(mfcc):
            raise ValueError(f"SpeechWindows needs equal, positive lengths, got {len(mfcc)} and {len(coefficients)}.")
        self.mfcc = torch.from_numpy(np.ascontiguousarray(mfcc))
        self.expression = torch.from_numpy(np.ascontiguousarray(coefficients[:, EXPRESSION]))
        self.pose = torch.from_numpy(get_pose(coefficients))
        self.length = min(length, len(mfcc)) or len(mfcc)

    def __len__(self) -> int:
        return len(self.mfcc) - self.length + 1

    def __getitem__(self, index: int) -> Batch:
        """`mfcc` (L, 28, 12), `expression` (L, 64), `pose` (L, 6)."""
        part = slice(index, index + self.length)
        return {"mfcc": self.mfcc[part], "expression": self.expression[part], "pose": self.pose[part]}


@dataclass(frozen=True)
class RenderedFrames:
    """Rendered frames beside the true ones, as bytes in memory.

    Attributes:
        rendered: (T, 3, H, W) uint8, the face rendered over the true background.
        target: (T, 3, H, W) uint8, the true frame.
        face_mask: (T, 1, H, W) uint8, 255 where the face is, its open mouth included.
        identity: (T, 512) float32 identity feature that goes with each true frame.
    """

    rendered: torch.Tensor
    target: torch.Tensor
    face_mask: torch.Tensor
    identity: torch.Tensor


class RenderedWindows(Dataset[Batch]):
    """Windows (r[t-2], r[t-1], r[t]) with the true frame t, for `MemoryGAN`; frame 0 stands in before the start.

    Args:
        frames: What was rendered, in order of time.
    """

    def __init__(self, frames: RenderedFrames):
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames.rendered)

    def __getitem__(self, index: int) -> Batch:
        """`rendered` (3, 3, H, W), `target` (3, H, W), `face_mask` (1, H, W), `identity` (512,), `index` ().

        Pictures are bytes: processes and devices are sent a quarter as much. Modules make of them what networks see.
        """
        first = [0] * (2 - index)  # those missing before the start
        window = self.frames.rendered[max(index - 2, 0) : index + 1]
        return {
            "rendered": torch.cat([window[first], window]) if first else window,
            "target": self.frames.target[index],
            "face_mask": self.frames.face_mask[index],
            "identity": self.frames.identity[index],
            "index": torch.tensor(index),
        }
