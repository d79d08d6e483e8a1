"""What settings may be: the names of every choice, and the limits of numbers.

The names of choices repeat the keys of dictionaries in other packages, because importing those takes seconds and a
mistyped name should be answered at once; a test holds the two equal.
"""

import re
from collections.abc import Callable
from typing import Any

CHOICES: dict[str, tuple[str, ...]] = {
    "data.kind": ("personal", "photo", "corpus", "test_clips"),
    "data.layout": ("lrw", "folder", "prepared"),
    "data.split": ("train", "val", "test"),
    "data.heldout_from": ("training", "end"),
    "data.identity_feature": ("person", "frame"),
    "data.unclear_offset": ("keep", "drop"),
    "face.model": ("facemesh", "bfm"),
    "face.reconstruction": ("closed_form", "deep3d"),
    "face.rasterizer": ("numba", "pytorch3d"),
    "face.albedo": ("mean", "low_frequency", "detailed"),
    "face.mouth_interior": ("black", "filmed", "dimmed"),
    "face.identity_encoder": ("coefficients", "arcface"),
    "audio2pose.encoder": ("compact", "wide"),
    "audio2pose.normalisation": ("layer", "group", "batch"),
    "memory_gan.identity_source": ("memory", "true", "none"),
    "memory_gan.spatial_encoder": ("seeded", "imagenet"),
    "trainer.accelerator": ("auto", "cpu", "gpu", "mps"),
    "trainer.strategy": ("auto", "ddp"),
    "trainer.precision": ("auto", "32-true", "bf16-mixed"),
    "background.matching": ("path", "key_frames"),
    "background.keyframe_axis": ("pitch", "yaw", "roll", "all"),
    "background.amplitude": ("training", "predicted"),
    "background.head_pose": ("predicted", "fixed"),
    "launch.workers": ("local", "ray"),
    "wandb.mode": ("auto", "online", "offline", "disabled"),
}

Limit = tuple[Callable[[Any], bool], str]


def _at_least(lowest: float) -> Limit:
    return (lambda value: value >= lowest), f"at least {lowest:g}"


def _between(lowest: float, highest: float) -> Limit:
    return (lambda value: lowest <= value <= highest), f"from {lowest:g} to {highest:g}"


def _is_shard(text: str) -> bool:
    number, slash, count = text.partition("/")
    return bool(slash) and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)


def _is_offset(value: str) -> bool:
    """Whether text is a number of frames; ours: more than a second is another recording, not a delay."""
    return bool(re.fullmatch(r"[+-]?[0-9]+", value)) and abs(int(value)) <= 25


def read_offset(value: str | int) -> int | None:
    """`data.audio_offset` in frames, None for `auto`; older runs wrote it as a number."""
    return None if value == "auto" else int(value)


def read_shard(text: str) -> tuple[int, int]:
    """`3/64` as (3, 64)."""
    number, _, count = text.partition("/")
    return int(number), int(count)


_SHARE: Limit = (lambda value: 0 <= value < 1), "at least 0 and below 1"

# Patterns of fnmatch on the whole key; every one that matches is checked.
LIMITS: dict[str, Limit] = {
    "seed": _between(0, 2**32 - 1),  # what numpy's generator accepts
    "data.train_seconds": _at_least(2),  # paper, appendix A: the shortest video, 50 frames
    "data.heldout_seconds": _at_least(1),
    "data.clips": _at_least(0),
    "data.frame": _at_least(0),
    "data.embedded_person": _between(0, 2**32 - 1),
    "data.performed_seconds": _at_least(10),  # ours: a few sentences to learn from, the last 2 s validate
    "data.audio_offset": (lambda value: value == "auto" or _is_offset(value), "auto, or a whole number from -25 to 25"),
    "fit.*.epochs": _at_least(1),
    "fit.*.batch_size": _at_least(1),
    "fit.audio2pose.window": _at_least(2),  # Eq. 2 takes differences between neighbouring frames
    "fit.*.samples_per_epoch": _at_least(0),
    "fit.*.workers": _at_least(0),
    "fit.*.validation_seconds": _at_least(0.4),  # ours: shorter than 10 frames says nothing
    "fit.*.collapse.after_epochs": _at_least(0),
    "fit.*.collapse.variance_ratio": _SHARE,
    "trainer.threads": _at_least(0),
    "trainer.devices": _at_least(1),
    "data.largest_failed_share": _between(0, 1),
    "trainer.num_nodes": _at_least(1),
    "launch.parallel": _at_least(1),
    "launch.processes": _at_least(0),
    "shard": (_is_shard, "NUMBER/COUNT with a NUMBER from 1 to COUNT, e.g. 3/64"),
    "*learning_rate": ((lambda value: 0 < value <= 1), "above 0 and at most 1"),
    "*betas": ((lambda values: len(values) == 2 and all(0 <= v < 1 for v in values)), "two numbers from 0 to below 1"),
    "*dropout": _SHARE,
    "*average_decay": _SHARE,
    "*decay_fraction": _between(0, 1),
    "*loss_weights.*": _at_least(0),
    "*_weight": _at_least(0),
    "*weight_decay": _at_least(0),
    "*gradient_clip": _at_least(0),
    "fit.audio2pose.augmentation.probability": _between(0, 1),
    "memory_gan.augmentation.shift": _between(0, 0.25),  # as FrameAugmentation
    "memory_gan.augmentation.rotation": _between(0, 45),
    "memory_gan.augmentation.scale": _between(0, 0.5),
    "*noise": _at_least(0),
    "*mfcc_shift": _at_least(0),
    "audio2pose.lookahead": _between(0, 25),  # ours: a second
    "audio2pose.kernel_weight": _between(0, 1),
    "*margin": _at_least(0),
    "*channels": _at_least(1),
    "*layers": _at_least(1),
    "*members": _at_least(1),
    "*_size": _at_least(1),
    "memory_gan.similarity_threshold": _SHARE,
    "memory_gan.memory_slots": _at_least(1),
    "memory_gan.top_k": _at_least(1),
    "memory_gan.levels": _between(2, 8),  # halvings of 256 px
}
