"""The audio encoder E of Eq. 1: one 280 ms window of MFCC to one feature."""

from torch import Tensor, nn

ROWS, COLUMNS = 28, 12  # of a window: 7 frames of 4 rows, 12 coefficients (original code)
NORMALISATIONS = ("group", "batch")
_GROUPS = 8  # ours: of GroupNorm


class CompactEncoder(nn.Module):
    """Three convolutions and a linear layer: enough for the 300 frames of one person, a minute of training on a CPU.

    Args:
        channels: Of the first convolution; the others have twice as many.
        feature_size: Numbers of the feature.
        dropout: Before the linear layer.
        normalisation: `group`, or `batch` as in the original code.
    """

    def __init__(self, channels: int, feature_size: int, dropout: float, normalisation: str = "group"):
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(1, channels, normalisation),
            *_convolution(channels, 2 * channels, normalisation, stride=(2, 1)),
            *_convolution(2 * channels, 2 * channels, normalisation, stride=(2, 2)),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels * (ROWS // 4) * (COLUMNS // 2), feature_size),
            nn.ReLU(),
        )

    def forward(self, windows: Tensor) -> Tensor:
        """(B, 28, 12) -> (B, feature_size)."""
        features: Tensor = self.layers(windows.unsqueeze(1))
        return features


class WideEncoder(nn.Module):
    """The encoder of the original code: five convolutions, two poolings, two linear layers; 28 million parameters.

    Args:
        channels: Of the first convolution (original code: 64); the others have 2, 4, 4 and 8 times as many.
        feature_size: Numbers of the feature (original code: 256); the layer before has 8 times as many.
        dropout: Before each linear layer (original code: none).
        normalisation: `group`, or `batch` as in the original code.
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
        """(B, 28, 12) -> (B, feature_size)."""
        features: Tensor = self.layers(windows.unsqueeze(1))
        return features


AUDIO_ENCODERS: dict[str, type[CompactEncoder] | type[WideEncoder]] = {"compact": CompactEncoder, "wide": WideEncoder}


def _convolution(inputs: int, outputs: int, normalisation: str, stride: tuple[int, int] = (1, 1)) -> list[nn.Module]:
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"unknown normalisation '{normalisation}': expected one of {', '.join(NORMALISATIONS)}")
    norm = nn.BatchNorm2d(outputs) if normalisation == "batch" else nn.GroupNorm(min(_GROUPS, outputs), outputs)
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), norm, nn.ReLU()]
