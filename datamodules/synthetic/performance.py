"""What an embedded person does while speaking, as coefficients: sound and truth, before anything is drawn."""

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from datamodules.synthetic.expressions import ACTIONS, fit_actions
from datamodules.synthetic.person import Person
from datamodules.synthetic.prosody import Motion, move, read_prosody
from datamodules.synthetic.scene import head_translation
from datamodules.synthetic.sentences import sentences
from datamodules.synthetic.speech import Speech, fit_length, speak
from datamodules.synthetic.visemes import ARTICULATORS, articulate
from face.coefficients import ANGLES, EXPRESSION, EXPRESSION_SIZE, IDENTITY, ILLUMINATION, SIZE, TEXTURE, TRANSLATION
from face.landmarks import INNER_LIP
from face.models.morphable_model import MorphableModel
from media.video import FPS

_RELAXED_LIDS = 0.14  # ours: the face model was drawn with wide eyes

_solve_actions = lru_cache(maxsize=2)(fit_actions)  # the same for everyone who wears a face model


@dataclass(frozen=True)
class Performance:
    """A speech as the person performs it.

    Attributes:
        speech: What is heard.
        chi: float32 (T, 257), relative to the camera of the whole picture, whatever its size.
        motion: Head, eyes and brows.
        mouth: (T, 6) articulators, columns as in `visemes.ARTICULATORS`.
    """

    speech: Speech
    chi: np.ndarray
    motion: Motion
    mouth: np.ndarray

    def part(self, first: int, count: int) -> "Performance":
        """The performance of `count` frames from frame `first` on; its speech is cut alike."""
        frames = slice(first, first + count)
        motion = Motion(**{name: value[frames] for name, value in vars(self.motion).items()})
        speech = self.speech.part(first / FPS, count / FPS)
        return Performance(speech, self.chi[frames], motion, self.mouth[frames])


class Performer:
    """A person who is about to speak: what must be known of the face is worked out once.

    Args:
        person: Who.
        model: Face model.
    """

    def __init__(self, person: Person, model: MorphableModel) -> None:
        self._person = person
        self._solution = _solve_actions(model)
        self._rest = _rest_opening(person, model, self._solution)

    def perform(self, speech: Speech, rng: np.random.Generator, place: np.ndarray | None = None) -> Performance:
        """Move the whole face and head along speech.

        Args:
            speech: Of a whole number of frames.
            rng: Source of everything that the sound does not decide.
            place: (3,) decimetres by which the person stands elsewhere before the camera.
        """
        person, count = self._person, round(speech.duration * FPS)
        prosody = read_prosody(speech.samples, count)
        motion = move(speech, prosody, rng, person.liveliness)
        if place is not None:
            motion.lean[:] += place
        mouth = articulate(speech, count, prosody.loudness)
        chi = np.zeros((count, SIZE), np.float32)
        chi[:, IDENTITY] = person.identity
        chi[:, EXPRESSION] = self._actions(motion, mouth) @ self._solution
        chi[:, TEXTURE] = person.texture
        chi[:, ANGLES] = motion.angles
        chi[:, ILLUMINATION] = person.light.gamma
        chi[:, TRANSLATION] = head_translation(person, motion.angles, motion.lean)
        return Performance(speech, chi, motion, mouth)

    def _actions(self, motion: Motion, mouth: np.ndarray) -> np.ndarray:
        """Strength of each action, (T, 8)."""
        actions = np.zeros((len(mouth), len(ACTIONS)))
        for name in ARTICULATORS:
            if name in ACTIONS:
                actions[:, ACTIONS.index(name)] = mouth[:, ARTICULATORS.index(name)]
        actions[:, ACTIONS.index("opening")] *= self._person.diction
        actions[:, ACTIONS.index("lids")] = _RELAXED_LIDS + (1 - _RELAXED_LIDS) * motion.lids
        actions[:, ACTIONS.index("brows")] = 0.5 * motion.brows
        actions[:, ACTIONS.index("smile")] = self._person.smile
        actions[:, ACTIONS.index("opening")] -= self._rest
        return actions


def perform(person: Person, model: MorphableModel, seconds: float) -> Performance:
    """Let a person say sentences for a time.

    Args:
        person: Who.
        model: Face model.
        seconds: How long; the last sentence is cut.

    Raises:
        InputError: espeak-ng fails.
    """
    return Performer(person, model).perform(speak_for(person, seconds), np.random.default_rng([person.seed, 5]))


def _rest_opening(person: Person, model: MorphableModel, solution: np.ndarray) -> float:
    """How much of the opening action this person's smiling lips are apart at rest: taken off, closed lips meet."""
    upper, lower = (int(model.landmark_vertices[point]) for point in INNER_LIP)
    identity = torch.from_numpy(person.identity.astype(np.float32))[None]
    expression = np.stack([person.smile * solution[ACTIONS.index("smile")], solution[ACTIONS.index("opening")]])
    faces = model.shape(identity.expand(2, -1), torch.from_numpy(expression.astype(np.float32)))
    neutral = model.shape(identity, torch.zeros(1, EXPRESSION_SIZE))[0]
    smiling, opened = (float(face[upper, 1] - face[lower, 1]) for face in faces)
    return smiling / (opened - float(neutral[upper, 1] - neutral[lower, 1]))


def speak_for(person: Person, seconds: float) -> Speech:
    """Let a person say sentences, as `sentences` writes them for the person's seed, for exactly a time.

    Raises:
        InputError: espeak-ng fails.
    """
    count = int(seconds / 4.0) + 2  # a sentence takes about four seconds
    while True:
        speech = speak(list(itertools.islice(sentences(person.seed), count)), person.voice)
        if speech.duration >= seconds:
            return fit_length(speech, seconds, seed=person.seed)
        count *= 2
