"""The process that loads espeak-ng: requests from standard input, sound and times to standard output.

espeak-ng is GPL-3, hence a process of its own; it imports nothing of this project. A request is a list of
utterances, each with its `sentences` and its voice: `name`, `rate`, `pitch`, `pitch_range` (see `speech.Voice`).
"""

import ctypes
import json
import sys
from typing import Any

_PHONEME_EVENTS = 1  # espeakINITIALIZE_PHONEME_EVENTS
_RETRIEVE = 1  # AUDIO_OUTPUT_RETRIEVAL: sound goes to the callback
_UTF8 = 1  # espeakCHARS_UTF8
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7  # espeak_EVENT_TYPE


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


def _synthesize(library: Any, request: dict[str, Any]) -> tuple[bytes, list[tuple[int, str]], list[tuple[int, int]]]:
    """Speak a request: 16-bit sound; phonemes as (first sample, mnemonic), words as (first sample, offset)."""
    if library.espeak_SetVoiceByName(request["name"].encode()) != 0:
        raise RuntimeError(f"unknown voice {request['name']!r}")
    for parameter, value in ((_RATE, "rate"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, int(request[value]), 0)
    sound = bytearray()
    phonemes: list[tuple[int, str]] = []
    words: list[tuple[int, int]] = []
    offset, letters = 0, 0

    def receive(wave: Any, count: int, list_of_events: Any) -> int:
        if wave and count > 0:
            sound.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while list_of_events[index].type != _EVENT_END:
            event = list_of_events[index]
            if event.type == _EVENT_PHONEME:
                phonemes.append((offset + event.sample, event.name.decode(errors="replace")))
            elif event.type == _EVENT_WORD:
                words.append((offset + event.sample, letters + event.text_position - 1))  # the library counts from 1
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
        letters += len(sentence) + 1  # and the space that joins them
    return bytes(sound), phonemes, words


def _serve() -> None:
    """Answer requests from standard input: a line of JSON, then the samples of all."""
    library, rate = _load()
    spoken = [_synthesize(library, request) for request in json.load(sys.stdin)]
    header = [{"samples": len(sound) // 2, "phonemes": phonemes, "words": words} for sound, phonemes, words in spoken]
    sys.stdout.buffer.write(json.dumps({"rate": rate, "utterances": header}).encode() + b"\n")
    for sound, _, _ in spoken:
        sys.stdout.buffer.write(sound)


if __name__ == "__main__":
    _serve()
