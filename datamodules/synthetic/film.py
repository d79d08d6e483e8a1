"""The film of an embedded person speaking: an ordinary video file with sound, and the truth beside it."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datamodules.synthetic.paint import paint_room
from datamodules.synthetic.performance import Performance, perform
from datamodules.synthetic.person import draw_person
from datamodules.synthetic.scene import Pose, Scene
from datamodules.synthetic.shading import shade
from datamodules.synthetic.shading_loops import SAMPLES
from datamodules.synthetic.visemes import TONGUE
from face.camera import Camera
from face.coefficients import EXPRESSION
from face.models.registry import load_face_model
from face.rasterizers.numba_backend import NumbaRasterizer
from media.errors import InputError
from media.video_writer import VideoWriter
from media.whole_file import whole_file

FRAME_SIZE = 512  # pixels; ours: the face is about 200 wide, as in a web camera
_MIN_SECONDS = 1.0
_AHEAD = 4  # frames per worker that may wait to be written; bounds the memory


def make_person_film(path: str | Path, seconds: float = 45.0, seed: int = 0, progress: bool = False) -> None:
    """Film an embedded person speaking.

    Writes the video (512x512, 25 frames/s, sound) and, beside it with the ending .npz, the truth: `chi` (T, 257)
    relative to the camera of the whole picture (`Camera(512)`, no crop), `landmarks` (T, 468, 3) in pixels of the
    picture, `lids` (T,), per phoneme `phonemes`, `starts`, `ends` (seconds) and `stress`, then `text`, `size`, `seed`.
    The same seed gives the same samples and frames.

    Args:
        path: Video to write.
        seconds: Length, at least 1.
        seed: Decides the person, the words and the movements.
        progress: Whether to show a bar.

    Raises:
        InputError: The film is too short, espeak-ng fails, or the file cannot be written.
    """
    if not seconds >= _MIN_SECONDS:
        raise InputError(f"seconds is {seconds}: an embedded film lasts at least {_MIN_SECONDS:.0f} s")
    path = Path(path)
    person, model = draw_person(seed), load_face_model()
    performance = perform(person, model, seconds)
    scene = Scene(person, model)
    landmarks = []
    with VideoWriter(path, FRAME_SIZE, FRAME_SIZE, audio=performance.speech.samples) as writer:
        frames = render(scene, performance)
        for frame, points in tqdm(
            frames, total=len(performance.chi), desc="embedded person", unit="frame", disable=not progress
        ):
            writer.write(frame)
            landmarks.append(points)
    write_truth(path.with_suffix(".npz"), performance, np.stack(landmarks), {"size": FRAME_SIZE, "seed": seed})


def render(scene: Scene, performance: Performance) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw the frames of a performance in order, several at a time.

    Args:
        scene: The person.
        performance: What to draw.

    Yields:
        uint8 (512, 512, 3) frame and its true landmarks (468, 3).
    """
    backdrop = paint_room(FRAME_SIZE, np.random.default_rng([scene.person.seed, 6]))
    workers = max(1, min(os.cpu_count() or 1, 4))
    waiting: list[Future[tuple[np.ndarray, np.ndarray]]] = []
    with ThreadPoolExecutor(workers) as pool:
        for index in range(len(performance.chi)):
            waiting.append(pool.submit(draw_frame, scene, performance, index, backdrop))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()


def draw_frame(
    scene: Scene, performance: Performance, index: int, backdrop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one frame of a performance.

    Args:
        scene: The person.
        performance: What to draw.
        index: Of the frame.
        backdrop: float32 (size, size, 3) in [0, 1] what is behind the person; decides the size of the frame.

    Returns:
        uint8 (size, size, 3) frame and its true landmarks, float32 (468, 3).
    """
    motion, size = performance.motion, len(backdrop)
    moment = Pose(
        expression=performance.chi[index, EXPRESSION],
        angles=motion.angles[index],
        lean=motion.lean[index],
        gaze=motion.gaze[index],
        tongue=float(performance.mouth[index, TONGUE]),
    )
    posed, attributes = scene.pose(moment)
    projected = torch.from_numpy(Camera(SAMPLES * size).project(posed).astype(np.float32))
    fragments = NumbaRasterizer()(projected[None], torch.from_numpy(scene.triangles), SAMPLES * size)
    frame = shade(fragments, scene.triangles, scene.surfaces, attributes, scene.atlas, scene.person.light, backdrop)
    return frame, scene.true_landmarks(posed, Camera(size)).astype(np.float32)


def write_truth(path: Path, performance: Performance, landmarks: np.ndarray, facts: dict[str, Any]) -> None:
    """Write what is known of a film beside it.

    Args:
        path: File to write, .npz.
        performance: What was filmed.
        landmarks: (T, 468, 3) in pixels.
        facts: More entries of the file: numbers and texts.
    """
    phonemes = performance.speech.phonemes
    more: dict[str, Any] = {name: np.array(value) for name, value in facts.items()}
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            chi=performance.chi,
            landmarks=landmarks,
            lids=performance.motion.lids.astype(np.float32),
            phonemes=np.array([phoneme.name for phoneme in phonemes]),
            starts=np.array([phoneme.start for phoneme in phonemes]),
            ends=np.array([phoneme.end for phoneme in phonemes]),
            stress=np.array([phoneme.stress for phoneme in phonemes]),
            text=np.array(performance.speech.text),
            **more,
        )
