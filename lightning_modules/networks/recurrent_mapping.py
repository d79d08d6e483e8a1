"""The recurrent network R around the audio encoder E (Eq. 1)."""

import torch
from torch import Tensor, nn

from lightning_modules.networks.audio_encoder import AUDIO_ENCODERS

State = tuple[Tensor, Tensor]  # h and c of the LSTM, each (layers, B, hidden_size)


class RecurrentMapping(nn.Module):
    """[y(t), h(t), c(t)] = R(E(s(t)), h(t-1), c(t-1)).

    A mouth opens before it is heard. With `lookahead` k the output for frame t is read after frame t + k was heard (the
    target delay of Graves and Schmidhuber 2005, and of Suwajanakorn et al. 2017 for this very task).

    Args:
        outputs: Numbers per frame.
        encoder: Key of `AUDIO_ENCODERS`.
        encoder_channels: Width of the encoder's first convolution.
        feature_size: Numbers of the encoder's feature.
        hidden_size: Of the LSTM.
        layers: Of the LSTM.
        dropout: In the encoder, and between LSTM layers.
        normalisation: Of the encoder, one of `NORMALISATIONS`.
        lookahead: Frames heard before an output is due.
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
        lookahead: int = 0,
    ):
        super().__init__()
        if lookahead < 0:
            raise ValueError(f"lookahead counts frames, got {lookahead}")
        if encoder not in AUDIO_ENCODERS:
            raise ValueError(f"unknown encoder '{encoder}': expected one of {', '.join(AUDIO_ENCODERS)}")
        self.encoder = AUDIO_ENCODERS[encoder](encoder_channels, feature_size, dropout, normalisation)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(feature_size, hidden_size, layers, batch_first=True, dropout=between)
        self.head = nn.Linear(hidden_size, outputs)
        self.lookahead = lookahead
        # starts at the mean face and pose
        nn.init.normal_(self.head.weight, 0.0, 0.02)  # original code
        nn.init.zeros_(self.head.bias)

    def forward(self, mfcc: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised windows (B, T, 28, 12) of consecutive frames -> (B, T, outputs) and the last frame's state.

        Raises:
            ValueError: A piece of an utterance, to a network that looks ahead: its last frames need the next piece.
        """
        if self.lookahead and state is not None:
            raise ValueError("a network with lookahead takes whole utterances: give all of it at once, without a state")
        features = self.encoder(mfcc)
        # what follows the end sounds like the end
        after = features[:, -1:].expand(-1, self.lookahead, -1)
        hidden, state = self.lstm(torch.cat([features, after], 1), state)
        outputs: Tensor = self.head(hidden[:, self.lookahead :])
        return outputs, state
