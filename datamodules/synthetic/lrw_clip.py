"""One clip in the form of LRW's: 29 frames of 256x256 with a word in their middle, its text file, and the truth."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from datamodules.synthetic.carriers import Carrier, carry
from datamodules.synthetic.film import draw_frame, write_truth
from datamodules.synthetic.performance import Performance, Performer
from datamodules.synthetic.scene import Scene
from datamodules.synthetic.speakers import Speaker, draw_place, draw_speaker, jitter
from datamodules.synthetic.speech import Speech, SpokenWord, Voice, fit_length, speak_all
from face.models.registry import load_face_model
from media.errors import InputError
from media.video import FPS
from media.video_writer import VideoWriter
from media.whole_file import whole_file

FRAMES, SIZE = 29, 256  # LRW
SPLITS = ("train", "val", "test")
_DETAIL = 0.25  # of textures, see `Scene`
_BREATH = 0.2  # seconds of silence before a sentence, at least; ours
_AFTER = 8  # frames performed beyond the clip, so that its last mouth knows what comes next


@dataclass(frozen=True)
class PlannedClip:
    """A clip to make.

    Attributes:
        word: What is said in its middle.
        split: One of `SPLITS`.
        number: From 1, within word and split.
        speaker: Number of the person in the corpus.
        seed: Of the clip, beside that of its speaker.
    """

    word: str
    split: str
    number: int
    speaker: int
    seed: int

    @property
    def name(self) -> str:
        """Path without ending, relative to the folder of all words: `ABOUT/train/ABOUT_00001`."""
        word = self.word.upper()
        return f"{word}/{self.split}/{word}_{self.number:05d}"

    def files(self, folder: Path) -> list[Path]:
        """Its files in the folder of all words; the video comes last."""
        return [folder / f"{self.name}{ending}" for ending in (".npz", ".txt", ".mp4")]

    def is_made(self, folder: Path) -> bool:
        """Whether all its files are there; each appears whole."""
        return all(file.exists() for file in self.files(folder))


class Studio:
    """A speaker ready to be filmed.

    Args:
        seed: Of the speaker.
    """

    def __init__(self, seed: int) -> None:
        model = load_face_model()
        self.speaker: Speaker = draw_speaker(seed)
        self.performer = Performer(self.speaker.person, model)
        self.scene = Scene(self.speaker.person, model, _DETAIL)
        self.backdrop = self.speaker.backdrop(SIZE)


_studio = lru_cache(maxsize=1)(Studio)  # clips come sorted by speaker


def make_clips(folder: Path, speaker_seed: int, clips: list[PlannedClip]) -> int:
    """Make the clips of one speaker that are not there yet.

    Args:
        folder: Of all words, `lipread_mp4`.
        speaker_seed: Who speaks.
        clips: All of them are spoken, whatever is there already: espeak-ng's sound depends on what it said before.

    Returns:
        How many were made.

    Raises:
        InputError: espeak-ng fails, or a file cannot be written.
    """
    missing = [not clip.is_made(folder) for clip in clips]
    if not any(missing):
        return 0
    studio = _studio(speaker_seed)
    lots = [np.random.default_rng([clip.seed, 9]) for clip in clips]
    carriers = [carry(clip.word, lot) for clip, lot in zip(clips, lots, strict=True)]
    voices = [jitter(studio.speaker.person.voice, lot) for lot in lots]
    for k, speech in enumerate(_speak(carriers, voices)):
        if missing[k]:
            _make_clip(folder, clips[k], studio, carriers[k], speech, lots[k])
    return sum(missing)


def _speak(carriers: list[Carrier], voices: list[Voice]) -> list[Speech]:
    return speak_all([([carrier.text], voice) for carrier, voice in zip(carriers, voices, strict=True)])


def _make_clip(
    folder: Path, clip: PlannedClip, studio: Studio, carrier: Carrier, speech: Speech, lot: np.random.Generator
) -> None:
    place = draw_place(studio.speaker.person, lot)
    performance, first = perform_clip(studio.performer, speech, carrier.offset, clip.seed, lot, place)
    truth, text, video = clip.files(folder)
    frames = [draw_frame(studio.scene, performance, index, studio.backdrop) for index in range(FRAMES)]
    landmarks = np.stack([points for _, points in frames])
    word = spoken_word(performance.speech, carrier.offset)
    facts = {
        "word": clip.word.upper(),
        "word_start": word.start,
        "word_end": word.end,
        "speaker": person_name(clip.speaker),
        "speaker_seed": studio.speaker.person.seed,
        "seed": clip.seed,
        "size": SIZE,
    }
    write_truth(truth, performance, landmarks, facts)
    with whole_file(text) as temporary:
        temporary.write_text(describe(clip, first / FPS, word.end - word.start), encoding="ascii")
    # One thread of the encoder: its bytes depend on how many there are.
    with VideoWriter(video, SIZE, SIZE, audio=performance.speech.samples, threads=1) as writer:
        for frame, _ in frames:
            writer.write(frame)


def perform_clip(
    performer: Performer, speech: Speech, offset: int, seed: int, lot: np.random.Generator, place: np.ndarray
) -> tuple[Performance, int]:
    """Perform a sentence and cut out the 29 frames around one of its words.

    Args:
        performer: Who.
        speech: The sentence.
        offset: Of the word in its text.
        seed: Of the noise of the room.
        lot: Decides the movements.
        place: See `Performer.perform`.

    Returns:
        The cut performance and its first frame within the whole one.
    """
    word = spoken_word(speech, offset)
    # The word's middle becomes the clip's by the length of the silence before the sentence.
    middle, half = (word.start + word.end) / 2, FRAMES / FPS / 2
    first = max(0, int(np.ceil((middle + _BREATH - half) * FPS)))
    lead = first / FPS + half - middle
    fitted = fit_length(speech, (first + FRAMES + _AFTER) / FPS, lead, seed)
    return performer.perform(fitted, lot, place).part(first, FRAMES), first


def spoken_word(speech: Speech, offset: int) -> SpokenWord:
    """The word that begins at a letter of the text.

    Raises:
        InputError: espeak-ng said it as part of another word.
    """
    for word in speech.words:
        if word.offset == offset:
            return word
    raise InputError(f"speech: espeak-ng marks no word at letter {offset} of {speech.text!r}; choose other words")


def person_name(speaker: int) -> str:
    """Name of a speaker of the corpus."""
    return f"person_{speaker:04d}"


def describe(clip: PlannedClip, start: float, duration: float) -> str:
    """The text file of a clip with the lines of LRW's; what a broadcast would have says that there was none.

    Args:
        clip: The clip.
        start: Seconds of the performance before the clip.
        duration: Of the word, seconds.
    """
    return (
        f"Disk reference: {person_name(clip.speaker)} {clip.seed}\n"
        "Channel: synthetic\n"
        "Program start: never broadcast\n"
        f"Clip start: {start:.2f} seconds\n"
        f"Duration: {duration:.2f} seconds\n"
    )
