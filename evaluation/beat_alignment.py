"""Does the head mark the beats of the speech? Beat alignment of head movement and sound.

The field's score for dance ("BeatAlign" of Li et al. 2021, AI Choreographer), carried over to heads as later papers
do: kinematic beats are the moments where the head comes to rest or turns back, beats of the sound the onsets of
syllables and stresses. Syllables are so dense that any movement is near one; so the level of chance is given too.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelmin
from torch import Tensor

from evaluation.frame_values import FrameMean

FPS = 25.0  # SPEC: frames per second everywhere
TOLERANCE = 0.05  # seconds, sigma of the score; AI Choreographer: 3 frames at 60 per second
SMOOTHING = 2.0  # frames; evaluations of dance: 5 at 60 per second
STILL = 0.5  # degrees/s; ours: a head that never moves faster shows tracking noise and no beats


def head_beats(angles: Tensor) -> np.ndarray:
    """Kinematic beats: local minima of the smoothed angular speed.

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees at 25 frames/s.

    Returns:
        (N,) frames, int64, ascending.

    >>> time = torch.arange(100) / 25
    >>> nod = torch.stack([10 * torch.cos(2.5 * torch.pi * time), 0 * time, 0 * time], dim=1)
    >>> head_beats(nod)  # it turns back every 10 frames
    array([10, 20, 30, 40, 50, 60, 70, 80, 90])
    """
    if angles.ndim != 2 or angles.shape[1] != 3:
        raise ValueError(f"expected (T, 3) angles in degrees, got {tuple(angles.shape)}")
    if len(angles) < 3:
        return np.empty(0, np.int64)
    velocity = np.gradient(angles.detach().cpu().double().numpy(), axis=0) * FPS
    speed = gaussian_filter1d(np.linalg.norm(velocity, axis=1), SMOOTHING)
    return argrelmin(speed)[0] if speed.max() > STILL else np.empty(0, np.int64)


def beat_alignment(angles: Tensor, sound_beats: Tensor) -> dict[str, Tensor]:
    r"""How near the beats of a head are to those of the sound.

    .. math:: \frac1N \sum_{i=1}^{N} \exp\!\left(-\frac{\min_j (t_i - s_j)^2}{2 \sigma^2}\right)

    over the N beats t of the head, with beats s of the sound and :math:`\sigma` = 50 ms. Chance is its mean over all
    shifts in time of the movement against the sound (around the end).

    Args:
        angles: (T, 3) pitch, yaw, roll in degrees at 25 frames/s.
        sound_beats: (M,) seconds from the first frame on.

    Returns:
        `beat_align` in [0, 1], 0 for a head without beats, and `beat_align_chance`, each () float; nan without beats
        of the sound.

    Raises:
        ValueError: the shapes are not (T, 3) and (M,).

    >>> time = torch.arange(100) / 25
    >>> nod = torch.stack([10 * torch.cos(2.5 * torch.pi * time), 0 * time, 0 * time], dim=1)
    >>> {name: round(value.item(), 2) for name, value in beat_alignment(nod, torch.arange(10) * 0.4).items()}
    {'beat_align': 1.0, 'beat_align_chance': 0.3}
    """
    beats = head_beats(angles)
    if sound_beats.ndim != 1:
        raise ValueError(f"expected (M,) times of beats, got {tuple(sound_beats.shape)}")
    if not len(sound_beats) or not len(angles):
        return {"beat_align": torch.tensor(torch.nan), "beat_align_chance": torch.tensor(torch.nan)}
    times = np.arange(len(angles)) / FPS
    distances = np.abs(times[:, None] - sound_beats.detach().cpu().double().numpy()).min(axis=1)
    closeness = np.exp(-0.5 * (distances / TOLERANCE) ** 2)  # of every frame: each shift puts a beat on another one
    aligned = float(closeness[beats].mean()) if len(beats) else 0.0
    chance = float(closeness.mean()) if len(beats) else 0.0
    return {"beat_align": torch.tensor(aligned), "beat_align_chance": torch.tensor(chance)}


class BeatAlignment(FrameMean):
    """Mean over videos of `beat_align`, see :func:`beat_alignment`; one update is one video.

    State: sum of the scores and their number, added up over processes.

    >>> metric = BeatAlignment()
    >>> metric.update(torch.zeros(30, 3), torch.tensor([0.5]))  # a head that does not move
    >>> metric.compute()
    tensor(0.)
    """

    higher_is_better = None  # more than the real head's is not better

    def update(self, angles: Tensor, sound_beats: Tensor) -> None:
        """Adds one video; arguments as in :func:`beat_alignment`."""
        self.add(beat_alignment(angles, sound_beats)["beat_align"][None].to(self.total.device))
