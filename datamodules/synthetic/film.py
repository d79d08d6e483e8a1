"""The film of an embedded person speaking: an ordinary video file with sound, and the truth beside it."""

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datamodules.synthetic.expressions import ACTIONS, fit_actions
from datamodules.synthetic.paint import paint_room
from datamodules.synthetic.person import Person, draw_person
from datamodules.synthetic.prosody import Motion, move, read_prosody
from datamodules.synthetic.scene import Pose, Scene, head_translation
from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.shading import SAMPLES, shade
from datamodules.synthetic.speech import Speech, fit_length, speak
from datamodules.synthetic.visemes import ARTICULATORS, TONGUE, articulate
from face.camera import Camera
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TEXTURE, TRANSLATION
from face.landmarks import INNER_LIP
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.rasterizers.numba_backend import NumbaRasterizer
from media.errors import InputError
from media.video import FPS
from media.video_writer import VideoWriter
from media.whole_file import whole_file

FRAME_SIZE = 512  # pixels; ours: the face is about 200 wide, as in a web camera
_MIN_SECONDS = 1.0
_RELAXED_LIDS = 0.14  # ours: the face model was drawn with wide eyes
_AHEAD = 4  # frames per worker that may wait to be written; bounds the memory


@dataclass(frozen=True)
class Performance:
    """A speech as the person performs it.

    Attributes:
        speech: What is heard.
        chi: float32 (T, 257), relative to the camera of the whole picture, `Camera(FRAME_SIZE)`.
        motion: Head, eyes and brows.
        mouth: (T, 6) articulators, columns as in `visemes.ARTICULATORS`.
    """

    speech: Speech
    chi: np.ndarray
    motion: Motion
    mouth: np.ndarray


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
    _write_truth(path.with_suffix(".npz"), performance, np.stack(landmarks), seed)


def perform(person: Person, model: MorphableModel, seconds: float) -> Performance:
    """Let a person say sentences for a time.

    Args:
        person: Who.
        model: Face model.
        seconds: How long; the last sentence is cut.
    """
    speech = _speech(person, seconds)
    count = round(seconds * FPS)
    prosody = read_prosody(speech.samples, count)
    rng = np.random.default_rng([person.seed, 5])
    motion = move(speech, prosody, rng, person.liveliness)
    mouth = articulate(speech, count, prosody.loudness)
    actions = np.zeros((count, len(ACTIONS)))
    for name in ARTICULATORS:
        if name in ACTIONS:
            actions[:, ACTIONS.index(name)] = mouth[:, ARTICULATORS.index(name)]
    actions[:, ACTIONS.index("opening")] *= person.diction
    actions[:, ACTIONS.index("lids")] = _RELAXED_LIDS + (1 - _RELAXED_LIDS) * motion.lids
    actions[:, ACTIONS.index("brows")] = 0.5 * motion.brows
    actions[:, ACTIONS.index("smile")] = person.smile
    solution = fit_actions(model)
    actions[:, ACTIONS.index("opening")] -= _rest_opening(person, model, solution)
    chi = np.zeros((count, SIZE), np.float32)
    chi[:, IDENTITY] = person.identity
    chi[:, EXPRESSION] = actions @ solution
    chi[:, TEXTURE] = person.texture
    chi[:, ANGLES] = motion.angles
    chi[:, ILLUMINATION] = person.light.gamma
    chi[:, TRANSLATION] = [
        head_translation(person, angles, lean) for angles, lean in zip(motion.angles, motion.lean, strict=True)
    ]
    return Performance(speech, chi, motion, mouth)


def _rest_opening(person: Person, model: MorphableModel, solution: np.ndarray) -> float:
    """How much of the opening action this person's smiling lips are apart at rest: taken off, closed lips meet."""
    upper, lower = (int(model.landmark_vertices[point]) for point in INNER_LIP)
    identity = torch.from_numpy(person.identity.astype(np.float32))[None]
    expression = np.stack([person.smile * solution[ACTIONS.index("smile")], solution[ACTIONS.index("opening")]])
    faces = model.shape(identity.expand(2, -1), torch.from_numpy(expression.astype(np.float32)))
    neutral = model.shape(identity, torch.zeros(1, expression.shape[1]))[0]
    smiling, opened = (float(face[upper, 1] - face[lower, 1]) for face in faces)
    return smiling / (opened - float(neutral[upper, 1] - neutral[lower, 1]))


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
            waiting.append(pool.submit(_draw, scene, performance, index, backdrop))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()


def _draw(scene: Scene, performance: Performance, index: int, backdrop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    motion = performance.motion
    moment = Pose(
        expression=performance.chi[index, EXPRESSION],
        angles=motion.angles[index],
        lean=motion.lean[index],
        gaze=motion.gaze[index],
        tongue=float(performance.mouth[index, TONGUE]),
    )
    posed, attributes = scene.pose(moment)
    projected = torch.from_numpy(Camera(SAMPLES * FRAME_SIZE).project(posed).astype(np.float32))
    fragments = NumbaRasterizer()(projected[None], torch.from_numpy(scene.triangles), SAMPLES * FRAME_SIZE)
    frame = shade(fragments, scene.triangles, scene.surfaces, attributes, scene.atlas, scene.person.light, backdrop)
    return frame, scene.true_landmarks(posed, Camera(FRAME_SIZE)).astype(np.float32)


def _speech(person: Person, seconds: float) -> Speech:
    """Enough sentences to fill the time."""
    count = int(seconds / 4.0) + 2  # a sentence takes about four seconds
    while True:
        speech = speak(list(itertools.islice(sentences(person.seed), count)), person.voice)
        if speech.duration >= seconds:
            return fit_length(speech, seconds, seed=person.seed)
        count *= 2


def _write_truth(path: Path, performance: Performance, landmarks: np.ndarray, seed: int) -> None:
    phonemes = performance.speech.phonemes
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
            size=np.array(FRAME_SIZE),
            seed=np.array(seed),
        )
