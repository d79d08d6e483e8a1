"""Train the network of `face.mouth_from_sound` on espeak-ng speech and the articulation that goes with it.

    python -m datamodules.synthetic.build_mouth_from_sound OUT.npz

Makes 400 utterances of 24 s in as many voices, pitches and speeds as espeak-ng has in English (three minutes), then
trains for two minutes on two cores. The network must work for people, so the spectra are warped, echoed and drowned in
noise on the way: of what a synthetic voice sounds like, only what tells the mouth should be left.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from datamodules.synthetic.prosody import read_prosody
from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.speech import Speech, Voice, fit_length, speak_all
from datamodules.synthetic.visemes import OPENING, PRESS, articulate
from datamodules.synthetic.voices import ACCENTS, VARIANTS
from face.mouth_from_sound import WEIGHTS, MouthFromSound, normalised_log
from media.errors import InputError
from media.mel import BANDS, ROWS_PER_FRAME, mel_power
from media.video import FPS
from media.whole_file import whole_file

UTTERANCES = 400  # ours: with 268 the correlation on real mouths was the same within 0.02
STEPS = 1500  # ours: on real mouths the correlation no longer grows after 500, on unseen espeak-ng voices after 1,500
_SECONDS = 24.0
_TOGETHER = 40  # utterances of one espeak-ng process
_BATCH, _LENGTH = 16, 150  # samples and their frames
_RATE = 3e-3
_PRESSED = 0.3  # of the opening that pressed lips take away


def build(output: Path, utterances: int = UTTERANCES, steps: int = STEPS, seed: int = 0) -> float:
    """Make speech, train, and write the weights as float16.

    Args:
        output: File to write.
        utterances: How many to learn from.
        steps: Of training.
        seed: Of everything.

    Returns:
        Mean correlation of the last 50 steps' batches.

    Raises:
        InputError: espeak-ng fails, the file cannot be written, or the training diverges.
    """
    spoken = [
        (torch.from_numpy(mel_power(s.samples)), torch.from_numpy(o)) for s, o in speech_and_opening(utterances, seed)
    ]
    network, correlation = train(spoken, steps, seed)
    if not np.isfinite(correlation):
        raise InputError("mouth from sound: the training diverged; nothing was written")
    arrays = {name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()}
    with whole_file(output) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    return correlation


def speech_and_opening(utterances: int, seed: int) -> Iterator[tuple[Speech, np.ndarray]]:
    """Speech of many voices with the opening of the mouth, float32 (600,), that goes with it."""
    rng = np.random.default_rng([seed, 11])
    bar = tqdm(total=utterances, desc="speaking", unit="utterance")
    for first in range(0, utterances, _TOGETHER):
        numbers = range(first, min(first + _TOGETHER, utterances))
        requests = [(list(itertools.islice(sentences(10_000 + seed + k), 11)), _voice(rng)) for k in numbers]
        for speech in speak_all(requests):
            fitted = fit_length(speech, min(_SECONDS, int(speech.duration * FPS) / FPS), seed=seed)
            frames = round(fitted.duration * FPS)
            mouth = articulate(fitted, frames, read_prosody(fitted.samples, frames).loudness)
            bar.update()
            yield fitted, (mouth[:, OPENING] - _PRESSED * mouth[:, PRESS]).astype(np.float32)


def train(spoken: list[tuple[Tensor, Tensor]], steps: int, seed: int) -> tuple[MouthFromSound, float]:
    """Train on (4 T, 40) mel power and (T,) openings; gives the network and its last correlation."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 12])
    network = MouthFromSound()
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, steps)
    recent: list[float] = []
    for _ in tqdm(range(steps), desc="training", unit="step"):
        spectra, openings = _batch(spoken, rng)
        correlation = _correlation(network(normalised_log(_heard_elsewhere(spectra))), openings).mean()
        optimizer.zero_grad()
        (1 - correlation).backward()
        optimizer.step()
        schedule.step()
        recent.append(correlation.item())
    return network.eval(), float(np.mean(recent[-50:]))


def _voice(rng: np.random.Generator) -> Voice:
    name = str(rng.choice(ACCENTS)) + str(rng.choice(VARIANTS))
    return Voice(name, int(rng.integers(130, 215)), int(rng.integers(20, 85)), int(rng.integers(30, 90)))


def _batch(spoken: list[tuple[Tensor, Tensor]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    spectra, openings = [], []
    for index in rng.integers(0, len(spoken), _BATCH):
        power, opening = spoken[index]
        start = int(rng.integers(0, len(opening) - _LENGTH + 1))
        spectra.append(power[ROWS_PER_FRAME * start : ROWS_PER_FRAME * (start + _LENGTH)])
        openings.append(opening[start : start + _LENGTH])
    return torch.stack(spectra), torch.stack(openings)


def _heard_elsewhere(power: Tensor) -> Tensor:
    """Other vocal tracts, rooms, microphones and noises for (B, R, 40) mel power."""
    batch = len(power)
    power = _warped(power, torch.empty(batch).uniform_(0.8, 1.2))
    level = power.mean(dim=(1, 2), keepdim=True)
    power = _echoed(power)
    colour = torch.exp(0.25 * torch.randn(batch, 1, BANDS).cumsum(-1))
    noise = level * 10 ** -torch.empty(batch, 1, 1).uniform_(1, 5) * colour / colour.mean(-1, keepdim=True)
    power = power + noise * -torch.log(torch.rand(power.shape).clamp_min(0.02))  # the power of noise is distributed so
    babble = (torch.rand(batch, 1, 1) < 0.3) * 10 ** -torch.empty(batch, 1, 1).uniform_(1, 3)
    return power + babble * power.roll(1, 0)


def _warped(power: Tensor, factors: Tensor) -> Tensor:
    """Formants moved along the mel axis, as by shorter and longer vocal tracts."""
    places = (torch.arange(BANDS) * factors[:, None]).clamp(0, BANDS - 1)
    below = places.floor().long().clamp(max=BANDS - 2)
    share = (places - below)[:, None]
    rows = power.shape[1]
    lower, upper = (power.gather(2, index[:, None].expand(-1, rows, -1)) for index in (below, below + 1))
    return lower * (1 - share) + upper * share


def _echoed(power: Tensor, longest: int = 40) -> Tensor:
    """Power that lingers for up to 0.4 s."""
    batch = len(power)
    decay = torch.exp(-torch.arange(longest) / torch.empty(batch, 1).uniform_(1, 12))
    kernel = decay / decay.sum(1, keepdim=True) * (0.5 * torch.rand(batch, 1) * (torch.rand(batch, 1) < 0.6))
    kernel[:, 0] += 1
    padded = functional.pad(power.permute(2, 0, 1), (longest - 1, 0))
    return functional.conv1d(padded, kernel.flip(1)[:, None], groups=batch).permute(1, 2, 0)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = (values - values.mean(-1, keepdim=True) for values in (first, second))
    return (first * second).sum(-1) / (first.norm(dim=-1) * second.norm(dim=-1) + 1e-6)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m datamodules.synthetic.build_mouth_from_sound", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=WEIGHTS, help="file to write (default: the project's own)")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, help=f"default {UTTERANCES}")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}")
    arguments = parser.parse_args()
    try:
        print(f"correlation {build(arguments.out, arguments.utterances, arguments.steps):.3f}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
