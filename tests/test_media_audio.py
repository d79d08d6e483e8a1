"""Reading sound and MFCC, against known signals and a plain numpy and scipy computation."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.fft
import scipy.io.wavfile
import scipy.signal

from media.audio import mfcc, mfcc_windows, read_audio, write_wav
from media.errors import InputError
from tests.recordings import record, tone

PICTURES = [Fraction(i, 25) for i in range(50)]


def clicks(times, seconds, rate, channels=1):
    """Short noise bursts with a sharp beginning, (channels, n) float."""
    wave = np.zeros(round(seconds * rate), np.float32)
    for time in times:
        start = round(time * rate)
        burst = np.random.default_rng(0).uniform(-0.8, 0.8, round(0.02 * rate))
        wave[start : start + len(burst)] = burst
    return np.tile(wave, (channels, 1))


def onsets(samples, rate=16_000):
    """Times in seconds at which the sound rises out of 0.1 s of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    return [loud[i] / rate for i in range(len(loud)) if i == 0 or loud[i] - loud[i - 1] > rate // 10]


FORMATS = [
    ("a.wav", "pcm_s16le", 8_000, 1),
    ("b.wav", "pcm_u8", 16_000, 1),
    ("c.wav", "pcm_f32le", 44_100, 2),
    ("d.flac", "flac", 96_000, 2),
    ("e.mp3", "libmp3lame", 44_100, 2),
    ("f.ogg", "libopus", 48_000, 2),
    ("g.m4a", "aac", 22_050, 1),
    ("h.mka", "ac3", 48_000, 6),
    ("i.mp2", "mp2", 32_000, 1),
    ("j.aiff", "pcm_s24be", 11_025, 3),
]


@pytest.mark.parametrize(("name", "codec", "rate", "channels"), FORMATS)
def test_any_codec_rate_and_channel_count(tmp_path, name, codec, rate, channels):
    path = record(tmp_path / name, sound=tone(1.5, rate, channels=channels), rate=rate, sound_codec=codec)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) - 24_000) < 2600  # lossy codecs pad up to a frame at both ends
    middle = samples[6000:18_000] * np.hanning(12_000)
    spectrum = np.abs(np.fft.rfft(middle, 160_000))
    assert abs(spectrum.argmax() * 0.1 - 440) < 0.5
    assert 0.15 < np.abs(samples[6000:18_000]).max() < 1


STEPS = [
    ("s.mp4", 0.0),
    ("s.mp4", 0.36),
    ("s.mkv", 0.0),
    ("s.mkv", 0.36),
    ("s.ts", 0.36),
    ("s.mov", 0.0),
    ("s.avi", 0.0),
]


@pytest.mark.parametrize(("name", "start"), STEPS)
def test_sound_is_in_step_with_the_picture(tmp_path, name, start):
    old = name == "s.avi"  # no room for the delay of H.264
    path = record(
        tmp_path / name,
        PICTURES,
        codec="mpeg4" if old else "libx264",
        time_base=Fraction(1, 25),
        sound=clicks([0.5, 1.24], 1.5, 44_100, 2),
        rate=44_100,
        sound_codec="pcm_s16le" if name in ("s.avi", "s.mov") else "aac",
        sound_start=start,
    )
    np.testing.assert_allclose(onsets(read_audio(path)), [0.5 + start, 1.24 + start], atol=0.003)


def test_sound_before_the_first_picture_is_left_out(tmp_path):
    late = [time + Fraction(7, 10) for time in PICTURES]
    path = record(tmp_path / "late.mkv", late, sound=clicks([0.3, 1.1], 2.5, 16_000), sound_codec="pcm_s16le")
    np.testing.assert_allclose(onsets(read_audio(path)), [0.4], atol=0.002)


def test_a_hole_in_the_sound_is_silence_of_its_length(tmp_path):
    import av

    path = tmp_path / "hole.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0.0, 1.5):
            wave = (clicks([0.2], 0.5, 16_000) * 32_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), round(start * 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    samples = read_audio(path)
    np.testing.assert_allclose(onsets(samples), [0.2, 1.7], atol=0.002)
    assert len(samples) == 32_000


def test_a_piece_of_sound_that_ends_before_the_first_picture_is_left_out(monkeypatch, tmp_path):
    path = record(tmp_path / "s.mkv", PICTURES, sound=clicks([0.5], 1.5, 16_000), sound_codec="pcm_s16le")
    pieces = [(Fraction(-2), np.ones(16_000, np.float32)), (Fraction(1, 4), np.full(1_000, 0.5, np.float32))]
    monkeypatch.setattr("media.audio._stretches", lambda *_: iter(pieces))
    np.testing.assert_array_equal(read_audio(path), np.r_[np.zeros(4_000), np.full(1_000, 0.5)].astype(np.float32))
    monkeypatch.setattr("media.audio._stretches", lambda *_: iter(pieces[:1]))
    with pytest.raises(InputError, match="ends before its first picture"):
        read_audio(path)


def test_stereo_is_mixed_and_loud_sound_is_clipped(tmp_path):
    wave = tone(1, 16_000)[0]
    scipy.io.wavfile.write(tmp_path / "left.wav", 16_000, np.stack([wave, 0 * wave], 1))
    np.testing.assert_allclose(read_audio(tmp_path / "left.wav"), wave / 2, atol=1e-6)
    scipy.io.wavfile.write(tmp_path / "both.wav", 16_000, np.stack([2 * wave, 2 * wave], 1))
    np.testing.assert_allclose(read_audio(tmp_path / "both.wav"), 2 * wave, atol=1e-6)  # and not clipped
    scipy.io.wavfile.write(tmp_path / "loud.wav", 16_000, 4 * wave)
    assert np.abs(read_audio(tmp_path / "loud.wav")).max() == 1


def test_resampling_keeps_what_16_khz_can_hold_and_no_alias(tmp_path):
    rate, seconds = 48_000, 2
    t = np.arange(rate * seconds) / rate
    scipy.io.wavfile.write(tmp_path / "low.wav", rate, (0.5 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32))
    expected = 0.5 * np.sin(2 * np.pi * 3000 * np.arange(16_000 * seconds) / 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / "low.wav")[200:-200], expected[200:-200], atol=2e-3)
    scipy.io.wavfile.write(tmp_path / "high.wav", rate, (0.5 * np.sin(2 * np.pi * 12_000 * t)).astype(np.float32))
    assert np.abs(read_audio(tmp_path / "high.wav")[200:-200]).max() < 1e-3


def test_wav_round_trip(tmp_path):
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    write_wav(tmp_path / "new" / "folder" / "x.wav", samples)
    np.testing.assert_allclose(read_audio(tmp_path / "new" / "folder" / "x.wav"), samples, atol=1e-4)
    rate, stored = scipy.io.wavfile.read(tmp_path / "new" / "folder" / "x.wav")
    assert (rate, stored.dtype, stored.shape) == (16_000, np.int16, (5000,))
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["x.wav"]


def test_a_file_that_breaks_off_gives_what_is_there(tmp_path):
    path = record(tmp_path / "cut.mp3", sound=tone(4, 16_000), sound_codec="libmp3lame")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 1.5 < len(read_audio(path)) / 16_000 < 2.5


def test_refusals_are_one_line(tmp_path):
    silent = record(tmp_path / "mute.mp4", PICTURES[:5])
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF1234WAVEfmt ")
    holes = tone(0.1, 16_000)[0]
    holes[100] = np.nan
    scipy.io.wavfile.write(tmp_path / "nan.wav", 16_000, holes)
    scipy.io.wavfile.write(tmp_path / "none.wav", 16_000, holes[:0])
    cases = [
        (silent, "no sound track"),
        (broken, "broken"),
        (tmp_path / "nan.wav", r"sample 100 \(0.01 s\) is nan"),
        (tmp_path / "none.wav", "empty or cannot be decoded"),
        (tmp_path / "absent.wav", "no such file"),
    ]
    for path, what in cases:
        with pytest.raises(InputError, match=what) as caught:
            read_audio(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    for bad in (np.zeros((2, 100)), np.zeros(0), np.array([0, np.inf])):
        with pytest.raises(InputError):
            write_wav(tmp_path / "bad.wav", bad)
        with pytest.raises(InputError):
            mfcc(bad)
    assert not (tmp_path / "bad.wav").exists()
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        write_wav(tmp_path / "plain" / "x.wav", np.zeros(10))


def plain_mfcc(samples):
    """The definition, step by step, one row after the other."""
    samples = np.asarray(samples, np.float64)
    emphasised = samples - 0.97 * np.concatenate([[0], samples[:-1]])

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    corners = 700 * (10 ** (np.linspace(0, mel(8000), 28) / 2595) - 1)
    bins = np.arange(257) * 16_000 / 512
    bank = np.zeros((26, 257))
    for band in range(26):
        low, centre, high = corners[band : band + 3]
        bank[band] = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    window = scipy.signal.get_window("hann", 400)
    # Ten times the power of rounding to 16 bits, of which the pre-emphasis makes as much more.
    emphasis = 1 + 0.97**2 - 2 * 0.97 * np.cos(2 * np.pi * bins / 16_000)
    quiet = 10 * (2.0**-15) ** 2 / 12 * np.sum(window**2) * emphasis
    rows = []
    for row in range(len(samples) // 160):
        piece = emphasised[160 * row : 160 * row + 400]
        piece = np.concatenate([piece, np.zeros(400 - len(piece))]) * window
        power = np.abs(np.fft.rfft(piece, 512)) ** 2
        energies = np.log(np.maximum(bank @ power, bank @ quiet))
        cepstrum = scipy.fft.dct(energies, type=2, norm="ortho")[:13]
        rows.append([(1 + 11 * np.sin(np.pi * n / 22)) * cepstrum[n] for n in range(1, 13)])
    return np.array(rows)


def speech_like(seconds=2.0, seed=0):
    """Noise through moving resonances, with pauses."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 16_000)
    noise = rng.normal(size=n)
    sound = sum(scipy.signal.lfilter([1], [1, -1.8 * np.cos(2 * np.pi * f / 16_000), 0.9], noise) for f in (500, 1500))
    envelope = np.clip(np.sin(2 * np.pi * 3 * np.arange(n) / 16_000), 0, 1)
    return (0.05 * sound * envelope).astype(np.float32)


@pytest.mark.parametrize("samples", [speech_like(1.0), speech_like(0.5, 1)[:7777], tone(0.3, 16_000)[0]])
def test_mfcc_equals_the_plain_computation(samples):
    found = mfcc(samples)
    assert found.dtype == np.float32
    assert found.shape == (len(samples) // 160, 12)
    np.testing.assert_allclose(found, plain_mfcc(samples), atol=0.02)


def test_mfcc_ignores_loudness():
    steady = speech_like(1, 3) + np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32)
    np.testing.assert_allclose(mfcc(steady), mfcc(steady * 0.3), atol=0.01)


def test_silence_is_the_same_however_it_is_stored():
    zeros = mfcc(np.zeros(16_000))
    np.testing.assert_array_equal(zeros, np.tile(zeros[:1], (100, 1)))
    rounding = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000) * 2.0**-15
    np.testing.assert_allclose(mfcc(rounding), zeros, atol=2)
    assert (np.abs(mfcc(rounding) - zeros) < 1e-4).mean() > 0.95
    # Louder white noise has the same mean: nothing jumps where silence begins.
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000)
    np.testing.assert_allclose(mfcc(noise).mean(axis=0), zeros[0], atol=2)


def test_rows_and_windows_are_in_step_with_the_frames():
    # A click in frame 10: exactly the rows whose 25 ms hold it, and only windows that reach it, differ from silence.
    samples = np.zeros(40 * 640, np.float32)
    click = 10 * 640 + 330
    samples[click] = 0.5
    silence = mfcc(np.zeros(160))[0]
    touched = np.flatnonzero(np.abs(mfcc(samples) - silence).max(axis=1) > 1e-3)
    assert set(touched) <= {row for row in range(160) if 160 * row <= click + 1 and click < 160 * row + 400}
    assert len(touched) >= 2
    windows = mfcc_windows(samples)
    assert windows.shape == (40, 28, 12)
    reached = np.flatnonzero(np.abs(windows - silence).max(axis=(1, 2)) > 1e-3)
    assert set(reached) == {f for f in range(40) if {4 * (f - 3) + r for r in range(28)} & set(touched.tolist())}
    assert reached.min() >= 6
    assert reached.max() <= 13


def test_windows_are_the_rows_of_the_specification():
    samples = speech_like(2.0)
    rows = mfcc(np.concatenate([np.zeros(1920), samples, np.zeros(1920)]))
    windows = mfcc_windows(samples)
    assert windows.dtype == np.float32
    assert windows.shape == (50, 28, 12)
    for frame in (0, 1, 20, 49):
        for row in range(28):
            np.testing.assert_array_equal(windows[frame, row], rows[4 * (frame - 3) + row + 12])
    # Inside, they are the rows of the sound itself.
    np.testing.assert_allclose(windows[20], mfcc(samples)[4 * 17 : 4 * 24], atol=1e-4)


def test_number_of_windows():
    samples = speech_like(1.0)
    assert len(mfcc_windows(samples)) == 25
    assert len(mfcc_windows(samples[:-1])) == 24
    assert len(mfcc_windows(np.zeros(12 * 16_000))) == 300  # the original code loses the last one
    longer = mfcc_windows(samples, frames=40)
    assert longer.shape == (40, 28, 12)
    np.testing.assert_array_equal(longer[31:], np.tile(mfcc(np.zeros(160)), (9, 28, 1)))
    np.testing.assert_array_equal(mfcc_windows(samples, frames=10), mfcc_windows(samples[:6400]))
    with pytest.raises(InputError, match="less than one video frame"):
        mfcc_windows(samples[:639])
