"""The recurrent network R around the audio encoder E (Eq. 1)."""

from torch import Tensor, nn

from lightning_modules.networks.audio_encoder import AUDIO_ENCODERS

State = tuple[Tensor, Tensor]  # h and c of the LSTM, each (layers, B, hidden_size)


class RecurrentMapping(nn.Module):
    """[y(t), h(t), c(t)] = R(E(s(t)), h(t-1), c(t-1)).

    Args:
        outputs: Numbers per frame.
        encoder: Key of `AUDIO_ENCODERS`.
        encoder_channels: Width of the encoder's first convolution.
        feature_size: Numbers of the encoder's feature.
        hidden_size: Of the LSTM.
        layers: Of the LSTM.
        dropout: In the encoder, and between LSTM layers.
        normalisation: Of the encoder, one of `NORMALISATIONS`.
    """

    def __init__(
        self,
        outputs: int,
        *,
        encoder: str,
        encoder_channels: int,
        feature_size: int,
        hidden_size: int,
        layers: int,
        dropout: float,
        normalisation: str,
    ):
        super().__init__()
        if encoder not in AUDIO_ENCODERS:
            raise ValueError(f"unknown encoder '{encoder}': expected one of {', '.join(AUDIO_ENCODERS)}")
        self.encoder = AUDIO_ENCODERS[encoder](encoder_channels, feature_size, dropout, normalisation)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(feature_size, hidden_size, layers, batch_first=True, dropout=between)
        self.head = nn.Linear(hidden_size, outputs)
        # starts at the mean face and pose
        nn.init.normal_(self.head.weight, 0.0, 0.02)  # original code
        nn.init.zeros_(self.head.bias)

    def forward(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised windows (B, T, 28, 12) of consecutive frames -> (B, T, outputs) and the last frame's state."""
        hidden, state = self.lstm(self.encoder(mfcc), state)
        outputs: Tensor = self.head(hidden)
        return outputs, state
