"""See what the face pipeline makes of a video: tracking, geometry, albedo, light and head pose in one film.

    python -m face.inspect VIDEO --out inspection.mp4 [--seconds 10]

The film has the sound of the video. Texture, light and albedo are one for the whole video, from frames spread over it.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from face.albedo import mean_albedo
from face.assets import tracker_assets
from face.coefficients import ILLUMINATION
from face.fitting import FittedFace, fit_face
from face.inspection_panels import (
    PoseCurves,
    albedo_panel,
    geometry_panel,
    label,
    light_panel,
    mesh_edges,
    tracking_panel,
)
from face.models.registry import load_face_model
from face.rendering import Renderer
from face.tracking import Track, track
from media.audio import read_audio
from media.errors import InputError
from media.video import FPS, VideoWriter, probe, stream_frames

_SIDE = 320  # pixels of a panel
_CURVES = 200  # pixels, height of the curves
_FRAMES = 40  # ours: pictures that decide texture, light and albedo; as many as are ever used for the texture


@dataclass(frozen=True)
class _Inspection:
    """What all frames of the film have in common."""

    face: FittedFace
    renderer: Renderer
    albedo: torch.Tensor
    edges: np.ndarray
    light: np.ndarray
    curves: PoseCurves


def inspect_video(video: str | Path, output: str | Path, seconds: float | None = None, progress: bool = False) -> None:
    """Write a film of what tracker and reconstruction see in a video.

    Args:
        video: A video of one person.
        output: Film to write, 1280x520, 25 frames/s.
        seconds: How much of the video, from its start; all of it if not given.
        progress: Show progress bars with the rate.

    Raises:
        InputError: If the video cannot be used, with frame and time, or the film cannot be written.
    """
    if seconds is not None and not (math.isfinite(seconds) and seconds * FPS >= 1):
        raise InputError(f"--seconds is {seconds:g}; give at least one frame ({1 / FPS:g} s).")
    info = probe(video)
    stop = None if seconds is None else math.ceil(seconds * FPS)
    sound = read_audio(video) if info.has_audio else None
    total = info.frames if stop is None else min(stop, info.frames)
    # Opened first: a place that cannot be written to is told before the work. One thread for the linear algebra: in
    # many small products more would only wait for each other.
    with VideoWriter(output, 4 * _SIDE, _SIDE + _CURVES, audio=sound) as writer, threadpool_limits(1, "blas"):
        tracked = track(stream_frames(video, 0, stop), str(video), total, progress)
        inspection = _prepare(video, tracked)
        total = len(tracked.landmarks)
        for frame in tqdm(_frames(video, inspection), "drawing", total, unit="frame", disable=not progress):
            writer.write(frame)


def _prepare(video: str | Path, tracked: Track) -> _Inspection:
    renderer = Renderer(load_face_model(), size=_SIDE)
    face = fit_face(video, tracked, renderer.model, slice(0, len(tracked.landmarks)), _SIDE, _FRAMES)
    sphere, brightest = light_panel(face.coefficients[0, ILLUMINATION], _SIDE)
    return _Inspection(
        face=face,
        renderer=renderer,
        albedo=mean_albedo(face.pictures, face.coefficients[face.chosen], renderer),
        edges=mesh_edges(tracker_assets().triangles),
        light=label(sphere, [f"light on a sphere, brightest {brightest:.2f}"]),
        curves=PoseCurves(face.coefficients, 4 * _SIDE, _CURVES),
    )


def _frames(video: str | Path, inspection: _Inspection) -> Iterator[np.ndarray]:
    """The frames of the film, one in memory at a time."""
    face, renderer = inspection.face, inspection.renderer
    for index, frame in enumerate(stream_frames(video, 0, len(face.coefficients))):
        picture, chi = face.crop.apply(frame), face.coefficients[index]
        tracking = tracking_panel(picture, face.landmarks[index], inspection.edges)
        panels = [
            label(tracking, ["468 landmarks"]),
            label(geometry_panel(picture, chi, renderer), ["reconstructed shape"]),
            label(albedo_panel(chi, inspection.albedo, renderer), ["albedo under flat light, mean of frames"]),
            label(inspection.light, _facts(face, index), bottom=True),
        ]
        yield np.concatenate([np.concatenate(panels, axis=1), inspection.curves.at(index)])


def _facts(face: FittedFace, index: int) -> list[str]:
    """Numbers of a frame."""
    found = face.confidence[index] > 0
    tracker = f"tracker: {face.confidence[index]:.3f}" if found else "no face found: bridged"
    return [
        f"frame {index} ({index / FPS:.2f} s)",
        f"{tracker}, fit error: {100 * face.error[index]:.1f} % of the eye distance",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the film of a video."""
    parser = argparse.ArgumentParser(prog="python -m face.inspect", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", type=Path, help="video of one person")
    parser.add_argument("--out", type=Path, required=True, help="film to write, for example inspection.mp4")
    parser.add_argument("--seconds", type=float, help="how much of the video, from its start (default all)")
    options = parser.parse_args(arguments)
    try:
        inspect_video(options.video, options.out, options.seconds, progress=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
