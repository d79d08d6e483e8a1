"""How far a mouth is out of step with its sound, in ms, and how sure that is."""

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torchmetrics import Metric

FRAME_MS = 40.0  # SPEC: 25 frames per second
MAX_FRAMES = 15  # either way; SyncNet's evaluation looks as far
POSTURE, JITTER = 10.0, 0.7  # frames, sigma; ours: slower movement is no speech, faster is noise of the tracker
NEIGHBOURS = 4  # frames beside the peak that belong to it: the length of a syllable


def offset(tracked_opening: Tensor, predicted_opening: Tensor, max_frames: int = MAX_FRAMES) -> tuple[Tensor, Tensor]:
    r"""Audio-video offset by cross-correlation of the mouth seen with the mouth the sound suggests.

    .. math:: r(k) = \mathrm{corr}_t(x_{t+k}, y_t),\quad k = -K \ldots K

    each over the frames that both have, of both courses without what is slower than speech (posture, a smile) or as
    fast as tracking noise. The offset is the k of the largest r, refined by the parabola through its neighbours; the
    confidence is that r minus the median of |r| at shifts more than a syllable away, near 0 if it does not stand out.

    Args:
        tracked_opening: (T,) mouth opening seen in the frames, in any unit.
        predicted_opening: (S,) mouth opening that the sound suggests, in any unit; the longer one is cut.
        max_frames: K; less in short videos, where at least half of the frames must overlap.

    Returns:
        Offset in ms, positive where the mouth is late, negative where it moves before its sound, and confidence, at
        most 1, each () float; both nan if there are fewer than 8 frames or one of the two never moves.

    Raises:
        ValueError: an opening is not (T,), or `max_frames` is less than 1.

    >>> generator = torch.Generator().manual_seed(0)
    >>> opening = torch.rand(103, generator=generator)
    >>> late, confidence = offset(opening[:100], opening[3:])  # the mouth does 3 frames later what is heard
    >>> round(late.item() / 10), bool(confidence > 0.7)
    (12, True)
    """
    if tracked_opening.ndim != 1 or predicted_opening.ndim != 1:
        shapes = f"{tuple(tracked_opening.shape)} and {tuple(predicted_opening.shape)}"
        raise ValueError(f"expected two (T,) mouth openings, got {shapes}")
    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    frames = min(len(tracked_opening), len(predicted_opening))
    seen, heard = (_speech_movement(side[:frames]) for side in (tracked_opening, predicted_opening))
    reach = min(max_frames, frames // 2)
    none = torch.tensor(torch.nan), torch.tensor(torch.nan)
    if frames < 8:
        return none
    scores = np.array([_correlation(seen[max(k, 0) :], heard[max(-k, 0) :]) for k in range(-reach, reach + 1)])
    if not np.isfinite(scores).any():
        return none
    scores = np.nan_to_num(scores)  # a stretch without movement agrees with nothing
    best = int(scores.argmax())
    elsewhere = np.abs(np.arange(len(scores)) - best) > NEIGHBOURS
    confidence = scores[best] - np.median(np.abs(scores[elsewhere])) if elsewhere.any() else np.nan
    frames_late = best - reach + _peak(scores, best)
    return torch.tensor(FRAME_MS * frames_late, dtype=torch.float32), torch.tensor(confidence, dtype=torch.float32)


class AudioVideoOffset(Metric):
    """Means over videos of :func:`offset`: signed, absolute, and the confidence; one update is one video.

    State: sums over the videos in which an offset can be found and their number, added up over processes.

    Args:
        max_frames: as in :func:`offset`.
        kwargs: torchmetrics' own options.

    >>> metric = AudioVideoOffset()
    >>> opening = torch.rand(100)
    >>> metric.update(opening, opening)
    >>> abs(metric.compute()["av_offset"].item()) < 20
    True
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None
    sums: Tensor
    videos: Tensor

    def __init__(self, max_frames: int = MAX_FRAMES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_frames = max_frames
        self.add_state("sums", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("videos", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, tracked_opening: Tensor, predicted_opening: Tensor) -> None:
        """Adds one video; arguments as in :func:`offset`."""
        late, confidence = offset(tracked_opening, predicted_opening, self.max_frames)
        if not (late.isnan() or confidence.isnan()):  # a video too short to look elsewhere has no confidence
            self.sums += torch.stack([late, late.abs(), confidence]).to(self.sums)
            self.videos += 1

    def compute(self) -> dict[str, Tensor]:
        """`av_offset`, `av_offset_size` (ms) and `av_confidence`, () float; nan when there was no video."""
        names = ("av_offset", "av_offset_size", "av_confidence")
        return dict(zip(names, (self.sums / self.videos).float(), strict=True))


def _speech_movement(opening: Tensor) -> np.ndarray:
    values = opening.detach().cpu().double().numpy()
    return gaussian_filter1d(values - gaussian_filter1d(values, POSTURE), JITTER)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation of the beginnings that both have; nan if one is constant there."""
    length = min(len(x), len(y))
    x, y = x[:length] - x[:length].mean(), y[:length] - y[:length].mean()
    scale = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / scale) if scale > 1e-12 else float("nan")


def _peak(scores: np.ndarray, best: int) -> float:
    """Where the parabola through the best score and its neighbours has its top, relative to it; 0 at either end."""
    if not 0 < best < len(scores) - 1:
        return 0.0
    before, top, after = scores[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0
