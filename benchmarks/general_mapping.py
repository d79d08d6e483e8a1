"""Does a general first stage help a real person? Scratch against fine-tuned, on the held-out part of each video.

    python benchmarks/general_mapping.py --video VIDEO [--video VIDEO ...] --general NAME=RUN [--general NAME=RUN ...]

Every video is learned from as `experiment=personal` does, by its first stage alone: from scratch, from the weights that
come with the project, and from each general run (`experiment=audio2pose_general`). What the held-out sound gives is
compared with the tracked face, without rendering: openings of the mouth by correlation, 20 mouth points under the true
pose by LMD, and the angles of the training frames that are played behind the face by HS.
"""

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.clip import Clip
from datamodules.prepare import prepare_video
from evaluation.head_pose import head_pose_similarity
from evaluation.intervals import mean
from evaluation.landmark_distance import landmark_distance
from experiments.callbacks import last_checkpoint
from experiments.fit import fit_audio2pose, make_audio2pose, person_statistics
from experiments.parents import start_from_parent
from experiments.settings import GENERAL, compose
from face.assets import cache_folder
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, TRANSLATION, get_pose
from face.landmarks import mouth_opening
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from lightning_modules.audio2pose import Audio2PoseLSTM
from synthesis.background import follow_pose, with_amplitude
from synthesis.listening import listen

COLUMNS = ("mouth_correlation", "unseen", "lmd_iod", "hs", "seconds")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", action="append", required=True, type=Path, help="of one person, with sound")
    parser.add_argument("--general", action="append", default=[], help="NAME=RUN, a general run of stage 1")
    parser.add_argument("--seeds", type=int, default=3, help="default 3")
    parser.add_argument("settings", nargs="*", help="further settings of experiment=personal, key=value")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    starts = {"scratch": "null", "shipped": GENERAL} | dict(text.split("=", 1) for text in options.general)
    table: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in starts}
    for video in options.video:
        clip = prepare_video(video, cache_folder() / "clips")
        print(f"{video.stem}: {len(clip)} frames, sound moved by {clip.audio_offset} frames", flush=True)
        for name, run in starts.items():
            rows = [_judge(clip, video, run, seed, options.settings) for seed in range(options.seeds)]
            table[name][video.stem] = rows
            print(f"  {name:16s} {_line(rows)}", flush=True)
    print(_markdown(table))


def _judge(clip: Clip, video: Path, start: str, seed: int, extra: list[str]) -> dict[str, float]:
    """Fit one seed and measure it; `unseen` is the general start before it has seen the person."""
    parent = f"init_from_audio2pose={start}"
    settings = compose(
        ["experiment=personal", f"data.video={video}", "wandb.mode=disabled", f"seed={seed}", parent, *extra]
    )
    measured = {"unseen": float("nan")}
    with tempfile.TemporaryDirectory() as place:
        if start != "null":
            model = load_face_model()
            general = make_audio2pose(settings, model, person_statistics(clip, model))
            start_from_parent(general, settings, Path(place), "audio2pose")
            measured["unseen"] = measure(general, clip)["mouth_correlation"]
        began = time.perf_counter()
        fit_audio2pose(settings, Path(place), clip)
        measured["seconds"] = time.perf_counter() - began
        module = Audio2PoseLSTM.load_from_checkpoint(str(last_checkpoint(Path(place), "audio2pose")))
    return measured | measure(module, clip)


def measure(module: Audio2PoseLSTM, clip: Clip) -> dict[str, float]:
    """What a first stage makes of the held-out sound, against the tracked face."""
    part, model = clip.heldout, load_face_model()
    motion = listen(module.eval(), clip.sound(part))
    chi, tracked = torch.from_numpy(clip.coefficients[part]), clip.landmarks[part]
    opening = motion.expression @ mouth_opening_map(model)
    made, true = (
        _key_points(clip, chi, expression) for expression in (torch.from_numpy(motion.expression), chi[:, EXPRESSION])
    )
    filmed = get_pose(clip.coefficients[clip.training])[:, :3]
    played = filmed[follow_pose(with_amplitude(motion.pose[:, :3], filmed), filmed)]
    angles = [torch.rad2deg(values) for values in (torch.from_numpy(played), chi[:, ANGLES])]
    return {
        "mouth_correlation": float(np.corrcoef(opening, mouth_opening(tracked))[0, 1]),
        "lmd_iod": float(landmark_distance(made, true).mean()),
        "hs": float(head_pose_similarity(*angles)["hs"]),
    }


def _key_points(clip: Clip, chi: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
    """(T, 68, 2) pixels of the crop, of the true face with some expressions (T, 64)."""
    model = load_face_model()
    shape = model.shape(chi[:, IDENTITY], expression)[:, model.key_point_vertices]
    return Camera(clip.crop.size).project(pose_vertices(shape, chi[:, ANGLES], chi[:, TRANSLATION]))[..., :2]


def _line(rows: list[dict[str, float]]) -> str:
    return "  ".join(f"{column} {np.mean([row[column] for row in rows]):.3f}" for column in COLUMNS)


def _markdown(table: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """One line per start: each video's correlation, then means over videos and seeds with 95 % bootstrap intervals."""
    videos = list(next(iter(table.values())))
    lines = [
        f"| start | {' | '.join(videos)} | {' | '.join(COLUMNS)} |",
        "|---" * (1 + len(videos) + len(COLUMNS)) + "|",
    ]
    for name, results in table.items():
        cells = [f"{np.mean([row['mouth_correlation'] for row in results[video]]):.2f}" for video in videos]
        rows = [row for video in videos for row in results[video]]
        lines.append(f"| {name} | {' | '.join(cells)} | {' | '.join(_interval(rows, column) for column in COLUMNS)} |")
    return "\n".join(lines)


def _interval(rows: list[dict[str, Any]], column: str) -> str:
    found = mean([row[column] for row in rows])
    if not found.n:
        return ""
    return f"{found.value:.3g}" + (f" [{found.low:.3g}, {found.high:.3g}]" if found.n > 1 else "")


if __name__ == "__main__":
    main()
