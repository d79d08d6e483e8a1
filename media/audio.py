"""Sound of every kind in, 16 kHz mono and MFCC out."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import librosa
import numpy as np
import soundfile
from av.container import InputContainer
from numpy.lib.stride_tricks import sliding_window_view

from media.container import LONGEST_GAP, open_container, seconds
from media.errors import InputError
from media.pictures import first_picture_time
from media.whole_file import whole_file

SAMPLE_RATE = 16_000  # paper, 4.1 and SPEC
FRAME_SAMPLES = 640  # SPEC: one video frame at 25 per second
WINDOW_ROWS = 28  # SPEC: what frame f hears, rows 4(f-3) ... 4(f+4)-1

_PRE_EMPHASIS = 0.97  # SPEC
_WINDOW = 400  # samples: SPEC, 25 ms
_HOP = 160  # samples: SPEC, 10 ms
_FFT = 512  # SPEC
_BANDS = 26  # SPEC
_COEFFICIENTS = 13  # SPEC
MFCC_SIZE = _COEFFICIENTS - 1  # SPEC: the first, loudness, is dropped
_LIFTER = 22  # SPEC
_ROWS_PER_FRAME = 4  # SPEC
_MARGIN = 1920  # samples: SPEC, 120 ms of silence before and after
# Ours: ten times the rounding noise of a 16-bit file is where silence begins, in every band. Exact zeros and the faint
# noise a file leaves in their place then give the same features, those that louder white noise has too.
_SILENCE = 10 * 2.0**-30 / 12
# Ours: a track whose time stamps leave the count of samples by more than a video frame has a real hole there;
# less is rounding of the stamps.
_HOLE = Fraction(1, 25)  # seconds


def read_audio(path: str | Path) -> np.ndarray:
    """The sound of a file, 16 kHz mono, in step with the frames of the same file.

    Sample 0 is heard at the first picture: a track that begins later is preceded by silence, one that begins earlier
    loses its beginning; holes in the track are silent. In a file without pictures sample 0 is its first.

    Args:
        path: Sound or video file of any container, codec, sample rate and channel count that FFmpeg reads.

    Returns:
        (n,) float32 in [-1, 1].

    Raises:
        InputError: If the file is missing, broken or has no sound.
    """
    origin = first_picture_time(path)
    with open_container(path) as container:
        best = container.streams.best("audio")
        stream = next((track for track in container.streams.audio if track is best or best is None), None)
        if stream is None:
            raise InputError(f"{path}: has no sound track; give a file with sound.")
        stretches = [stretch for stretch in _stretches(container, stream, path) if len(stretch[1])]
    if not stretches:
        raise InputError(f"{path}: its sound track is empty or cannot be decoded; copy or convert the file again.")
    if origin is None:
        origin = stretches[0][0]
    placed = [(round((start - origin) * SAMPLE_RATE), samples) for start, samples in stretches]
    placed = [(start, samples) for start, samples in placed if start + len(samples) > 0]
    if not placed:
        raise InputError(f"{path}: its sound ends before its first picture; cut the file again with both together.")
    whole = np.zeros(max(start + len(samples) for start, samples in placed), np.float32)
    for start, samples in placed:
        whole[max(start, 0) : start + len(samples)] = samples[max(-start, 0) :]
    return checked_samples(np.clip(whole, -1, 1), f"the sound of {path}")


def checked_samples(samples: np.ndarray, name: str) -> np.ndarray:
    """Sound as a contiguous float32 array, or a clear refusal.

    Args:
        samples: (n,) numbers in [-1, 1].
        name: What they are, for the message.

    Returns:
        (n,) float32.

    Raises:
        InputError: If there is more than one channel, nothing, or a value that is no number.
    """
    samples = np.ascontiguousarray(samples, np.float32)
    if samples.ndim != 1 or len(samples) == 0:
        raise InputError(f"{name}: expected mono samples (n,), found shape {samples.shape}; mix the channels first.")
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        raise InputError(
            f"{name}: sample {bad[0]} ({bad[0] / SAMPLE_RATE:.2f} s) is {samples[bad[0]]}, {len(bad)} are no finite "
            "numbers; export the sound again."
        )
    return samples


def write_wav(path: str | Path, samples: np.ndarray) -> None:
    """Write sound as a 16-bit wav file at 16 kHz; it appears complete or not at all.

    Args:
        path: File to make or replace.
        samples: (n,) float in [-1, 1]; what is louder is clipped.

    Raises:
        InputError: If the samples are no finite signal or the file cannot be written.
    """
    samples = checked_samples(samples, f"the sound for {path}")
    file = BytesIO()  # soundfile itself dies of a full disk
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    with whole_file(path) as temporary:
        temporary.write_bytes(file.getbuffer())


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Mel-frequency cepstral coefficients of SPEC "Sound, time, split" (paper, 3.2: the feature s_t of each frame).

    Row r is computed from the 25 ms that begin at sample 160 r; beyond the end there is silence. The power spectrum
    (Hann window) of the pre-emphasised sound is summed in 26 triangular HTK mel bands of height 1; of the natural
    logarithms an orthonormal DCT-II gives coefficients 0 ... 12, which are liftered with L = 22 as
    1 + L/2 sin(π n / L). Coefficient 0, the loudness, is dropped, so loudness by itself changes nothing.

    Args:
        samples: (n,) float at 16 kHz.

    Returns:
        (n // 160, 12) float32, 100 rows a second.

    Raises:
        InputError: If the samples are no finite signal.
    """
    samples = checked_samples(samples, "the sound for the MFCC")
    rows = len(samples) // _HOP
    emphasised = np.append(samples[:1], samples[1:] - np.float32(_PRE_EMPHASIS) * samples[:-1])
    # librosa centres the window in the FFT frame; 56 zeros before make row r begin at sample 160 r all the same.
    before = (_FFT - _WINDOW) // 2
    padded = np.pad(emphasised, (before, _FFT))
    bands = librosa.feature.melspectrogram(
        y=padded,
        sr=SAMPLE_RATE,
        n_fft=_FFT,
        win_length=_WINDOW,
        hop_length=_HOP,
        n_mels=_BANDS,
        htk=True,
        norm=None,
        center=False,
    )[:, :rows]
    # Not librosa's decibels: they are cut 80 dB below the loudest moment, so one cough would change every row.
    cepstrum = librosa.feature.mfcc(S=np.log(np.maximum(bands, _silence()[:, None])), n_mfcc=_COEFFICIENTS)
    # Not librosa's lifter: it counts coefficient 0 as 1; HTK and the original code count it as 0.
    lifter = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_COEFFICIENTS) / _LIFTER)
    return np.ascontiguousarray((cepstrum.T * lifter)[:, 1:], np.float32)


@cache
def _silence() -> np.ndarray:
    """What the faintest noise that counts as sound has in each band, (26,): white, pre-emphasised, windowed."""
    filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=_FFT, n_mels=_BANDS, htk=True, norm=None)
    emphasis = np.abs(1 - _PRE_EMPHASIS * np.exp(-1j * np.linspace(0, np.pi, _FFT // 2 + 1))) ** 2
    window = (librosa.filters.get_window("hann", _WINDOW) ** 2).sum()
    return _SILENCE * window * (filters @ emphasis)


def mfcc_windows(samples: np.ndarray, frames: int | None = None) -> np.ndarray:
    """What each video frame hears: 28 rows of MFCC, 280 ms around it (SPEC "Sound, time, split").

    With 120 ms of silence before and after, frame f sees the rows 4(f-3) ... 4(f+4)-1 of the sound itself.

    Args:
        samples: (n,) float at 16 kHz, beginning with frame 0.
        frames: Number of video frames; the sound is cut or followed by silence to fit. By default n // 640.

    Returns:
        (frames, 28, 12) float32.

    Raises:
        InputError: If the samples are no finite signal or shorter than a frame.
    """
    samples = checked_samples(samples, "the sound for the MFCC")
    frames = len(samples) // FRAME_SAMPLES if frames is None else frames
    if frames < 1:
        raise InputError(f"the sound has {len(samples)} samples, less than one video frame (640); give a longer one.")
    fitted = np.zeros(frames * FRAME_SAMPLES + 2 * _MARGIN, np.float32)
    length = min(len(samples), frames * FRAME_SAMPLES)
    fitted[_MARGIN : _MARGIN + length] = samples[:length]
    windows = sliding_window_view(mfcc(fitted), WINDOW_ROWS, axis=0)[::_ROWS_PER_FRAME]
    return np.ascontiguousarray(windows.transpose(0, 2, 1))


def _stretches(
    container: InputContainer, stream: av.AudioStream, path: str | Path
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Unbroken stretches of sound: time of the first sample in seconds, samples at 16 kHz."""
    start = end = Fraction(0)
    kind: tuple[int, str, str] | None = None
    resampler = _resampler()
    chunks: list[av.AudioFrame] = []
    for frame in _sounds(container, stream):
        time = seconds(frame)
        time = end if time is None else time
        if kind is not None and abs(time - end) > LONGEST_GAP:
            raise InputError(
                f"{path}: the time stamps of its sound jump from {float(end):.1f} s to {float(time):.1f} s; "
                "cut it there, or convert it with FFmpeg."
            )
        if kind != (frame.sample_rate, frame.layout.name, frame.format.name) or abs(time - end) > _HOLE:
            yield start, _joined([*chunks, *resampler.resample(None)])
            kind = (frame.sample_rate, frame.layout.name, frame.format.name)
            resampler, chunks = _resampler(), []
            start = end = time
        end += Fraction(frame.samples, frame.sample_rate)
        chunks += resampler.resample(frame)
    yield start, _joined([*chunks, *resampler.resample(None)])


def _resampler() -> av.AudioResampler:
    return av.AudioResampler(format="fltp", rate=SAMPLE_RATE)


def _joined(chunks: list[av.AudioFrame]) -> np.ndarray:
    # The mean of the channels: FFmpeg's own mix of two equal channels is 1.4 times as loud as each, and clips.
    return np.concatenate([np.zeros(0, np.float32), *(chunk.to_ndarray().mean(axis=0) for chunk in chunks)])


def _sounds(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decoded sound up to the end of the file or to where it breaks off, without damaged packets (silent there)."""
    packets = container.demux(stream)
    while True:
        try:
            yield from next(packets).decode()
        except StopIteration:
            return
        except av.FFmpegError:
            continue
