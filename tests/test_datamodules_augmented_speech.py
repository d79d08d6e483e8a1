import numpy as np
import pytest

from datamodules.augmented_speech import augmented_window
from media.audio import mfcc_windows

TOTAL, LENGTH = 80, 16
SAMPLES = np.random.default_rng(0).normal(0, 0.1, TOTAL * 640).astype(np.float32)
TARGETS = np.arange(TOTAL, dtype=np.float32)[:, None] * np.ones((1, 70), np.float32)


def unchanged(samples, targets, rng):
    return samples.copy(), targets.copy()


def faster(samples, targets, rng):
    """A quarter faster: every fifth frame is left out, counted from the first frame of the recording."""
    keep = targets[:, 0] % 5 != 4
    return samples.reshape(-1, 640)[keep].reshape(-1), targets[keep]


def slower(samples, targets, rng):
    return np.repeat(samples.reshape(-1, 640), 2, axis=0).reshape(-1), np.repeat(targets, 2, axis=0)


def window(start, augmentation, total=TOTAL, seed=0):
    rng = np.random.default_rng(seed)
    return augmented_window(SAMPLES[: total * 640], TARGETS[:total], start, LENGTH, augmentation, rng)


@pytest.mark.parametrize("total", [16, 17, 29, 80])
def test_sound_left_alone_gives_the_features_of_the_whole_clip(total):
    whole = mfcc_windows(SAMPLES[: total * 640])
    for start in range(total - LENGTH + 1):
        found = window(start, unchanged, total)
        np.testing.assert_allclose(found["mfcc"], whole[start : start + LENGTH], atol=1e-3)
        np.testing.assert_array_equal(found["expression"], TARGETS[start : start + LENGTH, :64])
        np.testing.assert_array_equal(found["pose"], TARGETS[start : start + LENGTH, 64:])


@pytest.mark.parametrize("augmentation", [faster, slower])
@pytest.mark.parametrize("total", [29, 80])
def test_other_speeds_give_windows_of_the_changed_clip(augmentation, total):
    """Windows are full, near where they were, and hear what they would hear if the whole clip had been changed."""
    samples, targets = augmentation(SAMPLES[: total * 640], TARGETS[:total], None)
    whole = mfcc_windows(samples)
    for start in range(total - LENGTH + 1):
        found = window(start, augmentation, total)
        frames = found["expression"][:, 0].numpy()
        assert abs(frames.mean() - (start + (LENGTH - 1) / 2)) < 8
        places = [p for p in range(len(targets) - LENGTH + 1) if np.array_equal(targets[p : p + LENGTH, 0], frames)]
        errors = [np.abs(found["mfcc"].numpy() - whole[place : place + LENGTH]).max() for place in places]
        assert min(errors) < 1e-3


def test_a_clip_that_becomes_shorter_than_the_window_gives_none():
    assert window(0, faster, total=17) is None
    assert window(0, faster, total=19) is not None


def test_the_generator_decides():
    def noisy(samples, targets, rng):
        return samples + 0.01 * rng.normal(size=len(samples)), targets

    first, again, other = window(5, noisy, seed=1), window(5, noisy, seed=1), window(5, noisy, seed=2)
    np.testing.assert_array_equal(first["mfcc"], again["mfcc"])
    assert (first["mfcc"] - other["mfcc"]).abs().max() > 0.1
