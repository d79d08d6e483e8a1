"""How well the person's own video can be played behind a generated head movement: what of the movement is left.

    python benchmarks/backgrounds.py VIDEO [VIDEO ...] [--seeds 2]

The first stage learns each person as `experiment=personal` does, and the pose that the held-out sound gives is placed
on the training part in several ways. Nothing is rendered: angles are compared with the tracked ones of the held-out
part.
"""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch

from datamodules.clip import Clip
from datamodules.prepare import prepare_video
from evaluation.head_motion import head_motion_ratio
from evaluation.head_pose import head_pose_similarity
from experiments.callbacks import last_checkpoint
from experiments.fit import fit_audio2pose
from experiments.settings import compose
from face.assets import cache_folder
from face.coefficients import get_pose
from lightning_modules.audio2pose import Audio2PoseLSTM
from synthesis.background import follow_pose, match_background, with_amplitude
from synthesis.listening import listen

COLUMNS = ("hs", "head motion", "velocity", "follows", "stands")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="+", type=Path, help="of one person, with sound")
    parser.add_argument("--seeds", type=int, default=2, help="default 2")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    rows: dict[str, list[list[float]]] = {}
    for video in options.video:
        clip = prepare_video(video, cache_folder() / "clips")
        for seed in range(options.seeds):
            for name, values in _measured(clip, _predicted_angles(clip, video, seed)).items():
                rows.setdefault(name, []).append(values)
    print(f"| {len(options.video)} people, {options.seeds} seeds | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in np.mean(values, axis=0))} |")


def _predicted_angles(clip: Clip, video: Path, seed: int) -> np.ndarray:
    settings = compose(["experiment=personal", f"data.video={video}", "wandb.mode=disabled", f"seed={seed}"])
    with tempfile.TemporaryDirectory() as place:
        fit_audio2pose(settings, Path(place), clip)
        module = Audio2PoseLSTM.load_from_checkpoint(str(last_checkpoint(Path(place), "audio2pose")))
    return listen(module.eval(), clip.sound(clip.heldout)).pose[:, :3]


def _measured(clip: Clip, predicted: np.ndarray) -> dict[str, list[float]]:
    """`COLUMNS` of every way to place a movement."""
    filmed, true = (get_pose(clip.coefficients[part])[:, :3] for part in (clip.training, clip.heldout))
    wanted = with_amplitude(predicted, filmed)
    keyed, path = match_background(wanted, filmed).source_frames, follow_pose(wanted, filmed)
    back_and_forth = np.abs((np.arange(len(true)) + len(filmed) - 1) % (2 * len(filmed) - 2) - len(filmed) + 1)
    return {
        "as predicted": _row(predicted, true, wanted),
        "with the amplitude of the video": _row(wanted, true, wanted),
        "on key frames": _row(filmed[keyed], true, wanted, keyed),
        "on the best path": _row(filmed[path], true, wanted, path),
        "the video back and forth": _row(filmed[back_and_forth], true, wanted, back_and_forth),
    }


def _row(angles: np.ndarray, true: np.ndarray, wanted: np.ndarray, source: np.ndarray | None = None) -> list[float]:
    degrees = [torch.from_numpy(np.degrees(values)).float() for values in (angles, true)]
    speed = [float(values.diff(dim=0).square().mean().sqrt()) for values in degrees]
    return [
        float(head_pose_similarity(*degrees)["hs"]),
        float(head_motion_ratio(*degrees)),
        speed[0] / speed[1],
        float(np.mean([np.corrcoef(mine, its)[0, 1] for mine, its in zip(angles.T, wanted.T, strict=True)])),
        float((np.diff(source) == 0).mean()) if source is not None else 0.0,
    ]


if __name__ == "__main__":
    main()
