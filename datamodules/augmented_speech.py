"""Windows of speech whose sound is changed on the fly, with MFCC computed anew from what is then heard."""

from collections.abc import Callable

import numpy as np
import torch

from datamodules.clip import SAMPLES_PER_FRAME
from datamodules.windows import Batch
from face.coefficients import EXPRESSION_SIZE
from media.audio import mfcc_windows

# (samples (640 T,), targets (T, D), rng) -> the same of another length T'
Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]

# Frames whose sound decides the MFCC of a frame: SPEC, rows 4(f-3) ... 4(f+4)-1; the last row ends 15 ms into f + 4.
_HEARD_BEFORE, _HEARD_AFTER = 3, 4
_ROOM = 16  # ours: frames around a window of 16, so that it stays full when speech becomes 1.3 times as fast


def augmented_window(
    samples: np.ndarray,
    targets: np.ndarray,
    start: int,
    length: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Batch | None:
    """A window of a clip after augmentation.

    Only the surroundings of the window are augmented, with the sound that is heard around it: what the MFCC hear
    beyond the window is the sound of the neighbouring frames, silence only beyond the clip.

    Args:
        samples: (640 T,) sound of the clip.
        targets: (T, 70) expression and pose.
        start: First frame of the window as recorded.
        length: Frames of the window, L.
        augmentation: Changes sound and targets alike; may change their speed.
        rng: What it draws from.

    Returns:
        `mfcc` (L, 28, 12), `expression` (L, 64), `pose` (L, 6); None if the clip has become shorter than the window.
    """
    total = len(targets)
    first = min(max(start - _ROOM // 2, 0), max(total - length - _ROOM, 0))
    last = min(first + length + _ROOM, total)
    heard, moved = augmentation(samples[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME], targets[first:last], rng)
    # Where the stretch was cut out of the clip, its outermost frames hear the cut; at the ends of the clip, silence.
    lowest = _HEARD_BEFORE if first > 0 else 0
    highest = len(moved) - length - (_HEARD_AFTER if last < total else 0)
    if highest < lowest:
        return None
    begin = min(max(round((start - first) * len(moved) / (last - first)), lowest), highest)
    left, right = max(begin - _HEARD_BEFORE, 0), min(begin + length + _HEARD_AFTER, len(moved))
    windows = mfcc_windows(heard[left * SAMPLES_PER_FRAME : right * SAMPLES_PER_FRAME], right - left)
    mapped = torch.from_numpy(np.ascontiguousarray(moved[begin : begin + length], np.float32))
    return {
        "mfcc": torch.from_numpy(windows[begin - left : begin - left + length].copy()),
        "expression": mapped[:, :EXPRESSION_SIZE],
        "pose": mapped[:, EXPRESSION_SIZE:],
    }
