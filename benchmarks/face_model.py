"""How well the embedded face model follows faces: one line per video.

    python benchmarks/face_model.py VIDEO...

Prints the share of the landmarks' movement that the 64 expressions explain, pose removed by a similarity of the points
that expressions move least, and the mean distance of the fitted vertices from the landmarks in the picture, in parts of
the distance of the outer eye corners.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from face.build_facemesh import align, stable_points, to_face_space
from face.camera import Camera
from face.crop import crop_around
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.reconstructors.closed_form import fit_geometry
from face.tracking import FaceTracker, track
from media.video import stream_frames

_ENOUGH = 0.995  # the share that is asked for


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="How well the embedded face model follows faces.")
    parser.add_argument("videos", type=Path, nargs="+", help="videos of one person each")
    videos = parser.parse_args(arguments).videos
    model, tracker, shares = load_face_model(), FaceTracker(), []
    print("| video | frames | explained, % | vertex error, % |\n|---|---|---|---|")
    for path in videos:
        tracked = track(stream_frames(path), path.name, tracker=tracker)
        shares.append(explained(tracked.landmarks, model))
        landmarks = crop_around(tracked.landmarks).to_crop(tracked.landmarks)
        error = fit_geometry(landmarks, tracked.confidence, model, Camera(), len(landmarks)).error.mean()
        print(f"| {path.name} | {len(landmarks)} | {100 * shares[-1]:.2f} | {100 * error:.2f} |", flush=True)
    enough = sum(share >= _ENOUGH for share in shares)
    print(f"\n{enough} of {len(shares)} reach {100 * _ENOUGH:.1f} %; mean {100 * np.mean(shares):.2f} %")


def explained(landmarks: np.ndarray, model: MorphableModel) -> float:
    """Share of the squared movement of landmarks (T, 468, 3) that lies within the expressions, pose removed."""
    vertices = model.landmark_vertices
    mean = model.mean_shape[vertices].double().numpy()
    stable = stable_points(mean)
    points = to_face_space(landmarks.astype(np.float64))
    points = np.stack([align(face, mean, stable) for face in points])
    points = np.stack([align(face, points.mean(axis=0), stable) for face in points])
    movement = (points - points.mean(axis=0)).reshape(len(points), -1)
    basis, _ = np.linalg.qr(model.expression_basis[:, vertices].double().flatten(1).numpy().T)
    return float(((movement @ basis) ** 2).sum() / (movement**2).sum())


if __name__ == "__main__":
    main()
