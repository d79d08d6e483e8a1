"""A small corpus as preparation leaves it, of faces that were drawn from their own coefficients."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from datamodules.clip import Clip
from datamodules.manifest import ManifestEntry, write_manifest
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TEXTURE
from face.crop import Crop
from face.models.registry import load_face_model
from face.rendering import Renderer, compose
from media.audio import mfcc_windows, write_wav
from media.video import VideoWriter
from tests.test_datamodules_clip import make_clip


def write_corpus(prepared: Path, lengths: dict[str, int], pictures: bool = True) -> list[ManifestEntry]:
    """Prepare clips named `<split>/<speaker>/<number>`, each of so many frames; without pictures, quickly."""
    entries = []
    for seed, (name, frames) in enumerate(lengths.items()):
        clip = write_clip(prepared / "clips" / name, frames, seed, pictures)
        split, speaker, _ = name.split("/")
        entries.append(
            ManifestEntry(
                name=name,
                clip=str(clip.folder.relative_to(prepared)),
                split=split,
                speaker=speaker,
                word=None,
                frames=frames,
                source_sha256=clip.source_sha256,
                sha256="cd" * 32,
                audio_offset=0.0,
                offset_confidence=1.0,
            )
        )
    write_manifest(prepared, entries)
    return sorted(entries, key=lambda entry: entry.name)


def write_clip(folder: Path, frames: int, seed: int, pictures: bool) -> Clip:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, frames * 640).astype(np.float32)
    samples = np.round(samples * 32768).clip(-32768, 32767).astype(np.float32) / 32768  # as 16-bit files hold them
    write_wav(folder / "sound.wav", samples)
    identity = rng.normal(size=(frames, 512)).astype(np.float32)
    clip = dataclasses.replace(
        make_clip(folder, frames, frames, seed),
        crop=Crop(0.0, 0.0, 256.0),
        coefficients=coefficients(frames, rng),
        mfcc=mfcc_windows(samples),
        identity_features=identity / np.linalg.norm(identity, axis=1, keepdims=True),
    )
    if pictures:
        model = load_face_model()
        rendering = Renderer(model).render(torch.from_numpy(clip.coefficients), model.mean_texture)
        drawn = compose(rendering, torch.rand(3, 1, 1).expand_as(rendering.image))
        with VideoWriter(folder / "crop.mp4", 256, 256, crf=8, gop=1) as writer:
            for picture in (drawn * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
                writer.write(np.ascontiguousarray(picture))
    clip.save()
    return clip


def coefficients(frames: int, rng: np.random.Generator) -> np.ndarray:
    """χ of one person who looks around and moves the mouth."""
    chi = np.zeros((frames, SIZE), np.float32)
    chi[:, IDENTITY], chi[:, TEXTURE] = 0.5 * rng.normal(size=80), 0.5 * rng.normal(size=80)
    chi[:, EXPRESSION] = 0.3 * rng.normal(size=(frames, 64))
    chi[:, ILLUMINATION] = 0.05 * rng.normal(size=27)
    chi[:, ANGLES] = 0.1 * rng.normal(size=(frames, 3))
    return chi
