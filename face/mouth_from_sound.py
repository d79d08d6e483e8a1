"""How far a mouth would be open for a sound: a network that knows no person, for putting sound and picture in step.

It was trained on espeak-ng speech and the embedded person's articulation alone
(`python -m datamodules.synthetic.build_mouth_from_sound`); the opening of real mouths follows it with a correlation of
0.3 to 0.6, enough to find out by how much a recording is out of step.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from media.audio import FRAME_SAMPLES
from media.errors import InputError
from media.mel import BANDS, ROWS_PER_FRAME, mel_power

WEIGHTS = Path(__file__).parent / "models" / "mouth_from_sound.npz"
_FLOOR = 1e-5  # of the mean power: -50 dB, below the noise of ordinary recordings
_CHANNELS = 48


class MouthFromSound(nn.Module):
    """Dilated convolutions over 100 rows a second, then 25: a frame hears 0.4 s on either side."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.ModuleList(
            nn.Conv1d(inputs, _CHANNELS, 5, padding=2 * dilation, dilation=dilation)
            for inputs, dilation in ((BANDS, 1), (_CHANNELS, 2), (_CHANNELS, 4))
        )
        self.frames = nn.Conv1d(_CHANNELS, _CHANNELS, 5, padding=2)
        self.opening = nn.Conv1d(_CHANNELS, 1, 5, padding=2)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Openings of one utterance or many.

        Args:
            spectrum: (B, 4 T, 40) of `normalised_log`.

        Returns:
            (B, T), in no unit: only its course matters.
        """
        first, *others = self.rows
        hidden = functional.silu(first(spectrum.transpose(1, 2)))
        for layer in others:
            hidden = hidden + functional.silu(layer(hidden))
        hidden = functional.avg_pool1d(hidden, ROWS_PER_FRAME)
        hidden = hidden + functional.silu(self.frames(hidden))
        opening: Tensor = self.opening(hidden)[:, 0]
        return opening


def normalised_log(power: Tensor) -> Tensor:
    """Log spectrum without what microphone, room and loudness add: every band's mean is 0, the whole has deviation 1.

    Args:
        power: (B, R, 40) mel power.

    Returns:
        (B, R, 40).
    """
    logarithm = torch.log(power + _FLOOR * power.mean(dim=(1, 2), keepdim=True) + 1e-12)
    centred = logarithm - logarithm.mean(dim=1, keepdim=True)
    return centred / centred.std(dim=(1, 2), keepdim=True).clamp_min(1e-6)


def predicted_opening(samples: np.ndarray) -> np.ndarray:
    """The opening of the mouth that a sound suggests.

    Args:
        samples: (n,) float at 16 kHz, one video frame (640 samples) or more.

    Returns:
        (n // 640,) float32 at 25 a second, in no unit.

    Raises:
        InputError: If the samples are no finite signal, or shorter than a frame.
    """
    frames = len(samples) // FRAME_SAMPLES
    if frames < 1:
        raise InputError(f"the sound has {len(samples)} samples, less than one video frame (640); give a longer one.")
    power = torch.from_numpy(mel_power(samples[: frames * FRAME_SAMPLES]))
    with torch.no_grad():
        opening: np.ndarray = _network()(normalised_log(power[None]))[0].numpy()
    return opening


@cache
def _network() -> MouthFromSound:
    network = MouthFromSound()
    with np.load(WEIGHTS) as arrays:
        network.load_state_dict({name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files})
    return network.eval()
