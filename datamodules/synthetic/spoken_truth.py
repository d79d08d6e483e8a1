"""Sound and the true coefficients that belong to it, without pictures: much of it in little time.

What maps sound to a face needs more speech than one would film: a minute of this takes half a second of one core, the
film of it in the small size of LRW's clips about 20 s.
"""

import numpy as np

from datamodules.synthetic.performance import Performer, speak_for
from datamodules.synthetic.speakers import draw_place, draw_speaker
from face.models.registry import load_face_model
from media.errors import InputError
from media.video import FPS


def spoken_truth(seed: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Let an embedded speaker say sentences.

    Args:
        seed: Decides who speaks (see `draw_speaker`), what and how.
        seconds: How long; rounded to whole frames. Longer is cheaper: the speaking process starts once per call.

    Returns:
        Sound, float32 (640 T,) at 16 kHz, and χ, float32 (T, 257), relative to the camera of the whole picture.

    Raises:
        InputError: The time is shorter than a second, or espeak-ng fails.
    """
    if not seconds >= 1:
        raise InputError(f"seconds is {seconds}: speech lasts at least a second")
    person = draw_speaker(seed).person
    rng = np.random.default_rng([seed, 5])
    speech = speak_for(person, round(seconds * FPS) / FPS)
    performance = Performer(person, load_face_model()).perform(speech, rng, draw_place(person, rng))
    return performance.speech.samples, performance.chi
