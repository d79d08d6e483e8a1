"""Make the embedded morphable face `facemesh` from drawn portraits; the same script makes the same bytes again.

    python -m face.build_facemesh OUT.npz

Portraits of drawn-by-lot people go through the landmark network of the tracker. Principal components of what it sees
are the shape: identities from the neutral portraits, expressions from the differences to them. The texture comes from
the unlit colours of the neutral drawings. Every sample enters with its mirror image, so the mean face is symmetric
and every component is either symmetric or antisymmetric.
"""

import argparse
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from face.assets import tracker_assets
from face.coefficients import EXPRESSION_SIZE, IDENTITY_SIZE, TEXTURE_SIZE
from face.draw_portraits import Painter
from face.landmark_net import LandmarkNet
from face.landmarks import COUNT, LEFT_BROW, LEFT_EYE, NOSE_TIP, RIGHT_BROW, RIGHT_EYE, five_points
from face.random_faces import Expression, random_expression, random_person, random_view
from face.subdivision import subdivide
from face.unfolding import unfold

PEOPLE = 500  # ours: more than three times the identity components, and two minutes on one core
VIEWS = 3  # ours: neutral portraits of a person, the first one frontal; what light and pose do to the network shows
EXPRESSIONS = 8  # ours: per person
SEED = 2020
MIN_SCORE = 5.0  # logit of the network that there is a face (0.993); drawings that miss it are left out

EYE_DISTANCE = 0.62  # decimetres between the eye centres, Deep3D's Lm3D (facts 4.1)
# Deep3D's Lm3D, both sides averaged: right eye, left eye, nose tip, right and left mouth corner (facts 4.1).
FIVE_POINTS = np.array(
    [
        [-0.3107, 0.2901, 0.1328],
        [0.3107, 0.2901, 0.1328],
        [0.0, -0.0462, 0.5524],
        [-0.2504, -0.3813, 0.2233],
        [0.2504, -0.3813, 0.2233],
    ]
)


@dataclass(frozen=True)
class Samples:
    """What the network saw.

    Attributes:
        neutral: float64 (people, views, 468, 3) landmarks of the neutral portraits, in pixels of the drawing.
        expressive: float64 (people, expressions, 468, 3) those of the others.
        albedo: float32 (people, 192, 192, 3) unlit colours that belong to the first neutral portraits.
    """

    neutral: np.ndarray
    expressive: np.ndarray
    albedo: np.ndarray


def sample_person(network: LandmarkNet, number: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw one person and look at the portraits.

    Args:
        network: the landmark network.
        number: which person; every number has lots of its own, so that people can be drawn one by one.

    Returns:
        (views + expressions, 468, 3) landmarks, the neutral ones first, and the albedo (192, 192, 3); None when the
        network does not take every portrait for a face.
    """
    rng = np.random.default_rng((SEED, number))
    painter = Painter(random_person(rng))
    states = [Expression(), *(random_view(rng, Expression()) for _ in range(VIEWS - 1))]
    states += [random_expression(rng) for _ in range(EXPRESSIONS)]
    seen = [network(painter.portrait(state, rng)) for state in states]
    if min(sighting.logit for sighting in seen) < MIN_SCORE:
        return None
    return np.stack([sighting.points for sighting in seen]), painter.albedo()


def collect(network: LandmarkNet, people: int) -> Samples:
    """Draw people number 0 to `people` - 1; those the network does not see are left out."""
    drawn = [
        sample_person(network, number) for number in tqdm(range(people), desc="portraits", unit="person", disable=None)
    ]
    kept = [d for d in drawn if d is not None]
    landmarks, albedo = np.stack([d[0] for d in kept]), np.stack([d[1] for d in kept])
    return Samples(landmarks[:, :VIEWS], landmarks[:, VIEWS:], albedo)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares scale s, rotation R, shift t with s source R + t ~ target (Umeyama 1991), row vectors (N, 3)."""
    centre_source, centre_target = source.mean(axis=0), target.mean(axis=0)
    a, b = source - centre_source, target - centre_target
    left, strengths, right = np.linalg.svd(a.T @ b)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((strengths * signs).sum() / (a**2).sum())
    return scale, rotation, centre_target - scale * centre_source @ rotation


def align(points: np.ndarray, target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Move (468, 3) points onto a target by the similarity that fits the chosen ones."""
    scale, rotation, shift = similarity(points[chosen], target[chosen])
    return scale * points @ rotation + shift


def stable_points(mean: np.ndarray) -> np.ndarray:
    """Indices of the upper face that expressions move least: above the nose tip, without lids and brows."""
    moving = mean[[*RIGHT_EYE, *LEFT_EYE, *RIGHT_BROW, *LEFT_BROW]]
    away = np.linalg.norm(mean[:, None] - moving[None], axis=-1).min(axis=1) > 0.08 * EYE_DISTANCE
    return np.flatnonzero(away & (mean[:, 1] > mean[NOSE_TIP, 1]))


def to_face_space(points: np.ndarray) -> np.ndarray:
    """Pixels of the drawing (y down, z smaller when nearer) to y up and z toward the camera, a rotation."""
    return points * np.array([1.0, -1.0, -1.0])


def mirrored(points: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Mirror image of (..., 468, 3) shapes: every point takes the place of its partner across x = 0."""
    return points[..., partner, :] * np.array([-1.0, 1.0, 1.0])


def mirror_partners(mean: np.ndarray) -> np.ndarray:
    """Pair the points of a nearly symmetric face (468, 3) across x = 0; a point on the middle line pairs with itself.

    Returns:
        int64 (468,) with partner[partner] = identity.
    """
    reflected = mean * np.array([-1.0, 1.0, 1.0])
    distances = np.linalg.norm(mean[:, None] - reflected[None], axis=-1)
    return linear_sum_assignment(distances**2)[1]


def symmetric_triangles(triangles: np.ndarray, mean: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """Make the mesh its own mirror image: where diagonals differ, the person's right side (x < 0) is taken for both."""
    known = {tuple(sorted(t)) for t in triangles.tolist()}
    paired = np.array([tuple(sorted(t)) in known for t in partner[triangles].tolist()])
    right = triangles[~paired & (mean[triangles, 0].mean(axis=1) < 0)]
    return np.concatenate([triangles[paired], right, partner[right][:, ::-1]])


def align_all(samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Take the pose out of all samples.

    Returns:
        The symmetric mean (468, 3), neutral shapes (P, views, 468, 3), expression offsets (P, E, 468, 3), all in
        decimetres, and the mirror partners (468,).
    """
    views = samples.neutral.shape[:2]
    neutral = to_face_space(samples.neutral).reshape(-1, COUNT, 3)
    everything = np.arange(COUNT)
    mean = _placed(neutral.mean(axis=0))
    # Found on the mean of all expressions: in its open mouth no two points lie together.
    partner = mirror_partners(_placed(to_face_space(samples.expressive).mean(axis=(0, 1))))
    for _ in range(5):  # the mean and the alignment to it settle within three
        neutral = np.stack([align(face, mean, everything) for face in neutral])
        mean = _placed(neutral.mean(axis=0))
        mean = _placed((mean + mirrored(mean, partner)) / 2)  # the half of both is a little smaller
    chosen = stable_points(mean)
    neutral = np.stack([align(face, mean, chosen) for face in neutral]).reshape(*views, COUNT, 3)
    offsets = np.stack(
        [
            [align(to_face_space(points), face, chosen) - face for points in row]
            for face, row in zip(neutral.mean(axis=1), samples.expressive, strict=True)
        ]
    )
    return mean, neutral, offsets, partner


def _placed(mean: np.ndarray) -> np.ndarray:
    """The mean face where Deep3D has its own: eye distance exact, turned and shifted by the five points."""
    turned = mean @ similarity(five_points(mean), FIVE_POINTS)[1]
    eyes = five_points(turned)
    turned = turned * (EYE_DISTANCE / np.linalg.norm(eyes[1] - eyes[0]))
    return turned + (FIVE_POINTS - five_points(turned)).mean(axis=0)


def principal_components(samples: np.ndarray, count: int) -> np.ndarray:
    """Directions of most variance about zero, each as long as its standard deviation.

    Args:
        samples: (N, ...) centred samples.
        count: how many, if there are so many samples.

    Returns:
        (count, ...) components. Their signs are fixed by a constant random direction: a symmetric rule such as "the
        largest entry is positive" would leave those of antisymmetric components to rounding.
    """
    flat = samples.reshape(len(samples), -1).astype(np.float64)  # in float32 the threads of the solver would show
    count = min(count, *flat.shape)
    if len(flat) < flat.shape[1]:  # the smaller of the two Gram matrices has the same eigenvalues
        eigenvalues, vectors = np.linalg.eigh(flat @ flat.T)
        directions = vectors[:, : -count - 1 : -1].T @ flat
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    else:
        eigenvalues, vectors = np.linalg.eigh(flat.T @ flat)
        directions = vectors[:, : -count - 1 : -1].T
    deviations = np.sqrt(np.maximum(eigenvalues[: -count - 1 : -1], 0) / len(flat))
    signs = np.sign(directions @ np.random.default_rng(SEED).normal(size=flat.shape[1]))
    return (directions * (signs * deviations)[:, None]).reshape(count, *samples.shape[1:])


def sample_albedo(albedo: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Colours of a drawing at the vertices.

    Args:
        albedo: (192, 192, 3).
        vertices: (V, 2) in pixels of the drawing, x then y.

    Returns:
        (V, 3) colours in [0, 1].
    """
    places = vertices[:, ::-1].T - 0.5  # rows, columns; the centre of the first pixel is at 0.5
    return np.stack(
        [ndimage.map_coordinates(albedo[..., c], places, order=1, mode="nearest") for c in range(3)], axis=-1
    )


def build(people: int = PEOPLE) -> dict[str, np.ndarray]:
    """Make the arrays of the model file.

    Args:
        people: how many to draw; a few do not give all components.

    Returns:
        The arrays of `facemesh.npz`; bases as integers with one step size each.
    """
    assets = tracker_assets()
    samples = collect(LandmarkNet(assets.landmarks), people)
    mean, neutral, offsets, partner = align_all(samples)
    triangles = symmetric_triangles(assets.triangles, mean, partner)
    refined = subdivide(mean, triangles)
    modes = [_modes(neutral - mean, partner, IDENTITY_SIZE), _modes(offsets, partner, EXPRESSION_SIZE)]
    shape = unfold(mean, np.concatenate(modes), refined, partner)
    vertices = refined.refine(samples.neutral[:, 0, :, :2].swapaxes(0, 1)).swapaxes(0, 1)
    texture = np.stack([sample_albedo(a, v) for a, v in zip(samples.albedo, vertices, strict=True)])
    texture = np.concatenate([texture, texture[:, refined.mirror(partner)]])
    mean_texture = texture.mean(axis=0)
    return {
        "unbent_mean": mean.astype(np.float32),
        "triangles": triangles.astype(np.int16),
        "mean_texture": (mean_texture * 65535).round().astype(np.uint16),
        "mean_shape": shape.mean.astype(np.float32),
        **_integers("identity", shape.modes[:-EXPRESSION_SIZE], np.int16),
        **_integers("expression", shape.modes[-EXPRESSION_SIZE:], np.int16),
        **_integers("texture", principal_components(texture - mean_texture, TEXTURE_SIZE), np.int8),
        "portraits": np.array([len(samples.neutral)], np.int32),
        "first_landmarks": samples.neutral[0, 0].astype(np.float32),
    }


def _modes(samples: np.ndarray, partner: np.ndarray, count: int) -> np.ndarray:
    """Components of movements (..., 468, 3) and their mirror images."""
    flat = samples.reshape(-1, COUNT, 3)
    return principal_components(np.concatenate([flat, mirrored(flat, partner)]), count)


def _integers(name: str, basis: np.ndarray, kind: type) -> dict[str, np.ndarray]:
    """Components in steps of the largest entry over the largest integer, one step size per component."""
    step = np.maximum(np.abs(basis).max(axis=(1, 2)), np.finfo(np.float32).tiny) / np.iinfo(kind).max
    return {
        f"{name}_basis": (basis / step[:, None, None]).round().astype(kind),
        f"{name}_step": step.astype(np.float32),
    }


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as numpy does, but with a fixed time stamp, so that equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make the embedded morphable face from drawn portraits.")
    parser.add_argument("out", type=Path, help="where to write, for the project: face/models/facemesh.npz")
    parser.add_argument("--people", type=int, default=PEOPLE, help="how many people to draw")
    arguments = parser.parse_args()
    write_npz(arguments.out, build(arguments.people))


if __name__ == "__main__":
    main()
