"""Audio-video offset: known shifts of a mouth, a fraction of a frame, agreement with scipy, and how sure it is."""

import doctest

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from evaluation import av_offset
from evaluation.av_offset import AudioVideoOffset, offset


def mouth(times: np.ndarray, seed: int = 0) -> torch.Tensor:
    """A mouth opening at any times (frames): sums of waves up to 5 Hz, so that it can be read between frames."""
    rng = np.random.default_rng(seed)
    waves = [a * np.sin(2 * np.pi * f * times / 25 + p) for f, a, p in rng.uniform((0.5, 0.2, 0), (5, 1, 6.3), (40, 3))]
    return torch.from_numpy(np.sum(waves, axis=0))


TIMES = np.arange(200.0)


def test_doctests() -> None:
    assert doctest.testmod(av_offset).failed == 0


@pytest.mark.parametrize("frames", [-9, -2, 0, 5, 15])
def test_a_mouth_that_is_late_by_frames_is_found(frames: int) -> None:
    late, confidence = offset(0.1 * mouth(TIMES - frames) + 3, mouth(TIMES))
    assert late.item() == pytest.approx(40 * frames, abs=2)
    assert confidence.item() > 0.6


@pytest.mark.parametrize("frames", [-3.4, 0.3, 2.5, 6.75])
def test_fractions_of_a_frame_are_found(frames: float) -> None:
    late, _ = offset(mouth(TIMES - frames), mouth(TIMES))
    assert late.item() == pytest.approx(40 * frames, abs=4)


def test_confidence_is_the_peak_of_scipys_correlations_above_their_middle() -> None:
    seen, heard = mouth(TIMES - 2) + 2 * mouth(TIMES, seed=9), mouth(TIMES)
    filtered = [speech_only(side.numpy()) for side in (seen, heard)]
    scores = []
    for k in range(-9, 10):
        x, y = filtered[0][max(k, 0) : 200 + min(k, 0)], filtered[1][max(-k, 0) : 200 - max(k, 0)]
        scores.append(pearsonr(x, y).statistic)
    far = [abs(score) for k, score in enumerate(scores) if abs(k - int(np.argmax(scores))) > 4]
    expected = max(scores) - np.median(far)
    assert offset(seen, heard, max_frames=9)[1].item() == pytest.approx(expected, abs=1e-4)


def speech_only(values: np.ndarray) -> np.ndarray:
    """Without what is slower than 10 and faster than 0.7 frames, by sums over mirrored values."""

    def smooth(series: np.ndarray, sigma: float) -> np.ndarray:
        reach = int(4 * sigma + 0.5)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        return np.convolve(np.pad(series, reach, mode="symmetric"), weights / weights.sum(), mode="valid")

    return smooth(values - smooth(values, 10.0), 0.7)


def test_posture_does_not_count() -> None:
    smile = torch.from_numpy(20 * np.sin(2 * np.pi * TIMES / 200))
    late, confidence = offset(mouth(TIMES - 3) + smile, mouth(TIMES) - smile)
    assert late.item() == pytest.approx(120, abs=6)
    assert confidence.item() > 0.6


def test_another_persons_mouth_gives_little_confidence() -> None:
    right = offset(mouth(TIMES), mouth(TIMES))[1].item()
    wrong = [offset(mouth(TIMES, seed=s), mouth(TIMES))[1].item() for s in range(1, 6)]
    assert max(wrong) < 0.6 * right


def test_lengths_may_differ_and_nothing_to_compare_has_no_value() -> None:
    assert offset(mouth(TIMES), mouth(TIMES[:-3]))[0].item() == pytest.approx(0, abs=2)
    assert offset(torch.ones(60), mouth(TIMES))[0].isnan()
    assert offset(mouth(TIMES[:7]), mouth(TIMES[:7]))[1].isnan()


def test_metric_is_the_mean_over_videos() -> None:
    metric = AudioVideoOffset()
    for frames in (-4, 1, 6):
        metric.update(mouth(TIMES - frames), mouth(TIMES))
    metric.update(torch.ones(60), torch.ones(60))  # no value, so it does not count
    metric.update(mouth(TIMES[:8]), mouth(TIMES[:8]))  # no confidence, likewise
    scores = metric.compute()
    assert scores["av_confidence"].isfinite()
    assert scores["av_offset"].item() == pytest.approx(40, abs=2)
    assert scores["av_offset_size"].item() == pytest.approx(40 * 11 / 3, abs=2)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T,\)"):
        offset(torch.zeros(20, 1), torch.zeros(20))
    with pytest.raises(ValueError, match="max_frames"):
        offset(torch.zeros(20), torch.zeros(20), max_frames=0)
