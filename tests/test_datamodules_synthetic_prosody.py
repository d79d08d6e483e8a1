import itertools

import numpy as np
import pytest
from scipy.signal import welch

from datamodules.synthetic.prosody import Motion, Prosody, move, read_prosody
from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.speech import Speech, fit_length, speak

FRAMES = 1000


@pytest.fixture(scope="module")
def speech() -> Speech:
    return fit_length(speak(list(itertools.islice(sentences(7), 14))), FRAMES / 25)


@pytest.fixture(scope="module")
def prosody(speech: Speech) -> Prosody:
    return read_prosody(speech.samples, FRAMES)


@pytest.fixture(scope="module")
def motion(speech: Speech, prosody: Prosody) -> Motion:
    return move(speech, prosody, np.random.default_rng(0))


def test_a_step_of_the_melody_is_found() -> None:
    # Two seconds at 150 Hz, then two a fifth higher: seven semitones.
    rate = np.repeat([150.0, 225.0], 32_000)
    tone = np.sin(2 * np.pi * np.cumsum(rate) / 16_000) * 0.5
    prosody = read_prosody(tone.astype(np.float32), 100)
    assert prosody.voiced.all()
    assert prosody.pitch[75] - prosody.pitch[25] == pytest.approx(12 * np.log2(1.5), abs=0.3)


def test_loudness_follows_speech(speech: Speech, prosody: Prosody) -> None:
    quiet = [int((p.start + p.end) / 2 * 25) for p in speech.phonemes if p.is_pause and p.end - p.start > 0.2]
    loud = [int((p.start + p.end) / 2 * 25) for p in speech.phonemes if p.stress == 2]
    assert prosody.loudness[quiet].mean() < 0.2
    assert prosody.loudness[loud].mean() > 0.7


def test_silence_has_no_pitch() -> None:
    prosody = read_prosody(np.zeros(16_000, np.float32), 25)
    assert not np.isnan(prosody.pitch).any()
    assert prosody.loudness.shape == (25,)


def test_head_moves_as_much_as_a_head_does(speech: Speech, prosody: Prosody) -> None:
    # Talking people: a few degrees of standard deviation, seldom beyond 15.
    spread, extreme = [], []
    for seed in range(8):
        angles = np.degrees(move(speech, prosody, np.random.default_rng(seed)).angles)
        spread.append(angles.std(axis=0))
        extreme.append(np.abs(angles).max())
    pitch, yaw, roll = np.mean(spread, axis=0)
    assert 1.2 < pitch < 4
    assert 2 < yaw < 7
    assert 1 < roll < 4
    assert max(extreme) < 20


def test_head_movement_has_a_continuous_spectrum(motion: Motion) -> None:
    for angle in motion.angles.T:
        frequencies, power = welch(angle, fs=25, nperseg=256)
        band = (frequencies > 0.1) & (frequencies < 6)
        assert power[band].max() < 0.6 * power[band].sum()  # no single tone
        assert power[(frequencies > 3) & (frequencies < 6)].sum() > 1e-5 * power[band].sum()
        assert power[(frequencies > 0.1) & (frequencies < 1)].sum() > 5 * power[(frequencies > 3)].sum()


def test_nods_come_with_stressed_syllables(speech: Speech, prosody: Prosody) -> None:
    # Mean pitch of the head just after stressed onsets, against just before, over several seeds.
    onsets = [int(p.start * 25) for p in speech.phonemes if p.stress == 2 and 0.5 < p.start < speech.duration - 0.5]
    change = []
    for seed in range(6):
        pitch = np.degrees(move(speech, prosody, np.random.default_rng(seed)).angles[:, 0])
        change.append(np.mean([pitch[f + 2] - pitch[f - 2] for f in onsets]))
    assert np.mean(change) > 0.2


def test_blinks_are_short_and_regular(motion: Motion) -> None:
    shut = motion.lids > 0.9
    starts = np.flatnonzero(shut[1:] & ~shut[:-1])
    assert 6 <= len(starts) <= 25  # in 40 s
    assert shut.sum() <= 4 * len(starts)
    assert (motion.lids >= 0).all()
    assert (motion.lids <= 1).all()


def test_the_seed_decides_what_the_sound_does_not(speech: Speech, prosody: Prosody, motion: Motion) -> None:
    again = move(speech, prosody, np.random.default_rng(0))
    other = move(speech, prosody, np.random.default_rng(1))
    np.testing.assert_array_equal(again.angles, motion.angles)
    assert np.abs(other.angles - motion.angles).max() > 0.02
