"""Speech with the time of every phoneme, from the espeak-ng library.

espeak-ng is GPL-3. It therefore runs in a process of its own, ``python -m datamodules.synthetic.espeak``, which reads
a request and writes sound and times; the rest of the project sees only those data and never loads the library.
"""

import json
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy.signal import resample_poly

from media.errors import InputError

SAMPLE_RATE = 16_000  # SPEC: Sound
_UP, _DOWN = 320, 441  # 22,050 Hz, the rate of espeak-ng, times 320 / 441 is 16,000 Hz
_PEAK = 0.7  # ours: leaves room for encoders, loud enough for any MFCC
_ROOM_NOISE = 3e-4  # ours: -70 dB, so that pauses are quiet like a room and not digital zeros


@dataclass(frozen=True)
class Phoneme:
    """One spoken sound.

    Attributes:
        name: espeak-ng's mnemonic without stress marks; "_" for a pause.
        start: Seconds from the first sample.
        end: Seconds; the start of the next phoneme.
        stress: 2 primary, 1 secondary, 0 none.
    """

    name: str
    start: float
    end: float
    stress: int = 0

    @property
    def is_pause(self) -> bool:
        """Whether nothing is said."""
        return self.name == "_"


@dataclass(frozen=True)
class SpokenWord:
    """One word of a text as it was spoken.

    Attributes:
        offset: Of its first letter in the text.
        start: Seconds from the first sample.
        end: Seconds; where the next word or a pause begins.
    """

    offset: int
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """Spoken text.

    Attributes:
        samples: (n,) float32 in [-1, 1], 16 kHz mono.
        phonemes: In order, without gaps, from 0 to the end of the samples.
        text: What is said.
        words: In order. espeak-ng says some short words as one ("of the"); they count as one word here.
    """

    samples: np.ndarray
    phonemes: tuple[Phoneme, ...]
    text: str
    words: tuple[SpokenWord, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE

    def part(self, start: float, seconds: float) -> "Speech":
        """The speech from `start` on, of a length; phonemes and words at the ends are cut, the text stays whole."""
        end = start + seconds
        samples = self.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        phonemes = tuple(replace(p, start=a, end=b) for p, (a, b) in _within(self.phonemes, start, end))
        words = tuple(replace(w, start=a, end=b) for w, (a, b) in _within(self.words, start, end))
        return Speech(samples, phonemes, self.text, words)


_Piece = TypeVar("_Piece", Phoneme, SpokenWord)


def _within(pieces: tuple[_Piece, ...], start: float, end: float) -> Iterator[tuple[_Piece, tuple[float, float]]]:
    """What lies between two times, with its times from the first of them on."""
    for piece in pieces:
        if piece.end > start and piece.start < end:
            yield piece, (max(piece.start, start) - start, min(piece.end, end) - start)


@dataclass(frozen=True)
class Voice:
    """How espeak-ng sounds.

    Attributes:
        name: Language and variant, as espeak-ng names them.
        rate: Words per minute.
        pitch: Base pitch, 0-99.
        pitch_range: How lively the melody is, 0-99.
    """

    name: str = "en-us"
    rate: int = 160  # ours: calm conversation; espeak-ng's own 175 leaves consonants under one frame
    pitch: int = 50  # espeak-ng's default
    pitch_range: int = 60  # ours: a little livelier than the default 50, so that prosody has something to say


def speak(sentences: Sequence[str], voice: Voice | None = None, timeout: float = 120.0) -> Speech:
    """Speak sentences one after the other.

    Args:
        sentences: Texts, each with its punctuation.
        voice: How it sounds.
        timeout: Seconds the speaking process may take.

    Returns:
        Sound at 16 kHz and the phonemes with their times. The same request gives the same samples.

    Raises:
        InputError: espeak-ng is not installed, does not know the voice, or failed.
    """
    return speak_all([(sentences, voice or Voice())], timeout)[0]


def speak_all(utterances: Sequence[tuple[Sequence[str], Voice]], timeout: float = 120.0) -> list[Speech]:
    """Speak several utterances in one process: starting it costs as much as a minute of speech.

    Args:
        utterances: Sentences and the voice that says them.
        timeout: Seconds the speaking process may take.

    Returns:
        Speech of each. The same list gives the same samples.

    Raises:
        InputError: As `speak`.
    """
    request = [{"sentences": list(sentences), **vars(voice)} for sentences, voice in utterances]
    command = [sys.executable, "-m", "datamodules.synthetic.espeak"]
    try:
        worker = subprocess.run(
            command, input=json.dumps(request).encode(), capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"speech: espeak-ng said nothing for {timeout:.0f} s; speak a shorter text") from None
    header, newline, sound = worker.stdout.partition(b"\n")
    if worker.returncode or not newline:
        lines = worker.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise InputError(f"speech: espeak-ng failed ({lines[-1]}); reinstall it with: pip install espeakng-loader")
    answer = json.loads(header)
    samples = np.frombuffer(sound, np.int16)
    speeches, first = [], 0
    for (sentences, _), spoken in zip(utterances, answer["utterances"], strict=True):
        if not spoken["samples"]:
            raise InputError("speech: there is nothing to say; give at least one word")
        raw = samples[first : first + spoken["samples"]]
        speeches.append(_assemble(raw, answer["rate"], spoken["phonemes"], spoken["words"], " ".join(sentences)))
        first += spoken["samples"]
    return speeches


def fit_length(speech: Speech, seconds: float, lead: float = 0.4, seed: int = 0) -> Speech:
    """Cut or extend speech to an exact length, with a breath of silence before it and the noise of a room under it.

    Args:
        speech: Any length.
        seconds: The length wanted.
        lead: Seconds of silence before the first word. Ours: a person looks up before speaking.
        seed: Of the noise.

    Returns:
        Speech of exactly round(seconds * 16,000) samples; the last phoneme may be cut, its sound fades out in 20 ms.
    """
    count, offset = round(seconds * SAMPLE_RATE), round(lead * SAMPLE_RATE)
    samples = np.zeros(count, np.float32)
    kept = speech.samples[: max(0, count - offset)]
    samples[offset : offset + len(kept)] = kept
    if len(kept) < len(speech.samples):
        fade = min(round(0.02 * SAMPLE_RATE), len(kept))
        samples[count - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    samples += _ROOM_NOISE * np.random.default_rng([seed, 2]).standard_normal(count, dtype=np.float32)
    end = count / SAMPLE_RATE
    phonemes = [Phoneme("_", 0.0, min(lead, end))]
    for phoneme in speech.phonemes:
        if phoneme.start + lead < end:
            stop = min(phoneme.end + lead, end)
            phonemes.append(Phoneme(phoneme.name, phoneme.start + lead, stop, phoneme.stress))
    if phonemes[-1].end < end:
        phonemes.append(Phoneme("_", phonemes[-1].end, end))
    words = [
        SpokenWord(word.offset, word.start + lead, min(word.end + lead, end))
        for word in speech.words
        if word.start + lead < end
    ]
    return Speech(samples, tuple(phonemes), speech.text, tuple(words))


def _assemble(
    raw: np.ndarray, rate: int, events: list[tuple[int, str]], marks: list[tuple[int, int]], text: str
) -> Speech:
    """Resample to 16 kHz and turn events into gapless phonemes, and words.

    Phoneme events are start sample and mnemonic, word events start sample and offset of the word in the text.
    """
    if rate * _UP != SAMPLE_RATE * _DOWN:
        raise InputError(f"speech: espeak-ng speaks at {rate} Hz, expected 22050; install espeakng-loader 0.2.4")
    samples = resample_poly(raw.astype(np.float64), _UP, _DOWN)
    samples *= _PEAK / max(np.abs(samples).max(), 1.0)
    phonemes: list[Phoneme] = []
    ends = [start for start, _ in events[1:]] + [len(raw)]
    if events and events[0][0] > 0:
        phonemes.append(Phoneme("_", 0.0, events[0][0] / rate))
    for (start, name), end in zip(events, ends, strict=True):
        bare = name.lstrip("',\"%=")
        if end <= start:
            continue  # espeak-ng marks word ends by empty pauses
        stress = 2 if name.startswith("'") else 1 if name.startswith(",") else 0
        pause = not bare or bare.startswith("_")
        phonemes.append(Phoneme("_" if pause else bare, start / rate, end / rate, 0 if pause else stress))
    words, pauses = [], [phoneme.start for phoneme in phonemes if phoneme.is_pause]
    for (start, offset), (end, _) in zip(marks, [*marks[1:], (len(raw), 0)], strict=True):
        next_pause = pauses[bisect_right(pauses, start / rate) :][:1]
        words.append(SpokenWord(offset, start / rate, min([end / rate, *next_pause])))
    return Speech(samples.astype(np.float32), tuple(phonemes), text, tuple(words))
