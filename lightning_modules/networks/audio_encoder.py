"""The audio encoder E of Eq. 1: 280 ms windows of MFCC, one per frame, to one feature each."""

import torch
from torch import Tensor, nn

ROWS, COLUMNS = 28, 12  # of a window: 7 frames of 4 rows, 12 coefficients (original code)
_NEW_ROWS = 4  # of a window, that the one of the frame before does not have (original code)
NORMALISATIONS = ("layer", "group", "batch")
_GROUPS = 8  # ours: of GroupNorm


class PositionNorm(nn.Module):
    """Normalises over channels, at every time and coefficient on its own, so that no position knows of another.

    Args:
        channels: Of the input.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels, 1, 1)), nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        centred = x - x.mean(1, keepdim=True)
        return centred * (centred.square().mean(1, keepdim=True) + 1e-5).rsqrt() * self.weight + self.bias


class CompactEncoder(nn.Module):
    """Three convolutions and a linear layer: enough for the 300 frames of one person, seconds of training on a CPU.

    Windows of neighbouring frames share 24 of their 28 rows. The convolutions do not reach beyond a window and
    normalise every position on its own, so they are done once per row instead of seven times, with the same result.

    Args:
        channels: Of the first convolution; the others have twice as many.
        feature_size: Numbers of the feature.
        dropout: Before the linear layer.
        normalisation: `layer`, or `batch` as in the original code.

    Raises:
        ValueError: `group`, whose statistics would mix the windows.
    """

    def __init__(self, channels: int, feature_size: int, dropout: float, normalisation: str = "layer"):
        super().__init__()
        if normalisation == "group":
            raise ValueError(
                "encoder=compact shares rows between windows: normalisation=group would mix them, use layer"
            )
        self.convolutions = nn.Sequential(
            *_convolution(1, channels, normalisation, padding=(0, 1)),
            *_convolution(channels, 2 * channels, normalisation, stride=(2, 1), padding=(0, 1)),
            *_convolution(2 * channels, 2 * channels, normalisation, stride=(2, 2), padding=(0, 1)),
        )
        self._steps = 5  # positions in time that see one window: 28 rows, then 26, 12, 5
        self.feature = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * channels * self._steps * COLUMNS // 2, feature_size), nn.ReLU()
        )

    def forward(self, windows: Tensor) -> Tensor:
        """(B, T, 28, 12) windows of T consecutive frames -> (B, T, feature_size)."""
        rows = torch.cat([windows[:, 0], windows[:, 1:, -_NEW_ROWS:].flatten(1, 2)], 1)
        maps = self.convolutions(rows.unsqueeze(1))  # (B, C, T + 4, 6)
        features: Tensor = self.feature(maps.unfold(2, self._steps, 1).transpose(1, 2).flatten(2))
        return features


class WideEncoder(nn.Module):
    """The encoder of the original code: five convolutions, two poolings, two linear layers; 28 million parameters.

    Args:
        channels: Of the first convolution (original code: 64); the others have 2, 4, 4 and 8 times as many.
        feature_size: Numbers of the feature (original code: 256); the layer before has 8 times as many.
        dropout: Before each linear layer (original code: none).
        normalisation: `layer`, `group`, or `batch` as in the original code.
    """

    def __init__(self, channels: int, feature_size: int, dropout: float, normalisation: str = "group"):
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(1, channels, normalisation),
            *_convolution(channels, 2 * channels, normalisation),
            nn.MaxPool2d(3, (1, 2)),
            *_convolution(2 * channels, 4 * channels, normalisation),
            *_convolution(4 * channels, 4 * channels, normalisation),
            *_convolution(4 * channels, 8 * channels, normalisation),
            nn.MaxPool2d(3, (2, 2)),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(8 * channels * 12 * 2, 8 * feature_size),  # 28 x 12 is 12 x 2 after both poolings
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8 * feature_size, feature_size),
            nn.ReLU(),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """(B, T, 28, 12) -> (B, T, feature_size); each window on its own."""
        features: Tensor = self.layers(windows.flatten(0, 1).unsqueeze(1))
        return features.unflatten(0, windows.shape[:2])


AUDIO_ENCODERS: dict[str, type[CompactEncoder] | type[WideEncoder]] = {"compact": CompactEncoder, "wide": WideEncoder}


def _convolution(
    inputs: int,
    outputs: int,
    normalisation: str,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (1, 1),
) -> list[nn.Module]:
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"unknown normalisation '{normalisation}': expected one of {', '.join(NORMALISATIONS)}")
    norms = {
        "layer": lambda: PositionNorm(outputs),
        "group": lambda: nn.GroupNorm(min(_GROUPS, outputs), outputs),
        "batch": lambda: nn.BatchNorm2d(outputs),
    }
    return [nn.Conv2d(inputs, outputs, 3, stride, padding, bias=False), norms[normalisation](), nn.ReLU()]
