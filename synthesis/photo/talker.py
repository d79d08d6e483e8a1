"""The person of a photo speaks: the motion of somebody else's first stage on the photo's mesh (paper, 3.3, end)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from datamodules.synthetic.expressions import ACTIONS, fit_actions
from face.landmarks import INNER_LIP
from face.models.morphable_model import MorphableModel
from lightning_modules.audio2pose import Audio2PoseLSTM
from media.video import FPS
from synthesis.background import with_amplitude
from synthesis.eyes import EyeFollower
from synthesis.listening import Motion, listen
from synthesis.photo.animated import AnimatedPhoto
from synthesis.photo.lids import blinks
from synthesis.photo.portrait import Portrait

# Ours: deviation of pitch, yaw and roll while somebody talks to a camera; a predicted head hardly moves, see
# synthesis.background.with_amplitude.
_DEVIATION = np.radians([2.2, 3.5, 1.6])
_LARGEST = np.radians([12.0, 20.0, 12.0])  # ours: farther, too much is seen that the photo does not show
_START = 0.6  # seconds in which the movement sets in from the photo's own pose
_KEPT = 0.5  # share of the photo's own expression that stays while it speaks; its wrinkles do anyway
_CLOSED, _OPEN = 8, 95  # percentiles of the opening of the mouth that are taken for closed lips and a clear vowel
_VOWEL = 0.11  # decimetres between the lips at the latter
_GAIN = (0.6, 2.0)  # by which the movement of another person's mouth may be scaled to that


@dataclass(frozen=True)
class PhotoPerformance:
    """What a photo does to a sound.

    Attributes:
        expression: (T, 64) float32 β of the photo's face.
        turn: (T, 3) pitch, yaw, roll in radians, beside those of the photo.
        closure: (T,) of the lids, 0 to 1.
    """

    expression: np.ndarray
    turn: np.ndarray
    closure: np.ndarray

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.turn)


class PhotoTalker:
    """Everything needed to make a photo speak.

    Args:
        portrait: The fitted photo.
        model: Its face model.
        audio2pose: First stage, trained on anybody with the same face model.
    """

    def __init__(self, portrait: Portrait, model: MorphableModel, audio2pose: Audio2PoseLSTM):
        self.portrait, self.model, self.audio2pose = portrait, model, audio2pose.eval()
        self._photo = AnimatedPhoto(portrait, model)
        self._opening = fit_actions(model)[ACTIONS.index("opening")].astype(np.float32)

    def listen(self, samples: np.ndarray) -> Motion:
        """Predict the motion of the person whom the first stage knows, from (n,) float32 samples at 16 kHz."""
        return listen(self.audio2pose, samples, another_voice=True)

    def perform(self, motion: Motion) -> PhotoPerformance:
        """Give the motion to the photo's face: its lips, within its bounds, and eyes that blink."""
        frames = len(motion.expression)
        still = np.zeros_like(_DEVIATION)
        turn = with_amplitude(motion.pose[:, :3], np.stack([still - _DEVIATION, still + _DEVIATION]))
        setting_in = np.clip(np.arange(frames) / (_START * FPS), 0, 1)[:, None]
        turn = setting_in * _LARGEST * np.tanh(turn / _LARGEST)
        return PhotoPerformance(self.fit_mouth(motion.expression), turn, blinks(frames, seed=frames))

    def fit_mouth(self, expression: np.ndarray) -> np.ndarray:
        """Let another person's expressions speak from this face.

        Half of the photo's own expression stays. Two faces with the same β are not equally open, so opening is added
        and the movement scaled until the lips close and open as far as lips do; the eyes stay the photo's.

        Args:
            expression: (T, 64) β of the person the first stage knows.

        Returns:
            float32 (T, 64).
        """
        own = self.portrait.expression
        mean = expression.mean(0)
        base = mean + _KEPT * (own - mean)
        closed, vowel = np.percentile(self.openings(base + expression - mean), [_CLOSED, _OPEN])
        gain = np.clip(_VOWEL / max(vowel - closed, 1e-6), *_GAIN)
        spoken = base + gain * (expression - mean)
        openings = self.openings(np.stack([np.zeros_like(self._opening), self._opening]))
        excess = np.percentile(self.openings(spoken), _CLOSED) / (openings[1] - openings[0])
        spoken = spoken - excess * self._opening
        return EyeFollower(self.model)(spoken, np.broadcast_to(own, spoken.shape))

    def openings(self, expression: np.ndarray) -> np.ndarray:
        """(T,) distance of the middle of the lips on the photo's face, upward, for (T, 64) β; decimetres."""
        upper, lower = (int(self.model.landmark_vertices[point]) for point in INNER_LIP)
        basis = self.model.expression_basis[:, [upper, lower], 1].double().numpy()
        rest = self.portrait.shape(self.model, np.zeros(len(basis)))[[upper, lower], 1]
        heights = rest + expression @ basis
        return heights[:, 0] - heights[:, 1]

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of `full_frames`."""
        height, width = self.portrait.picture.shape[:2]
        return width, height

    def full_frames(self, performance: PhotoPerformance) -> Iterator[np.ndarray]:
        """The photo as it performs.

        Yields:
            (H, W, 3) uint8 frames.
        """
        for expression, turn, closure in zip(
            performance.expression, performance.turn, performance.closure, strict=True
        ):
            with torch.inference_mode():
                frame = self._photo.frame(expression, turn, float(closure))
            yield frame  # outside: whoever takes it may train
