"""From a video file to a `Clip`: decode, track, reconstruct, write; made once, found again by content and settings."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from datamodules.clip import Clip, shift_sound, split_frames
from face.camera import Camera
from face.coefficients import SIZE
from face.crop import crop_around
from face.fitting import fill_appearance, geometry_coefficients, identity_features
from face.identity import load_identity_encoder
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model, model_version
from face.reconstructors.geometry import Footage, Geometry
from face.reconstructors.registry import RECONSTRUCTIONS, reconstruction_version
from face.tracking import track
from media.ahead import ahead
from media.audio import mfcc_windows, read_audio, write_wav
from media.errors import InputError
from media.video import FPS, VideoInfo, VideoWriter, probe, sha256, stream_frames

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 4.0  # ours: with less, 60 % leave hardly a sentence to learn from
_FORMAT = 3  # of the clip on disk; a change prepares every video again
_APPEARANCE_FRAMES = 100  # ours: more frames do not change the texture, the light or the albedo


def prepare_video(
    video: str | Path,
    cache: str | Path,
    *,
    train_seconds: float = 12.0,
    audio_offset: int = 0,
    face_model: str = "facemesh",
    face_model_file: str | Path | None = None,
    reconstruction: str = "closed_form",
    reconstruction_file: str | Path | None = None,
    identity_encoder: str = "coefficients",
    identity_onnx: str | None = None,
    progress: bool = False,
) -> Clip:
    """Prepare a person's video, or find it prepared already.

    Args:
        video: A video of one person, with sound.
        cache: Folder of prepared clips; a clip is named by the video's bytes and these settings.
        train_seconds: Length of the part that is learned from (SPEC, split).
        audio_offset: Frames by which the mouth lags its sound (SPEC; negative: the mouth moves first).
        face_model: Key of `face.models.registry.FACE_MODELS`.
        face_model_file: File of a face model that does not come with the project.
        reconstruction: Key of `face.reconstructors.registry.RECONSTRUCTIONS`.
        reconstruction_file: File of its network, for `deep3d`.
        identity_encoder: Key of `face.identity.IDENTITY_ENCODERS`.
        identity_onnx: File of the network, for `arcface`.
        progress: Show progress bars.

    Returns:
        The clip, complete on disk.

    Raises:
        InputError: If the video cannot be used; says which frame and what to do.
    """
    info = probe(video)
    version = reconstruction_version(reconstruction, reconstruction_file, face_model)
    settings = {
        "format": _FORMAT,
        "train_seconds": train_seconds,
        "audio_offset": audio_offset,
        "face_model": [face_model, model_version(face_model, face_model_file)],
        "reconstruction": [reconstruction, version] if version else reconstruction,
        "identity_encoder": identity_encoder,
        "identity_onnx": sha256(identity_onnx) if identity_onnx else None,
    }
    digest = sha256(video)
    key = hashlib.sha256(json.dumps([digest, settings], sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(cache) / key
    if (folder / "clip.json").exists():
        return Clip.load(folder)
    _check(info)
    samples = read_audio(video)
    _check_sound(samples, video)
    model = load_face_model(face_model, face_model_file)  # before anything long: its file may be unfit
    scratch = _scratch_folder(Path(cache))
    try:
        with _alone() as threads:
            samples = shift_sound(samples, audio_offset)
            clip, footage = _track(scratch, info, digest, samples, settings, progress)
            file = Path(reconstruction_file) if reconstruction_file else None
            with ThreadPoolExecutor(1) as pool:  # the fit needs no pictures, and their files no fit
                geometry = pool.submit(RECONSTRUCTIONS[reconstruction], footage, model, file)
                _write_pictures(clip, info, progress)
                _reconstruct(clip, geometry.result(), model)
            clip.identity_features[:] = _identity_features(clip, model, identity_encoder, identity_onnx, threads)
        clip.save()
        _publish(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Clip.load(folder)


@contextmanager
def _alone() -> Iterator[int]:
    """Linear algebra on one thread, giving how many torch had: in many small products more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield threads
    finally:
        torch.set_num_threads(threads)


def _check(info: VideoInfo) -> None:
    if not info.has_audio:
        raise InputError(f"{info.path}: has no sound; the mouth is learned from it, so give a video with speech.")
    if info.duration < SHORTEST_SECONDS:
        raise InputError(
            f"{info.path}: lasts {info.duration:.1f} s; at least {SHORTEST_SECONDS:g} s are needed, 16 s are better."
        )


def _check_sound(samples: np.ndarray, video: str | Path) -> None:
    loudness = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    if loudness < 1e-4:  # ours: -80 dB, below the noise of any microphone
        raise InputError(f"{video}: its sound is silent; the mouth is learned from it, so give a video with speech.")


def _scratch_folder(cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".preparing-", dir=cache))
    except OSError as error:
        raise InputError(
            f"{cache}: cannot be written ({error.strerror}); set data.cache to a writable folder."
        ) from None


def _publish(scratch: Path, folder: Path) -> None:
    """Give the finished folder its name in one step; another process may have been first with the same result."""
    try:
        os.replace(scratch, folder)
    except OSError:
        if not (folder / "clip.json").exists():
            raise


def _track(
    folder: Path, info: VideoInfo, digest: str, samples: np.ndarray, settings: dict[str, Any], progress: bool
) -> tuple[Clip, Footage]:
    """The clip without its reconstruction, and what that is made from."""
    expected = round(info.duration * FPS)
    tracked = track(ahead(stream_frames(info.path)), str(info.path), total=expected, progress=progress)
    total = len(tracked.landmarks)
    training, note = split_frames(total, settings["train_seconds"])
    crop = crop_around(tracked.landmarks[:training])
    samples = np.pad(samples, (0, max(0, total * 640 - len(samples))))[: total * 640]
    write_wav(folder / "sound.wav", samples)
    clip = Clip(
        folder=folder,
        source=Path(info.path).resolve(),
        source_sha256=digest,
        width=info.width,
        height=info.height,
        crop=crop,
        training_frames=training,
        split_note=note,
        audio_offset=settings["audio_offset"],
        coefficients=np.zeros((total, SIZE), np.float32),
        landmarks=tracked.landmarks,
        confidence=tracked.confidence,
        bridged=tracked.bridged,
        fit_error=np.zeros(total, np.float32),
        mfcc=_mfcc_per_part(samples, total, training),
        identity_features=np.zeros((total, 512), np.float32),
    )
    footage = Footage(tracked.landmarks, tracked.confidence, training, crop, lambda: stream_frames(info.path, 0, total))
    return clip, footage


def _write_pictures(clip: Clip, info: VideoInfo, progress: bool) -> None:
    folder, crop, total = clip.folder, clip.crop, len(clip)
    frames = tqdm(ahead(stream_frames(info.path, 0, total)), "cropping", total, unit="frame", disable=not progress)
    with (
        # crf 8: above 42 dB (SPEC, clip); every frame a key frame, so that any window is read without its past
        VideoWriter(folder / "crop.mp4", crop.size, crop.size, crf=8, gop=1) as crops,
        VideoWriter(folder / "gallery.mp4", info.width, info.height, crf=14, gop=1) as gallery,
        ThreadPoolExecutor(1) as pool,
    ):
        for index, frame in enumerate(frames):
            written = pool.submit(gallery.write, frame) if index < clip.training_frames else None
            crops.write(crop.apply(frame))
            if written:
                written.result()


def _reconstruct(clip: Clip, geometry: Geometry, model: MorphableModel) -> None:
    """Fill the coefficients; what the reconstruction does not say of texture and light comes from the pixels."""
    clip.coefficients[:] = geometry_coefficients(geometry)
    clip.fit_error[:] = geometry.error
    if geometry.texture is None or geometry.illumination is None:
        _fit_appearance(clip, model, Camera(clip.crop.size))


def _mfcc_per_part(samples: np.ndarray, total: int, training: int) -> np.ndarray:
    """Windows of each part from its own sound alone, so that no part hears the other (SPEC, split)."""
    parts = [(samples[: training * 640], training), (samples[training * 640 :], total - training)]
    return np.concatenate([mfcc_windows(sound, frames) for sound, frames in parts])


def _fit_appearance(clip: Clip, model: MorphableModel, camera: Camera) -> None:
    """One texture and one light per video, from its training frames, into all frames of the coefficients."""
    chosen = np.unique(np.linspace(0, clip.training_frames - 1, _APPEARANCE_FRAMES).round().astype(int))
    chosen = chosen[clip.confidence[chosen] > 0]
    fill_appearance(clip.coefficients, clip.frames(clip.training)[chosen], chosen, model, camera)


def _identity_features(clip: Clip, model: MorphableModel, encoder: str, onnx: str | None, threads: int) -> np.ndarray:
    """One feature per true frame, (T, 512)."""
    return identity_features(
        clip.frames,
        clip.crop.to_crop(clip.landmarks),
        clip.confidence,
        clip.coefficients,
        model,
        Camera(clip.crop.size),
        load_identity_encoder(encoder, onnx),
        threads,
    )
