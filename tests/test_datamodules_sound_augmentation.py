"""Augmented sound against what the settings say: pitch, length, level, decay."""

import numpy as np
import pytest

from datamodules.sound_augmentation import SoundAugmentation
from media.errors import InputError

FRAMES = 32
NOTHING = {"gain_db": 0.0, "pitch_semitones": 0.0, "speed": 0.0, "noise_snr_db": None, "reverberation_seconds": 0.0}


def tone(hertz: float = 400.0) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * hertz * np.arange(640 * FRAMES) / 16_000)).astype(np.float32)


def ramp() -> np.ndarray:
    return np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * 16_000 / len(samples))


def test_nothing_asked_nothing_changed() -> None:
    samples, targets = SoundAugmentation(**NOTHING)(tone(), ramp(), np.random.default_rng(0))
    np.testing.assert_array_equal(samples, tone())
    np.testing.assert_array_equal(targets, ramp())


def test_same_generator_same_sound() -> None:
    augment = SoundAugmentation(pitch_semitones=2.0, probability=1.0)
    first, second = (augment(tone(), ramp(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_speed_changes_pitch_length_and_movement_alike() -> None:
    augment = SoundAugmentation(**(NOTHING | {"speed": 0.25, "probability": 1.0}))
    lengths = set()
    for seed in range(8):
        samples, targets = augment(tone(), ramp(), np.random.default_rng(seed))
        assert len(samples) == 640 * len(targets)
        rate = FRAMES / len(targets)
        assert 0.74 <= rate <= 1.26
        assert loudest_hertz(samples) == pytest.approx(400 * rate, rel=0.02)
        # what was said in the middle is still said in the middle
        assert targets[len(targets) // 2, 0] == pytest.approx(0.5, abs=0.03)
        lengths.add(len(targets))
    assert len(lengths) > 2


def test_pitch_leaves_time_alone() -> None:
    augment = SoundAugmentation(**(NOTHING | {"pitch_semitones": 4.0, "probability": 1.0}))
    pitches = []
    for seed in range(6):
        samples, targets = augment(tone(), ramp(), np.random.default_rng(seed))
        np.testing.assert_array_equal(targets, ramp())
        pitches.append(12 * np.log2(loudest_hertz(samples) / 400))
    assert max(np.abs(pitches)) <= 4.2
    assert np.ptp(pitches) > 2


def test_noise_has_the_level_asked_for() -> None:
    augment = SoundAugmentation(**(NOTHING | {"noise_snr_db": 10.0, "probability": 1.0}))
    for seed in range(6):
        samples, _ = augment(tone(), ramp(), np.random.default_rng(seed))
        noise = samples - tone()
        snr = 10 * np.log10(np.mean(tone() ** 2) / np.mean(noise**2))
        assert 9.5 <= snr <= 40.5


def test_echo_follows_the_sound_and_fades() -> None:
    click = np.zeros(640 * FRAMES, np.float32)
    click[5000] = 0.5
    augment = SoundAugmentation(**(NOTHING | {"reverberation_seconds": 0.3, "probability": 1.0}))
    samples, _ = augment(click, ramp(), np.random.default_rng(3))
    assert np.abs(samples[:5000]).max() < 1e-6
    assert samples[5000] == pytest.approx(0.5)
    early, late = np.square(samples[5001:5400]).sum(), np.square(samples[5000 + 4800 :]).sum()
    assert early > 0
    assert late < 1e-5 * early


def test_gain_stays_within_its_range() -> None:
    augment = SoundAugmentation(**(NOTHING | {"gain_db": 6.0}))
    levels = [
        20 * np.log10(np.abs(augment(tone(), ramp(), np.random.default_rng(s))[0]).max() / 0.2) for s in range(20)
    ]
    assert -6.01 <= min(levels) < -2
    assert 2 < max(levels) <= 6.01


def test_unfit_values_are_refused() -> None:
    with pytest.raises(InputError, match=r"speed is 0\.9"):
        SoundAugmentation(speed=0.9)
    with pytest.raises(ValueError, match="640 samples per target"):
        SoundAugmentation()(tone()[:-1], ramp(), np.random.default_rng(0))
