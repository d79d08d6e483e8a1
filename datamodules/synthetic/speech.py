"""Speech with the time of every phoneme, from the espeak-ng library.

espeak-ng is GPL-3. It therefore runs in a process of its own, ``python -m datamodules.synthetic.speech``, which reads
a request and writes sound and times; the rest of the project sees only those data and never loads the library.
"""

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
class Speech:
    """Spoken text.

    Attributes:
        samples: (n,) float32 in [-1, 1], 16 kHz mono.
        phonemes: In order, without gaps, from 0 to the end of the samples.
        text: What is said.
    """

    samples: np.ndarray
    phonemes: tuple[Phoneme, ...]
    text: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / SAMPLE_RATE


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
    request = {"sentences": list(sentences), **vars(voice or Voice())}
    command = [sys.executable, "-m", "datamodules.synthetic.speech"]
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
    if not sound:
        raise InputError("speech: there is nothing to say; give at least one word")
    return _assemble(np.frombuffer(sound, np.int16), answer["rate"], answer["events"], " ".join(sentences))


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
    return Speech(samples, tuple(phonemes), speech.text)


def _assemble(raw: np.ndarray, rate: int, events: list[tuple[int, str]], text: str) -> Speech:
    """Resample to 16 kHz and turn phoneme events (start sample, mnemonic) into a gapless sequence."""
    from scipy.signal import resample_poly  # here, so that the worker process need not load it

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
    return Speech(samples.astype(np.float32), tuple(phonemes), text)


# ---- the process that loads espeak-ng -------------------------------------------------------------------------------

_PHONEME_EVENTS = 1  # espeakINITIALIZE_PHONEME_EVENTS
_RETRIEVE = 1  # AUDIO_OUTPUT_RETRIEVAL: sound goes to the callback
_UTF8 = 1  # espeakCHARS_UTF8
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_EVENT_END, _EVENT_PHONEME = 0, 7  # espeak_EVENT_TYPE


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h; the union at its end holds the phoneme's name in up to 8 bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


def _load() -> tuple[Any, int]:
    """Load the library of espeakng-loader and give it with its sample rate."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = str(espeakng_loader.get_data_path()).encode()
    rate = library.espeak_Initialize(_RETRIEVE, 0, data, _PHONEME_EVENTS)
    if rate <= 0:
        raise RuntimeError(f"espeak_Initialize returned {rate}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breathy voices carry noise, by default seeded with the time
    return library, rate


def _synthesize(request: dict[str, Any]) -> tuple[bytes, int, list[tuple[int, str]]]:
    """Speak a request: 16-bit sound, its rate, and (first sample, mnemonic) of every phoneme."""
    library, rate = _load()
    if library.espeak_SetVoiceByName(request["name"].encode()) != 0:
        raise RuntimeError(f"unknown voice {request['name']!r}")
    for parameter, value in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, int(request[value]), 0)
    sound = bytearray()
    events: list[tuple[int, str]] = []
    offset = 0

    def receive(wave: Any, count: int, list_of_events: Any) -> int:
        if wave and count > 0:
            sound.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while list_of_events[index].type != _EVENT_END:
            event = list_of_events[index]
            if event.type == _EVENT_PHONEME:
                events.append((offset + event.sample, event.name.decode(errors="replace")))
            index += 1
        return 0

    signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
    callback = signature(receive)  # kept alive as long as the library may call it
    library.espeak_SetSynthCallback(callback)
    for sentence in request["sentences"]:
        text = sentence.encode()
        offset = len(sound) // 2  # the library counts samples from the start of each call
        status = library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
        if status != 0:
            raise RuntimeError(f"espeak_Synth returned {status} for {sentence!r}")
        library.espeak_Synchronize()
    return bytes(sound), rate, events


def _serve() -> None:
    """Answer one request from standard input: a line of JSON, then the samples."""
    sound, rate, events = _synthesize(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps({"rate": rate, "events": events}).encode() + b"\n" + sound)


if __name__ == "__main__":
    _serve()
