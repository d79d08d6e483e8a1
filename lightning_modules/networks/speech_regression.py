"""Kernel ridge regression of a face on what a trained encoder hears: few frames suffice, and nothing is descended."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

_WIDTH = 3.0  # ours: of the kernel, in mean squared differences of normalised features; 1 to 5 are as good
_PENALTIES = (10.0, 3.0, 1.0, 0.3)  # ours: a recording whose sound says little of the face gets the largest
_FOLDS = 4  # ours: parts of the recording by which the penalty is chosen
_GAP = 7  # frames between what is learned and what is judged: MFCC windows reach so far
_LEAST_DEVIATION = 0.5  # ours, of the features' root mean square: one that hardly fires here may fire in other speech,
# and would be so far from everything that the face of that frame were lost
_MOST_FRAMES = 3000  # ours: two minutes; the matrix that is solved has so many rows


class SpeechRegression(nn.Module):
    """What was said in the training frames that sounded alike, as the Gaussian process that they span expects it.

    Features of a frame are those of the encoder for this frame and the `lookahead` next ones, normalised. The penalty
    is the one of `_PENALTIES` with the least error in blocked cross-validation; where even that is no better than the
    mean, nothing is `trusted`.

    Args:
        encoder: Of `AUDIO_ENCODERS`; a copy is kept, and takes the weights of the one that `fit` is given.
        feature_size: Numbers of its feature.
        outputs: Numbers per frame.
        lookahead: Frames heard before an output is due.
    """

    mean: Tensor
    deviation: Tensor
    support: Tensor
    weights: Tensor
    trusted: Tensor

    def __init__(self, encoder: nn.Module, feature_size: int, outputs: int, lookahead: int = 0):
        super().__init__()
        size = feature_size * (lookahead + 1)
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.lookahead = lookahead
        for name, start in {
            "mean": torch.zeros(size),
            "deviation": torch.ones(size),
            "support": torch.zeros(0, size),
            "weights": torch.zeros(0, outputs),
            "trusted": torch.zeros((), dtype=torch.bool),
        }.items():
            self.register_buffer(name, start)

    @property
    def is_fitted(self) -> bool:
        """Whether there are frames to compare with."""
        return len(self.support) > 0

    @torch.no_grad()
    def fit(self, encoder: nn.Module, mfcc: Tensor, targets: Tensor, judged: Tensor) -> None:
        """Learn a recording by heart.

        Args:
            encoder: Whose weights are taken over as they are now.
            mfcc: (T, 28, 12) normalised windows of consecutive frames.
            targets: (T, outputs) what should come out, as differences from what is said without any sound.
            judged: (outputs,) the linear map of the targets whose error chooses the penalty.
        """
        self.encoder.load_state_dict(encoder.state_dict())
        step = -(-len(mfcc) // _MOST_FRAMES)
        features = self._features(mfcc[None])[0][::step].double()
        targets = targets[::step].double()
        deviation = features.std(0, correction=0)
        least = _LEAST_DEVIATION * deviation.square().mean().sqrt().clamp_min(1e-6)
        self.mean, self.deviation = features.mean(0).float(), deviation.maximum(least).float()
        self.support = (features.float() - self.mean) / self.deviation
        kernel, shown = _kernel(self.support, self.support).double(), targets @ judged.double()
        gap = -(-(_GAP + self.lookahead) // step)
        errors = {penalty: _unseen_error(kernel, shown, penalty, gap) for penalty in _PENALTIES}
        penalty = min(errors, key=errors.__getitem__)
        self.weights = _solve(kernel, targets, penalty).float()
        self.trusted = torch.tensor(errors[penalty] < float(shown.square().sum()), device=self.weights.device)

    def forward(self, mfcc: Tensor) -> Tensor:
        """Normalised windows (B, T, 28, 12) of consecutive frames -> (B, T, outputs)."""
        features = (self._features(mfcc) - self.mean) / self.deviation
        return _kernel(features.flatten(0, 1), self.support).matmul(self.weights).unflatten(0, features.shape[:2])

    def _features(self, mfcc: Tensor) -> Tensor:
        self.encoder.eval()  # no dropout, whatever the rest of the module does
        heard = self.encoder(mfcc)
        after = heard[:, -1:].expand(-1, self.lookahead, -1)  # what follows the end sounds like the end
        return torch.cat([heard, after], 1).unfold(1, self.lookahead + 1, 1).flatten(2)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        for name in ("support", "weights"):  # as many rows as there were frames
            if (saved := state_dict.get(prefix + name)) is not None:
                setattr(self, name, getattr(self, name).new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    """Gaussian kernel (M, N) of (M, D) and (N, D)."""
    squares = torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist").square()
    return (-squares / (2 * first.shape[1] * _WIDTH)).exp()


def _solve(kernel: Tensor, targets: Tensor, penalty: float) -> Tensor:
    return torch.linalg.solve(kernel + penalty * torch.eye(len(kernel)).to(kernel), targets)


def _unseen_error(kernel: Tensor, target: Tensor, penalty: float, gap: int) -> float:
    """Sum of the squared errors of (T,) in parts that are predicted from the others; without others as 0."""
    frames, total = torch.arange(len(target)), 0.0
    for part in frames.tensor_split(min(_FOLDS, len(frames))):
        rest = frames[(frames < part[0] - gap) | (frames > part[-1] + gap)]
        known = kernel[part][:, rest] @ _solve(kernel[rest][:, rest], target[rest], penalty)
        total += float((known - target[part]).square().sum())
    return total
