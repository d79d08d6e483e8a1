"""What settings may be: the names of every choice, and the limits of numbers.

The names of choices repeat the keys of dictionaries in other packages, because importing those takes seconds and a
mistyped name should be answered at once; a test holds the two equal.
"""

import math
from collections.abc import Callable
from typing import Any

CHOICES: dict[str, tuple[str, ...]] = {
    "data.kind": ("personal",),
    "face.model": ("facemesh",),
    "face.reconstruction": ("closed_form",),
    "face.rasterizer": ("numba", "pytorch3d"),
    "face.albedo": ("mean", "low_frequency", "detailed"),
    "face.identity_encoder": ("coefficients", "arcface"),
    "trainer.accelerator": ("auto", "cpu", "gpu", "mps"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed"),
    "background.keyframe_axis": ("pitch", "yaw", "roll"),
    "wandb.mode": ("auto", "online", "offline", "disabled"),
}

Limit = tuple[Callable[[Any], bool], str]


def _at_least(lowest: float) -> Limit:
    return (lambda value: value >= lowest), f"at least {lowest:g}"


def _between(lowest: float, highest: float) -> Limit:
    return (lambda value: lowest <= value <= highest), f"from {lowest:g} to {highest:g}"


# Patterns of fnmatch on the whole key; every one that matches is checked.
LIMITS: dict[str, Limit] = {
    "seed": _between(0, 2**32 - 1),  # what numpy's generator accepts
    "data.train_seconds": _at_least(3),  # ours: the last 2 s validate, and one window has to fit before them
    "data.heldout_seconds": _at_least(1),
    "data.audio_offset": _between(-25, 25),  # ours: more than a second is another recording, not a delay
    "fit.*.epochs": _at_least(1),
    "fit.*.batch_size": _at_least(1),
    "fit.audio2pose.window": _at_least(2),  # Eq. 2 takes differences between neighbouring frames
    "fit.*.validation_seconds": _at_least(0.4),  # ours: shorter than 10 frames says nothing
    "trainer.threads": _at_least(0),
    "trainer.devices": _at_least(1),
    "launch.parallel": _at_least(1),
    "*learning_rate": ((lambda value: 0 < value <= 1), "above 0 and at most 1"),
    "*dropout": ((lambda value: 0 <= value < 1), "at least 0 and below 1"),
    "*weight*": ((lambda value: not _is_number(value) or value >= 0), "at least 0"),
    "*channels": _at_least(1),
    "*layers": _at_least(1),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
