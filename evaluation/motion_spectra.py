"""How alike the speed and the jerkiness of two heads are: spectra of angular velocity and acceleration.

A head may move as far as the real one and yet sway too slowly or tremble: its spectrum tells.
"""

from typing import Any

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from evaluation.frame_values import FrameMean

FPS = 25.0  # SPEC: frames per second everywhere
SEGMENT = 50  # frames, 2 s; ours: resolves 0.5 Hz, the slowest nodding of speech, and a 4 s clip averages 3 segments
SHORTEST = 8  # frames; ours: fewer have no spectrum to speak of
# degrees; ours: what tracking adds to every frame [0.03 to 0.2 above 9 Hz in real recordings]
JITTER = 0.1
ORDERS = {"velocity": 1, "acceleration": 2}


def motion_spectra_distance(generated: Tensor, reference: Tensor, of: str = "velocity") -> Tensor:
    r"""Distance in dB of the spectra of two head movements, which need not be of equal length.

    .. math:: \tfrac13 \sum_a \sum_f w_{a,f} \left| 10 \log_{10} \frac{P_{a,f} + N_f}{Q_{a,f} + N_f} \right|,
              \qquad w_{a,f} = \frac{P_{a,f} + Q_{a,f}}{\sum_f P_{a,f} + Q_{a,f}}

    P and Q are Welch spectra (Hann windows of 2 s, half overlapping, mean removed, without frequency 0) of the
    derivative of the angles a = pitch, yaw, roll; N is the spectrum of a still head under tracking jitter. The weights
    make it the mean over the movement there is, not over frequencies: without them the derivative would cancel, and
    velocity and acceleration give one and the same number. Velocity asks how fast a head sways, acceleration how it
    jerks.

    Args:
        generated: (T, 3) pitch, yaw, roll in degrees at 25 frames/s.
        reference: (S, 3) the same of the real video.
        of: "velocity" or "acceleration".

    Returns:
        () float, dB, 0 for equal movement, about 6 for one of twice the size; nan if a video has fewer than 8 frames.

    Raises:
        ValueError: a shape is not (T, 3), or `of` is unknown.

    >>> time = torch.arange(200) / 25
    >>> sway = torch.stack([torch.zeros(200), 90 * torch.sin(5 * time), torch.zeros(200)], dim=1)
    >>> motion_spectra_distance(sway, sway)
    tensor(0.)
    >>> motion_spectra_distance(sway, 2 * sway)  # 6.02 dB on one axis of three
    tensor(2.0069)
    """
    if of not in ORDERS:
        raise ValueError(f"unknown motion '{of}': expected one of {', '.join(ORDERS)}")
    for angles in (generated, reference):
        if angles.ndim != 2 or angles.shape[1] != 3:
            raise ValueError(f"expected (T, 3) angles in degrees, got {tuple(angles.shape)}")
    shortest = min(len(generated), len(reference))
    if shortest < SHORTEST:
        return torch.tensor(torch.nan)
    order = ORDERS[of]
    segment = min(SEGMENT, shortest - order)
    frequency, ours = _spectrum(generated, order, segment)
    _, real = _spectrum(reference, order, segment)
    gain = 2 * FPS * np.sin(np.pi * frequency / FPS)  # of one difference of frames
    jitter = (2 * JITTER**2 / FPS) * gain[:, None] ** (2 * order)
    level = np.abs(10 * np.log10((ours + jitter) / (real + jitter)))
    power = ours + real
    weights = power / np.maximum(power.sum(0), 1e-300)
    return torch.tensor((weights * level).sum(0).mean(), dtype=torch.float32)


class MotionSpectraDistance(FrameMean):
    """Mean over videos of :func:`motion_spectra_distance`; one update is one video.

    State: sum of the distances and their number, added up over processes.

    Args:
        of: "velocity" or "acceleration".
        kwargs: torchmetrics' own options.

    >>> metric = MotionSpectraDistance(of="acceleration")
    >>> angles = torch.randn(50, 3)
    >>> metric.update(angles, angles)
    >>> metric.compute()
    tensor(0.)
    """

    higher_is_better = False

    def __init__(self, of: str = "velocity", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of = of

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds one video; arguments as in :func:`motion_spectra_distance`."""
        self.add(motion_spectra_distance(generated, reference, self.of)[None].to(self.total.device))


def _spectrum(angles: Tensor, order: int, segment: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (F,) above 0 and the power density (F, 3) of a derivative, (degrees/s^order)²/Hz."""
    moving = np.diff(angles.detach().cpu().double().numpy(), n=order, axis=0) * FPS**order
    frequency, power = welch(moving, fs=FPS, window="hann", nperseg=segment, detrend="constant", axis=0)
    return frequency[1:], power[1:]
