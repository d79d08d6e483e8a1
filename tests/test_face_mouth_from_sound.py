"""The network that hears how far a mouth is open, and the spectrum it hears."""

import numpy as np
import pytest
import torch
from scipy.signal import get_window

from face.mouth_from_sound import MouthFromSound, normalised_log, predicted_opening
from media.errors import InputError
from media.mel import BANDS, mel_power


def vowels(seconds: float = 4.0, rate: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A buzz that is loud and bright `rate` times a second, and how loud it is in every video frame."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    open_mouth = 0.5 - 0.5 * np.cos(2 * np.pi * rate * time)
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    return (0.1 * open_mouth**2 * buzz + 1e-4).astype(np.float32), open_mouth.reshape(-1, 640).mean(1)


def test_rows_of_the_spectrum_lie_where_they_should() -> None:
    click = np.zeros(16_000, np.float32)
    click[160 * 50 + 56] = 1.0
    power = mel_power(click).sum(1)
    assert power.shape == (100,)
    assert power.argmax() == 50
    assert power[48] < 1e-3 * power[50] > power[52]


def test_spectrum_of_a_tone_against_a_plain_transform() -> None:
    samples = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    emphasised = np.append(samples[:1], samples[1:] - 0.97 * samples[:-1])
    window = np.pad(get_window("hann", 400), 56)
    piece = emphasised[160 * 50 - 200 : 160 * 50 - 200 + 512] * window
    plain = np.abs(np.fft.rfft(piece)) ** 2
    # librosa's triangles of the Slaney scale have unit area: the power times the width of a bin is what they share
    assert mel_power(samples)[50].max() == pytest.approx(plain.max() * 0.02, rel=0.5)
    assert mel_power(samples)[50].argmax() == mel_power(samples).sum(0).argmax()


def test_loudness_and_microphone_do_not_matter() -> None:
    power = torch.rand(2, 60, BANDS) + 0.1
    microphone = torch.rand(1, 1, BANDS) + 0.5
    torch.testing.assert_close(normalised_log(power), normalised_log(1e-3 * power), atol=1e-3, rtol=1e-3)
    centred = normalised_log(power * microphone)
    torch.testing.assert_close(centred, normalised_log(power), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(centred.mean(1), torch.zeros(2, BANDS), atol=1e-5, rtol=0)


def test_mouth_opens_with_the_vowels() -> None:
    samples, loud = vowels()
    opening = predicted_opening(samples)
    assert opening.shape == (100,)
    assert opening.dtype == np.float32
    assert np.corrcoef(opening[5:-5], loud[5:-5])[0, 1] > 0.6


def test_a_frame_hears_half_a_second_around_it() -> None:
    network = MouthFromSound().eval()
    spectrum = torch.randn(1, 400, BANDS, requires_grad=True)
    network(spectrum)[0, 50].backward()  # type: ignore[no-untyped-call]
    assert spectrum.grad is not None
    heard = spectrum.grad[0].abs().sum(1).nonzero().flatten()
    assert int(heard.min()) >= 200 - 40
    assert int(heard.max()) < 200 + 44


def test_unfit_sound_is_refused() -> None:
    with pytest.raises(InputError, match="less than one video frame"):
        predicted_opening(np.zeros(100, np.float32))
    with pytest.raises(InputError, match="finite"):
        predicted_opening(np.full(16_000, np.nan, np.float32))
