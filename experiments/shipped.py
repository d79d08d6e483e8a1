"""The general first stage that comes with the project: made of embedded speech alone, so its weights are our own.

    python -m datamodules.synthetic spoken SPOKEN
    python -m experiments.run experiment=audio2pose_general data.root=SPOKEN data.layout=prepared
    python -m experiments.shipped runs/RUN_ID

`init_from_audio2pose=general` starts from it, as `experiment=personal` does; `null` starts from scratch.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evaluation.run_files import flatten
from experiments.callbacks import last_checkpoint
from experiments.settings import GENERAL_WEIGHTS, load_settings
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.motion import EXPRESSION_SIZE
from lightning_modules.networks.ensemble import members_of
from media.errors import InputError
from media.whole_file import whole_file

_SETTINGS = "settings"  # of the network, as JSON, beside its weights
_FACE_MODEL = "facemesh"  # whose expressions the weights know
_SHAPES = ("encoder", "encoder_channels", "feature_size", "hidden_size", "layers", "normalisation")


def load_shipped(module: Audio2PoseLSTM, settings: dict[str, Any]) -> None:
    """Give the first member of a fresh first stage the weights that come with the project; the person's scales stay.

    So do the outputs for the head pose: embedded heads nod to rules of their own, which nobody else should inherit
    [HS of three people 0.77 with them, 0.83 from scratch].

    Raises:
        InputError: If its network is of another shape.
    """
    require_shipped_network(settings)
    with np.load(GENERAL_WEIGHTS) as arrays:
        weights = {
            name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files if name != _SETTINGS
        }
    network = members_of(module.network)[0]
    fresh = network.state_dict()
    for name in ("head.weight", "head.bias"):
        weights[name][EXPRESSION_SIZE:] = fresh[name][EXPRESSION_SIZE:]
    network.load_state_dict(weights)
    if module.average is not None:
        members_of(module.average)[0].load_state_dict(weights)


def require_shipped_network(settings: dict[str, Any]) -> None:
    """Refuse settings that the weights do not fit.

    Raises:
        InputError: If the network is of another shape, or the expressions of another face model.
    """
    with np.load(GENERAL_WEIGHTS) as arrays:
        theirs: dict[str, Any] = json.loads(str(arrays[_SETTINGS]))
    unlike = [f"audio2pose.{key}={value}" for key, value in theirs.items() if settings["audio2pose"][key] != value]
    if settings["face"]["model"] != _FACE_MODEL:
        unlike.append(f"face.model={_FACE_MODEL}")
    if unlike:
        raise InputError(
            "init_from_audio2pose=general: the weights that come with the project are of another network; add "
            f"init_from_audio2pose=null to start from scratch, or {' '.join(unlike)}"
        )


def ship(run: Path, output: Path = GENERAL_WEIGHTS) -> Path:
    """Write the weights of a general run in half precision.

    Args:
        run: Folder of a finished run of `experiment=audio2pose_general`.
        output: File to write.

    Raises:
        InputError: If the run has no first stage.
    """
    path = last_checkpoint(run, "audio2pose")
    if path is None:
        raise InputError(
            f"{run}: has no checkpoint of audio2pose; give a finished run of experiment=audio2pose_general"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    kept = "average." if any(name.startswith("average.") for name in state) else "network."  # what is used at test
    weights = {name.removeprefix(kept): value for name, value in state.items() if name.startswith(kept)}
    chosen = flatten(load_settings(run))
    facts = {key: chosen[f"audio2pose.{key}"] for key in _SHAPES}
    arrays: dict[str, Any] = {name: value.numpy().astype(np.float16) for name, value in weights.items()}
    with whole_file(output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays | {_SETTINGS: np.array(json.dumps(facts))})
    return output


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.shipped", description="Ship a general first stage.")
    parser.add_argument("run", type=Path, help="folder of a finished run of experiment=audio2pose_general")
    parser.add_argument("out", type=Path, nargs="?", default=GENERAL_WEIGHTS, help="file (default: the project's own)")
    arguments = parser.parse_args()
    try:
        print(ship(arguments.run, arguments.out))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
