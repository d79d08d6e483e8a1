"""Eyelids that fit the eyes of the background.

The eyes themselves are seen through holes of the face model, in the frame behind it. If that frame was filmed during a
blink and the lids come from the sound, half-closed skin lies on open lids or the other way round. So the lids, and what
moves with them, follow the frame behind the face, as the head pose does; the mouth follows the sound.
"""

import numpy as np
import torch

from face.models.morphable_model import MorphableModel

_STIFFNESS = 1e-3  # relative to the mean movement, ours: what moves neither eyes nor mouth stays as predicted


class EyeFollower:
    """Replaces the eyes' part of an expression by another's, leaving the mouth's as well as the basis allows.

    β' minimises |eyes(β' - β_background)|² + |mouth(β' - β)|² over β', movements being those of the weighted vertices.

    Args:
        model: With the regions `eye_weight` and `mouth_weight`.
    """

    def __init__(self, model: MorphableModel):
        eyes, mouth = _movement(model, model.eye_weight), _movement(model, model.mouth_weight)
        stiffness = _STIFFNESS * torch.diagonal(eyes + mouth).mean() * torch.eye(len(eyes), dtype=eyes.dtype)
        self._gain = torch.linalg.solve(eyes + mouth + stiffness, eyes).numpy()

    def __call__(self, expression: np.ndarray, background: np.ndarray) -> np.ndarray:
        """Let the eyes follow the background.

        Args:
            expression: (T, 64) β whose mouth counts.
            background: (T, 64) β of the frames behind the face.

        Returns:
            (T, 64) float32.
        """
        return (expression + (background - expression) @ self._gain.T).astype(np.float32)


def _movement(model: MorphableModel, weight: torch.Tensor) -> torch.Tensor:
    """(64, 64) such that βᵀ M β is the mean squared movement of the weighted vertices."""
    basis = model.expression_basis.double() * (weight.double() / weight.double().sum()).sqrt()[:, None]
    flat = basis.flatten(1)
    return flat @ flat.mT
