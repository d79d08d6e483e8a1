"""From a tracked video to complete coefficients and identity features: reconstruction, texture, light, in this order.

The steps are those of preparation; whoever looks at one video without preparing it takes them from here too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from face.appearance import fit_appearance, spread, texture_per_frame
from face.camera import Camera
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TEXTURE, TRANSLATION
from face.crop import Crop, crop_around
from face.identity import ArcFaceEncoder, CoefficientEncoder
from face.landmarks import five_points
from face.models.morphable_model import MorphableModel
from face.reconstructors.closed_form import fit_geometry, identity_per_frame, mesh_tilt
from face.reconstructors.geometry import Geometry
from face.tracking import Track
from media.errors import InputError
from media.video import FPS, stream_frames

_BATCH = 50  # pictures in memory while their features are computed


@dataclass(frozen=True)
class FittedFace:
    """One face through a stretch of a video, reconstructed from nothing but that stretch.

    Attributes:
        crop: The square of the source that the coefficients refer to.
        landmarks: float32 (T, 468, 3) pixels of the crop.
        confidence: (T,) of the tracker.
        coefficients: float32 (T, 257) χ; identity, texture and illumination are equal in all frames.
        error: float32 (T,) mean landmark distance of the reconstruction / outer-eye distance.
        chosen: (n,) frames of the stretch that the appearance was fitted to, all of them with a face.
        pictures: uint8 (n, size, size, 3) their crops.
    """

    crop: Crop
    landmarks: np.ndarray
    confidence: np.ndarray
    coefficients: np.ndarray
    error: np.ndarray
    chosen: np.ndarray
    pictures: np.ndarray


def fit_face(
    path: str | Path, tracked: Track, model: MorphableModel, part: slice, size: int = 256, frames: int = 40
) -> FittedFace:
    """Reconstruct a stretch of a video whose face has been tracked.

    Args:
        path: The video.
        tracked: Its track.
        model: The morphable face.
        part: Frames of the stretch, with start and stop.
        size: Side of the crop in pixels.
        frames: How many pictures, evenly spread, decide texture and light; they are kept in memory.

    Raises:
        InputError: If the stretch shows no face, or the video cannot be read again.
    """
    confidence = tracked.confidence[part]
    seen = np.flatnonzero(confidence > 0)
    if not len(seen):
        begin, end = (f"frame {k} ({k / FPS:.2f} s)" for k in (part.start, part.stop))
        raise InputError(f"{path}: shows no face from {begin} to {end}; cut this stretch away.")
    crop, camera = crop_around(tracked.landmarks[part], size=size), Camera(size)
    landmarks = crop.to_crop(tracked.landmarks[part])
    geometry = fit_geometry(landmarks, confidence, model, camera, len(landmarks), mesh_tilt(landmarks))
    chi = geometry_coefficients(geometry)
    chosen = seen[spread(len(seen), frames)]
    pictures = read_crops(path, crop, part.start + chosen)
    fill_appearance(chi, pictures, chosen, model, camera)
    return FittedFace(crop, landmarks, confidence, chi, geometry.error, chosen, pictures)


def read_crops(path: str | Path, crop: Crop, frames: np.ndarray) -> np.ndarray:
    """Crops of some frames of a video; no more than one whole frame is in memory.

    Args:
        path: The video.
        crop: What to take of each frame.
        frames: (n,) rising frame numbers.

    Returns:
        uint8 (n, size, size, 3).

    Raises:
        InputError: If the video cannot be read, or has not all of the frames any more.
    """
    crops = np.empty((len(frames), crop.size, crop.size, 3), np.uint8)
    first, last = int(frames[0]), int(frames[-1])
    place = {int(frame): k for k, frame in enumerate(frames)}
    for number, frame in enumerate(stream_frames(path, first, last + 1), first):
        if number in place:
            crops[place.pop(number)] = crop.apply(frame)
    if place:
        missing = min(place)
        raise InputError(f"{path}: has no frame {missing} ({missing / FPS:.2f} s) any more; it was changed meanwhile.")
    return crops


def geometry_coefficients(geometry: Geometry) -> np.ndarray:
    """A reconstruction as coefficients; texture and illumination are 0 where it does not say them.

    Returns:
        float32 (T, 257).
    """
    chi = np.zeros((len(geometry.expression), SIZE), np.float32)
    chi[:, IDENTITY], chi[:, EXPRESSION] = geometry.identity, geometry.expression
    chi[:, ANGLES], chi[:, TRANSLATION] = geometry.angles, geometry.translation
    if geometry.texture is not None:
        chi[:, TEXTURE] = geometry.texture
    if geometry.illumination is not None:
        chi[:, ILLUMINATION] = geometry.illumination
    return chi


def fill_appearance(
    chi: np.ndarray, pictures: np.ndarray, chosen: np.ndarray, model: MorphableModel, camera: Camera
) -> None:
    """Fit one texture and one light to some frames and write them into all.

    Args:
        chi: (T, 257) with shape and pose; changed in place.
        pictures: uint8 (n, size, size, 3) crops of the chosen frames.
        chosen: (n,) which of the T frames they are.
        model: The morphable face.
        camera: Camera of the crops.
    """
    appearance = fit_appearance(pictures, torch.from_numpy(chi[chosen]), model, camera)
    chi[:, TEXTURE], chi[:, ILLUMINATION] = appearance.texture, appearance.illumination


def identity_features(
    pictures: Callable[[slice], np.ndarray],
    landmarks: np.ndarray,
    confidence: np.ndarray,
    chi: np.ndarray,
    model: MorphableModel,
    camera: Camera,
    encoder: CoefficientEncoder | ArcFaceEncoder,
    threads: int = 1,
    identities: np.ndarray | None = None,
) -> np.ndarray:
    """One feature per frame (SPEC, identity feature).

    Args:
        pictures: Gives the crops of a range of frames, uint8 (n, size, size, 3).
        landmarks: (T, 468, 3) pixels of the crop.
        confidence: (T,) of the tracker, 0 where there was no face.
        chi: (T, 257) with shape, pose and light; the identity in it is not read.
        model: The morphable face.
        camera: Camera of the crops.
        encoder: What makes features of them.
        threads: How many may work; the products are small, so each works on frames of its own.
        identities: (T, 80) of `identity_per_frame`, if they were computed before; unused by ArcFace.

    Returns:
        float32 (T, 512) of unit length.
    """
    pieces = [slice(start, min(start + _BATCH, len(chi))) for start in range(0, len(chi), _BATCH)]
    if isinstance(encoder, ArcFaceEncoder):
        points = five_points(landmarks)[..., :2]
        return np.concatenate([encoder(pictures(piece), points[piece]) for piece in pieces])

    def texture(piece: slice) -> np.ndarray:
        return texture_per_frame(pictures(piece), chi[piece], model, camera)

    # torch counts its threads per thread
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        alpha = pool.submit(
            lambda: identity_per_frame(landmarks, confidence, model, camera) if identities is None else identities
        )
        delta = np.concatenate(list(pool.map(texture, pieces)))
        return encoder(alpha.result(), delta)
