import itertools

import numpy as np
import pytest

from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.speech import Phoneme, Speech, fit_length, speak
from datamodules.synthetic.visemes import (
    _SHAPES_OF,
    BILABIALS,
    OPENING,
    PRESS,
    ROUNDING,
    SPREAD,
    TUCK,
    articulate,
    closure,
    shapes_of,
)


@pytest.fixture(scope="module")
def speech() -> Speech:
    return fit_length(speak(list(itertools.islice(sentences(5), 10))), 30.0)


@pytest.fixture(scope="module")
def mouth(speech: Speech) -> np.ndarray:
    return articulate(speech, 750)


def _spoken(*phonemes: tuple[str, float]) -> Speech:
    """Phonemes with durations, without sound."""
    ends = np.cumsum([duration for _, duration in phonemes])
    pieces = [
        Phoneme(name, float(end - duration), float(end)) for (name, duration), end in zip(phonemes, ends, strict=True)
    ]
    return Speech(np.zeros(round(ends[-1] * 16_000), np.float32), tuple(pieces), "")


def _at(speech: Speech, mouth: np.ndarray, names: str) -> np.ndarray:
    """Articulators at the frames nearest to the middles of phonemes."""
    middles = [(p.start + p.end) / 2 for p in speech.phonemes if p.name in names.split()]
    return mouth[np.clip((np.array(middles) * 25).astype(int), 0, len(mouth) - 1)]


def test_the_sentences_use_only_known_phonemes(speech: Speech) -> None:
    known = {phoneme.name for phoneme in speech.phonemes}
    assert len(known) > 40
    assert known <= set(_SHAPES_OF)


def test_lips_meet_at_every_bilabial(speech: Speech, mouth: np.ndarray) -> None:
    count = 0
    for phoneme in speech.phonemes:
        if phoneme.name in BILABIALS:
            first, last = (int(t * 25) for t in (phoneme.start - 0.03, phoneme.end + 0.03))
            assert mouth[first : last + 1, OPENING].min() < 0.01, phoneme
            assert mouth[first : last + 1, PRESS].max() > 0.99, phoneme
            count += 1
    assert count > 20


def test_vowels_open_round_and_spread(speech: Speech, mouth: np.ndarray) -> None:
    assert _at(speech, mouth, "a aa aI aU")[:, OPENING].mean() > 2 * _at(speech, mouth, "t d s z n")[:, OPENING].mean()
    assert _at(speech, mouth, "u: w oU")[:, ROUNDING].mean() > 0.5
    assert _at(speech, mouth, "i: eI")[:, ROUNDING].mean() < 0.3
    assert _at(speech, mouth, "i:")[:, SPREAD].mean() > 0.25
    assert _at(speech, mouth, "u: w")[:, SPREAD].mean() < -0.3
    assert _at(speech, mouth, "f v")[:, TUCK].mean() > 0.7


def test_lips_round_before_a_rounded_vowel_is_heard() -> None:
    rounded = articulate(_spoken(("_", 0.3), ("s", 0.12), ("u:", 0.2), ("_", 0.3)), 23)
    spread = articulate(_spoken(("_", 0.3), ("s", 0.12), ("i:", 0.2), ("_", 0.3)), 23)
    during_s = int(0.38 * 25)
    assert rounded[during_s, ROUNDING] > spread[during_s, ROUNDING] + 0.15
    assert rounded[during_s, SPREAD] < spread[during_s, SPREAD] - 0.2


def test_a_short_vowel_between_closures_opens_less_than_a_long_one() -> None:
    short = articulate(_spoken(("_", 0.2), ("b", 0.05), ("a", 0.08), ("b", 0.05), ("_", 0.2)), 14)
    long = articulate(_spoken(("_", 0.2), ("b", 0.05), ("a", 0.4), ("b", 0.05), ("_", 0.2)), 22)
    assert 0.05 < short[:, OPENING].max() < 0.7 * long[:, OPENING].max()


def test_loud_speech_opens_the_mouth_further(speech: Speech, mouth: np.ndarray) -> None:
    loud, quiet = (articulate(speech, 750, np.full(750, level)) for level in (1.0, 0.0))
    assert loud[:, OPENING].sum() > 1.5 * quiet[:, OPENING].sum()
    np.testing.assert_allclose((loud + quiet)[:, OPENING] / 2, mouth[:, OPENING], atol=1e-9)


def test_movement_is_bounded_and_smooth(mouth: np.ndarray) -> None:
    assert np.abs(mouth).max() <= 1.2
    assert (mouth[:, [OPENING, ROUNDING, TUCK, PRESS]] >= 0).all()
    # Without the closures, which are quick, nothing jumps: at most half the range within 40 ms.
    assert np.abs(np.diff(mouth[:, [SPREAD, ROUNDING]], axis=0)).max() < 0.5


def test_silence_is_a_closed_mouth() -> None:
    still = articulate(_spoken(("_", 2.0)), 50)
    np.testing.assert_allclose(still, 0, atol=1e-9)


def test_closure_lasts_longer_than_a_frame_even_for_the_shortest_stop() -> None:
    times = np.arange(0, 1, 0.001)
    closed = closure(_spoken(("a", 0.4), ("p", 0.02), ("a", 0.4)), times)
    assert (closed == 1).sum() >= 40  # 1/25 s: some frame always shows it
    assert closed[times < 0.3].max() == 0


def test_unknown_mnemonics_fall_back() -> None:
    assert shapes_of(Phoneme("I2x", 0, 1)) == ("ih",)
    assert shapes_of(Phoneme("€", 0, 1)) == ("schwa",)
