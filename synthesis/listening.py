"""From sound to motion, by the trained first stage."""

from dataclasses import dataclass

import numpy as np
import torch

from lightning_modules.audio2pose import Audio2PoseLSTM
from media.audio import mfcc_windows


@dataclass(frozen=True)
class Motion:
    """What a sound makes of a face.

    Attributes:
        expression: (T, 64) float32 β.
        pose: (T, 6) float32 angles in radians, translation in decimetres.
    """

    expression: np.ndarray
    pose: np.ndarray


@torch.inference_mode()
def listen(audio2pose: Audio2PoseLSTM, samples: np.ndarray, another_voice: bool = False) -> Motion:
    """Predict expression and head pose from a sound on its own (Eq. 1, from a zero state).

    Args:
        audio2pose: Trained first stage, in evaluation mode.
        samples: (n,) float32 at 16 kHz.
        another_voice: The network was trained on somebody else, with another microphone: move the mean of the MFCC to
            that of its training (cepstral mean normalisation).
    """
    windows = torch.from_numpy(mfcc_windows(samples))[None].to(audio2pose.device)
    if another_voice:
        windows = windows + audio2pose.mfcc_mean - windows.mean((0, 1, 2))
    expression, pose, _ = audio2pose(windows)
    return Motion(expression[0].float().cpu().numpy(), pose[0].float().cpu().numpy())
