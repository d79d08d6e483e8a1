"""The command that makes the network of `face.mouth_from_sound`, in small."""

from pathlib import Path

import numpy as np
import torch

from datamodules.synthetic.build_mouth_from_sound import build, speech_and_opening
from datamodules.synthetic.speech import Voice, speak_all
from datamodules.synthetic.voices import ACCENTS, VARIANTS
from face.mouth_from_sound import WEIGHTS, MouthFromSound, normalised_log, predicted_opening
from media.mel import mel_power


def test_espeak_knows_every_voice() -> None:
    voices = [*(Voice(accent) for accent in ACCENTS), *(Voice(ACCENTS[0] + variant) for variant in VARIANTS)]
    assert len(speak_all([(["Hello."], voice) for voice in voices])) == len(voices)


def test_a_small_build_learns_and_loads(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    correlation = build(tmp_path / "small.npz", utterances=6, steps=80, seed=3)
    torch.random.set_rng_state(before)
    assert correlation > 0.3
    network = MouthFromSound()
    with np.load(tmp_path / "small.npz") as ours, np.load(WEIGHTS) as shipped:
        assert {name: ours[name].shape for name in ours.files} == {name: shipped[name].shape for name in shipped.files}
        network.load_state_dict({name: torch.from_numpy(ours[name].astype(np.float32)) for name in ours.files})
    (speech, opening) = next(iter(speech_and_opening(1, seed=99)))
    with torch.no_grad():
        heard = network(normalised_log(torch.from_numpy(mel_power(speech.samples))[None]))[0].numpy()
    assert np.corrcoef(heard, opening)[0, 1] > 0.3


def test_shipped_weights_know_a_voice_they_never_heard() -> None:
    (speech, opening) = next(iter(speech_and_opening(1, seed=1234)))
    assert np.corrcoef(predicted_opening(speech.samples), opening)[0, 1] > 0.75
