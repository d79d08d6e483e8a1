"""Means and deviations of what is learned from, which `Audio2PoseLSTM` measures its inputs and outputs in."""

from collections.abc import Iterable

import numpy as np

from face.coefficients import EXPRESSION, get_pose


def motion_statistics(
    clips: Iterable[tuple[np.ndarray, np.ndarray]], mouth_opening: np.ndarray, *, centre_clips: bool
) -> dict[str, np.ndarray]:
    """Means and standard deviations over all frames of some clips.

    Args:
        clips: (T, 257) χ and (T, 28, 12) MFCC of at least one; looked at one by one.
        mouth_opening: (64,) linear map from expression to the opening of the mouth.
        centre_clips: Whether deviations are from each clip's own mean, as in training with centred clips; the means
            are those of all frames in both cases.

    Returns:
        float32 `expression_mean`, `expression_std` (64,), `opening_mean`, `opening_std` (1,), `pose_mean`, `pose_std`
        (6,), `mfcc_mean`, `mfcc_std` (12,).
    """
    moments = {name: _Moments(centre_clips) for name in ("expression", "opening", "pose", "mfcc")}
    for chi, mfcc in clips:
        expression = chi[:, EXPRESSION]
        moments["expression"].add(expression)
        moments["opening"].add(expression @ mouth_opening[:, None])
        moments["pose"].add(get_pose(chi))
        moments["mfcc"].add(mfcc.reshape(-1, mfcc.shape[-1]))
    return {f"{name}_{key}": value for name, sums in moments.items() for key, value in sums.result().items()}


class _Moments:
    """Sums over rows that come clip by clip."""

    def __init__(self, centre: bool):
        self._centre, self._rows = centre, 0
        self._mean: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0  # of deviations from the mean, or from each clip's own

    def add(self, rows: np.ndarray) -> None:
        """Add the (n, D) rows of a clip; merging means and deviations loses no digits, sums of squares would."""
        count, mean = len(rows), rows.mean(0, dtype=np.float64)
        step = mean - self._mean
        self._squares = self._squares + ((rows - mean) ** 2).sum(0)
        if not self._centre:
            self._squares = self._squares + step**2 * (self._rows * count / (self._rows + count))
        self._mean = self._mean + step * (count / (self._rows + count))
        self._rows += count

    def result(self) -> dict[str, np.ndarray]:
        """Mean and standard deviation, float32."""
        deviation = np.sqrt(self._squares / self._rows)
        return {"mean": np.asarray(self._mean, np.float32), "std": np.asarray(deviation, np.float32)}
