"""A prepared corpus of embedded speakers without pictures: sound and true coefficients, for the first stage alone.

What maps sound to a face wants hours of speech; filming and tracking them would take a day where this takes minutes.
"""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from datamodules.clip import Clip
from datamodules.manifest import ManifestEntry, write_manifest
from datamodules.synthetic.claim import claim
from datamodules.synthetic.spoken_truth import spoken_truth
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, TRANSLATION
from face.crop import Crop
from face.models.registry import load_face_model
from media.audio import mfcc_windows, write_wav
from media.errors import InputError

_FIRST_SPEAKER = 20_000  # ours: none of these people is in the filmed corpus
_VALIDATION_SHARE = 20  # one speaker in twenty


def make_spoken_corpus(folder: str | Path, speakers: int = 400, seconds: float = 24.0, processes: int = 2) -> Path:
    """Let many embedded speakers speak; clips that are there are kept, so speakers may be added later.

    Args:
        folder: Gets one clip folder per speaker and the manifest: a prepared corpus (`data.prepared`).
        speakers: How many; one in twenty is for validation.
        seconds: Length of each clip.
        processes: How many work at once.

    Returns:
        The manifest.

    Raises:
        InputError: Fewer than two speakers, clips below a second, a folder with clips of another corpus or length,
            or espeak-ng fails.
    """
    if speakers < 2:
        raise InputError(f"speakers is {speakers}: a corpus has at least two, one to learn from and one to validate on")
    folder = Path(folder)
    claim(folder, {"kind": "spoken", "seconds": float(seconds)}, occupied=any(folder.glob("speaker_*")))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        made = pool.map(_make_clip, [folder] * speakers, range(speakers), [seconds] * speakers)
        entries = list(tqdm(made, "speaking", speakers, unit="speaker"))
    return write_manifest(folder, entries)


def _make_clip(folder: Path, number: int, seconds: float) -> ManifestEntry:
    torch.set_num_threads(1)
    name = f"speaker_{number:04d}"
    place = folder / name
    clip = Clip.load(place) if (place / "clip.json").exists() else _spoken_clip(place, number, seconds)
    return ManifestEntry(
        name=name,
        clip=name,
        split="val" if number % _VALIDATION_SHARE == 0 else "train",
        speaker=name,
        word=None,
        frames=len(clip),
        source_sha256=clip.source_sha256,
        sha256=hashlib.sha256((place / "arrays.npz").read_bytes()).hexdigest(),
        audio_offset=0,
        offset_confidence=None,
    )


def _spoken_clip(place: Path, number: int, seconds: float) -> Clip:
    """A clip folder with everything but pictures; `clip.json` comes last and says that it is complete."""
    samples, chi = spoken_truth(_FIRST_SPEAKER + number, seconds)
    frames, camera = len(chi), Camera()
    place.mkdir(exist_ok=True)
    write_wav(place / "sound.wav", samples)
    clip = Clip(
        folder=place,
        source=Path(f"{place.name} was never filmed"),
        source_sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
        width=camera.size,
        height=camera.size,
        crop=Crop(0.0, 0.0, float(camera.size)),
        training_frames=frames,
        split_note="",
        audio_offset=0,
        coefficients=chi,
        landmarks=_landmarks(chi, camera),
        confidence=np.ones(frames, np.float32),
        bridged=np.zeros(frames, bool),
        fit_error=np.zeros(frames, np.float32),
        mfcc=mfcc_windows(samples, frames),
        identity_features=np.zeros((frames, 512), np.float32),
    )
    clip.save(compact=True)
    return clip


def _landmarks(chi: np.ndarray, camera: Camera) -> np.ndarray:
    """True landmarks (T, 468, 3) of χ, pixels of the picture."""
    model, values = load_face_model(), torch.from_numpy(chi)
    shape = model.shape(values[:, IDENTITY], values[:, EXPRESSION])[:, model.landmark_vertices]
    posed = pose_vertices(shape, values[:, ANGLES], values[:, TRANSLATION])
    points: np.ndarray = camera.project(posed).numpy().astype(np.float32)
    return points
