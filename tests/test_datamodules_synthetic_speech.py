import itertools
import subprocess
import sys

import numpy as np
import pytest

from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.speech import SAMPLE_RATE, Phoneme, Speech, Voice, fit_length, speak, speak_all
from media.errors import InputError


@pytest.fixture(scope="module")
def speech() -> Speech:
    return speak(list(itertools.islice(sentences(3), 4)))


def test_phoneme_times_are_gapless_and_cover_the_sound(speech: Speech) -> None:
    starts = np.array([phoneme.start for phoneme in speech.phonemes])
    ends = np.array([phoneme.end for phoneme in speech.phonemes])
    assert starts[0] == 0
    assert (ends > starts).all()
    np.testing.assert_array_equal(starts[1:], ends[:-1])
    assert ends[-1] == pytest.approx(speech.duration, abs=1e-3)
    rate = sum(not phoneme.is_pause for phoneme in speech.phonemes) / speech.duration
    assert 8 < rate < 18  # phonemes a second of fluent English


def test_pauses_are_quiet_and_vowels_are_loud(speech: Speech) -> None:
    def level(phoneme: Phoneme) -> float:
        margin = (phoneme.end - phoneme.start) / 4  # sounds overlap at their edges
        first, last = (round(t * SAMPLE_RATE) for t in (phoneme.start + margin, phoneme.end - margin))
        return float(np.sqrt(np.mean(speech.samples[first:last] ** 2)))

    pauses = [level(p) for p in speech.phonemes if p.is_pause and p.end - p.start > 0.15]
    vowels = [level(p) for p in speech.phonemes if p.stress == 2]
    assert len(pauses) >= 3
    assert len(vowels) >= 10
    assert max(pauses) < 0.1 * min(vowels)


def test_the_same_request_gives_the_same_samples(speech: Speech) -> None:
    again = speak(list(itertools.islice(sentences(3), 4)))
    np.testing.assert_array_equal(again.samples, speech.samples)
    assert again.phonemes == speech.phonemes


def test_breathy_voices_repeat_themselves() -> None:
    # Their breath is noise, which espeak-ng seeds with the time.
    voice = Voice(name="en-us+f5")
    one, two = (speak(["The baker waved."], voice).samples for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_a_voice_changes_the_sound_and_the_rate() -> None:
    slow, fast = (speak(["We mended the bridge."], Voice(rate=rate)).duration for rate in (120, 240))
    assert slow > 1.4 * fast


def test_an_unknown_voice_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="unknown voice 'xx-none'") as caught:
        speak(["Hello."], Voice(name="xx-none"))
    assert "\n" not in str(caught.value)


def test_nothing_to_say_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to say"):
        speak([])


@pytest.mark.parametrize("seconds", [1.0, 3.3, 40.0])
def test_fit_length_cuts_and_extends(speech: Speech, seconds: float) -> None:
    fitted = fit_length(speech, seconds, lead=0.25)
    assert len(fitted.samples) == round(seconds * SAMPLE_RATE)
    assert fitted.phonemes[0] == Phoneme("_", 0.0, 0.25)
    assert fitted.phonemes[-1].end == pytest.approx(seconds)
    offset, shared = round(0.25 * SAMPLE_RATE), min(len(speech.samples), round((seconds - 0.3) * SAMPLE_RATE))
    np.testing.assert_allclose(fitted.samples[offset : offset + shared], speech.samples[:shared], atol=3e-3)


def test_no_library_of_espeak_is_loaded_here() -> None:
    # GPL-3 code runs in a process of its own: after speaking, this one must not have mapped it.
    program = (
        "from datamodules.synthetic.speech import speak; import sys; speak(['Hello.']);"
        "assert 'espeakng_loader' not in sys.modules; "
        "maps = open('/proc/self/maps').read(); assert 'espeak' not in maps"
    )
    if not sys.platform.startswith("linux"):
        program = program.partition(" maps")[0]
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sentences_are_seeded_and_varied() -> None:
    first = list(itertools.islice(sentences(0), 40))
    assert first == list(itertools.islice(sentences(0), 40))
    assert first != list(itertools.islice(sentences(1), 40))
    assert len(set(first)) == 40
    assert not any("{" in sentence or "  " in sentence for sentence in first)
    assert all(sentence[0].isupper() and sentence[-1] in ".?!" for sentence in first)


def test_words_are_found_in_the_text_and_in_time() -> None:
    text = ["Seven people always thought, perhaps.", "Nobody knows."]
    first, second = speak_all([(text, Voice()), (["Hello there."], Voice("en-gb-x-rp+f2"))])
    joined = " ".join(text)
    assert [word.offset for word in first.words] == [k for k in range(len(joined)) if k == 0 or joined[k - 1] == " "]
    assert second.text == "Hello there."
    assert len(second.words) == 2
    for word, after in zip(first.words, first.words[1:], strict=False):
        assert word.start < word.end <= after.start
    thought, perhaps = first.words[3:5]
    assert perhaps.start - thought.end > 0.05  # the comma
    np.testing.assert_array_equal(first.samples, speak(text).samples)


def test_a_part_of_speech_keeps_its_times() -> None:
    speech = fit_length(speak(["Seven people always thought so."]), 2.0)
    part = speech.part(0.6, 0.8)
    np.testing.assert_array_equal(part.samples, speech.samples[9_600:22_400])
    assert part.phonemes[0].start == 0
    assert part.phonemes[-1].end == pytest.approx(0.8)
    middle = [p for p in speech.phonemes if p.start > 0.6 and p.end < 1.4]
    moved = {(p.name, round(p.start, 6)) for p in part.phonemes}
    assert {(p.name, round(p.start - 0.6, 6)) for p in middle} <= moved
    assert {word.offset for word in part.words} < {word.offset for word in speech.words}
