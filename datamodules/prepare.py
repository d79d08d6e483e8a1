"""From a video file to a `Clip`: decode, track, reconstruct, write; made once, found again by content and settings."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from datamodules.audio_offset import OffsetEstimate, estimate_offset
from datamodules.clip import SAMPLES_PER_FRAME, Clip, shift_sound
from datamodules.clip_pictures import Pictures, TrackedPictures, pictures_of, track_and_write
from datamodules.fitness import check_sound, check_video, lacking_sound
from datamodules.preparation import Preparation
from datamodules.unfinished import unfinished_clip
from face.albedo import detailed_albedo, most_neutral
from face.appearance import spread
from face.camera import Camera
from face.coefficients import EXPRESSION, SIZE
from face.fitting import fill_appearance, geometry_coefficients, identity_features
from face.identity import ArcFaceEncoder, CoefficientEncoder, load_identity_encoder
from face.landmarks import mouth_opening
from face.models.morphable_model import MorphableModel, expression_scale
from face.models.registry import load_face_model, model_version
from face.reconstructors.closed_form import identity_per_frame
from face.reconstructors.geometry import Footage
from face.reconstructors.registry import RECONSTRUCTIONS
from face.rendering import Renderer
from face.tracking import FaceTracker
from media.audio import MFCC_SIZE, WINDOW_ROWS, mfcc_windows, read_audio, write_wav
from media.digest import sha256, sha256_of_values
from media.threads import one_thread
from media.video import VideoInfo, probe, stream_frames

_APPEARANCE_FRAMES = 100  # ours: more frames do not change the texture, the light or the albedo
# Ours: of 29 neighbouring frames, 12 give the same albedo within 0.0008 of 1 [five clips, whose halves differ by
# 0.003-0.015].
_APPEARANCE_STEP = 2.5  # frames of a corpus clip


def prepare_video(
    video: str | Path,
    cache: str | Path,
    *,
    train_seconds: float = 12.0,
    audio_offset: int | None = None,
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
        train_seconds: Length of the part that is learned from; this and the next are those of `Preparation`.
        audio_offset: Frames by which the mouth lags its sound; None: estimated.
        face_model: Name of the face model.
        face_model_file: Its file.
        reconstruction: Name of the reconstruction.
        reconstruction_file: Its file.
        identity_encoder: Name of the identity encoder.
        identity_onnx: Its file.
        progress: Show progress bars.

    Returns:
        The clip, complete on disk; its source is this video, wherever it lay when the clip was made.

    Raises:
        InputError: If the video cannot be used; says which frame and what to do.
    """
    probe(video)  # a file that is no video is refused before anything else
    preparation = Preparation(
        train_seconds=train_seconds,
        audio_offset=audio_offset,
        face_model=face_model,
        face_model_file=face_model_file,
        reconstruction=reconstruction,
        reconstruction_file=reconstruction_file,
        identity_encoder=identity_encoder,
        identity_onnx=identity_onnx,
    )
    described = [sha256(video), preparation.describe()]
    folder = Path(cache) / sha256_of_values(described)[:16]
    if (folder / "clip.json").exists():
        return replace(Clip.load(folder), source=Path(video).resolve())
    return prepare_clip(video, folder, preparation, progress=progress)


def prepare_clip(
    video: str | Path,
    folder: str | Path,
    preparation: Preparation,
    *,
    scratch: str | Path | None = None,
    progress: bool = False,
) -> Clip:
    """Make the clip of one video: a pure function of the video and the settings, byte for byte.

    Args:
        video: A video of one person, with sound.
        folder: Where the clip is to lie; it appears complete or not at all. A clip that is there is left as it is.
        preparation: The settings.
        scratch: Folder on the same file system for what is not finished; by default the parent of `folder`.
        progress: Show progress bars.

    Returns:
        The clip, complete on disk.

    Raises:
        InputError: If the video cannot be used; says which frame and what to do.
    """
    folder, info = Path(folder), probe(video)
    check_video(info, preparation)
    samples = read_audio(video)
    check_sound(samples, info.frames, info, preparation)
    version = model_version(preparation.face_model, preparation.face_model_file)
    # before anything long: its file may be unfit
    model = _face_model(preparation.face_model, preparation.face_model_file, version)
    with unfinished_clip(folder, Path(scratch) if scratch else folder.parent) as unfinished, _alone() as threads:
        encoder = load_identity_encoder(preparation.identity_encoder, preparation.identity_onnx)  # likewise
        seen = track_and_write(unfinished, info, preparation, _tracker(), progress)
        clip, footage = _without_sound(unfinished, info, seen)
        check_sound(samples, len(clip), info, preparation)  # a file may hold less than it declares
        pictures = pictures_of(clip, seen.kept)
        with ThreadPoolExecutor(1) as pool:  # neither needs the other
            reconstructed = pool.submit(_reconstruct, clip, footage, model, preparation, pictures)
            identities = _identity_per_frame(clip, model, encoder)
        reconstructed.result()
        clip = _with_sound(clip, samples, model, preparation)
        clip.identity_features[:] = _identity_features(clip, model, encoder, pictures, identities, threads)
        if preparation.of_corpus:
            clip = replace(clip, albedo=_detailed_albedo(clip, model, pictures))
        clip.save(compact=preparation.of_corpus)
    return Clip.load(folder)


@lru_cache(maxsize=1)  # loading takes as long as preparing two frames, and a clip of a corpus has thirty
def _face_model(name: str, file: str | Path | None, version: str) -> MorphableModel:
    """The face model of a file whose sha256 is `version`, which may be another the next time."""
    return load_face_model(name, file)


@lru_cache(maxsize=1)  # likewise
def _tracker() -> FaceTracker:
    return FaceTracker()


@contextmanager
def _alone() -> Iterator[int]:
    """Linear algebra on one thread, giving how many torch had: in many small products more only wait for each other."""
    with one_thread() as threads, threadpool_limits(1, "blas"):
        yield threads


def _with_sound(clip: Clip, samples: np.ndarray, model: MorphableModel, preparation: Preparation) -> Clip:
    """The clip with the sound in step with the picture, from what the training part says where nothing was given."""
    total, lack = len(clip), lacking_sound(samples, len(clip))
    samples = np.pad(samples, (0, max(0, total * SAMPLES_PER_FRAME - len(samples))))[: total * SAMPLES_PER_FRAME]
    offset, estimate = preparation.audio_offset, None
    if offset is None:
        estimate = _estimated_offset(clip, samples, model)
        offset = estimate.correction
    samples = shift_sound(samples, offset)
    write_wav(clip.folder / "sound.wav", samples)
    return replace(
        clip,
        audio_offset=offset,
        offset_estimate=round(estimate.frames, 2) if estimate else None,
        offset_confidence=round(estimate.confidence, 3) if estimate else None,
        mfcc=_mfcc_per_part(samples, total, clip.training_frames),
        sound_lacking=lack,
    )


def _estimated_offset(clip: Clip, samples: np.ndarray, model: MorphableModel) -> OffsetEstimate:
    expression = clip.coefficients[clip.training, EXPRESSION]
    sound = samples[: clip.training_frames * SAMPLES_PER_FRAME]
    return estimate_offset(mouth_opening(clip.landmarks[clip.training]), expression * expression_scale(model), sound)


def _without_sound(folder: Path, info: VideoInfo, seen: TrackedPictures) -> tuple[Clip, Footage]:
    """The clip as far as it is known from its pictures, and what the reconstruction is made from."""
    tracked, total, training = seen.track, len(seen.track.landmarks), seen.training_frames
    clip = Clip(
        folder=folder,
        source=Path(info.path).resolve(),
        source_sha256=sha256(info.path),
        width=info.width,
        height=info.height,
        crop=seen.crop,
        training_frames=training,
        split_note=seen.note,
        audio_offset=0,
        coefficients=np.zeros((total, SIZE), np.float32),
        landmarks=tracked.landmarks,
        confidence=tracked.confidence,
        bridged=tracked.bridged,
        fit_error=np.zeros(total, np.float32),
        mfcc=np.zeros((total, WINDOW_ROWS, MFCC_SIZE), np.float32),
        identity_features=np.zeros((total, 512), np.float32),
    )
    return clip, Footage(
        tracked.landmarks, tracked.confidence, training, seen.crop, lambda: stream_frames(info.path, 0, total)
    )


def _reconstruct(
    clip: Clip, footage: Footage, model: MorphableModel, preparation: Preparation, pictures: Pictures
) -> None:
    """Fill the coefficients; what the reconstruction does not say of texture and light comes from the pixels."""
    file = Path(preparation.reconstruction_file) if preparation.reconstruction_file else None
    geometry = RECONSTRUCTIONS[preparation.reconstruction](footage, model, file)
    clip.coefficients[:] = geometry_coefficients(geometry)
    clip.fit_error[:] = geometry.error
    if geometry.texture is None or geometry.illumination is None:
        frames = math.ceil(len(clip) / _APPEARANCE_STEP) if preparation.of_corpus else _APPEARANCE_FRAMES
        with one_thread():  # which torch counts by the thread that calls it
            _fit_appearance(clip, model, pictures, min(frames, _APPEARANCE_FRAMES))


def _mfcc_per_part(samples: np.ndarray, total: int, training: int) -> np.ndarray:
    """Windows of each part from its own sound alone, so that no part hears the other (SPEC, split)."""
    parts = [
        (samples[: training * SAMPLES_PER_FRAME], training),
        (samples[training * SAMPLES_PER_FRAME :], total - training),
    ]
    return np.concatenate([mfcc_windows(sound, frames) for sound, frames in parts if frames])


def _fit_appearance(clip: Clip, model: MorphableModel, pictures: Pictures, frames: int) -> None:
    """One texture and one light per video, from some training frames, into all frames of the coefficients."""
    seen = np.flatnonzero(clip.confidence[clip.training] > 0)
    chosen = seen[spread(len(seen), frames)]
    fill_appearance(clip.coefficients, pictures(clip.training)[chosen], chosen, model, Camera(clip.crop.size))


def _detailed_albedo(clip: Clip, model: MorphableModel, pictures: Pictures) -> np.ndarray:
    """(V, 3) of the frame in which the face is most neutral."""
    seen = np.flatnonzero(~clip.bridged)
    best = int(seen[most_neutral(clip.coefficients[seen])])
    frame = slice(best, best + 1)
    renderer = Renderer(model, size=clip.crop.size)
    return detailed_albedo(pictures(frame), clip.coefficients[frame], renderer).numpy()


def _identity_per_frame(
    clip: Clip, model: MorphableModel, encoder: CoefficientEncoder | ArcFaceEncoder
) -> np.ndarray | None:
    """(T, 80) identity of each frame by itself, where the features are made of it."""
    if isinstance(encoder, ArcFaceEncoder):
        return None
    return identity_per_frame(clip.crop.to_crop(clip.landmarks), clip.confidence, model, Camera(clip.crop.size))


def _identity_features(
    clip: Clip,
    model: MorphableModel,
    encoder: CoefficientEncoder | ArcFaceEncoder,
    pictures: Pictures,
    identities: np.ndarray | None,
    threads: int,
) -> np.ndarray:
    """One feature per true frame, (T, 512)."""
    return identity_features(
        pictures,
        clip.crop.to_crop(clip.landmarks),
        clip.confidence,
        clip.coefficients,
        model,
        Camera(clip.crop.size),
        encoder,
        threads,
        identities,
    )
