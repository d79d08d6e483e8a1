from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from datamodules.synthetic.film import make_person_film
from face.camera import Camera, pose_vertices, rotation_matrix
from face.coefficients import ANGLES
from face.crop import crop_around
from face.landmarks import OUTER_EYES
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.reconstructors.closed_form import fit_geometry, identity_per_frame, mesh_tilt
from face.reconstructors.landmark_fit import LandmarkFit, LinearShape, Pose
from face.reconstructors.landmark_forces import forces, residuals
from face.reconstructors.smoothing import parts_between_cuts, smooth, trust_by_fit, whittaker
from face.tracking import track
from media.video import stream_frames

DATA = Path(__file__).parents[2] / "shared/data"
FRAMES, TRAINING = 90, 60


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


def wandering(rng: np.random.Generator, count: int, spread: np.ndarray) -> np.ndarray:
    """(count, K) sums of three slow sines per column with the given spread."""
    time = np.arange(count)[:, None] / 25
    phases, rates = rng.uniform(0, 6.3, (3, len(spread))), rng.uniform(0.2, 0.8, (3, len(spread)))
    return spread * np.mean([np.sin(6.3 * r * time + p) for r, p in zip(rates, phases, strict=True)], 0) * np.sqrt(6)


def film(model: MorphableModel, size: int = 256, noise: float = 0.0) -> dict[str, np.ndarray]:
    """Known coefficients and the landmarks they project to."""
    rng = np.random.default_rng(3)
    identity = rng.normal(size=80)
    expression = wandering(rng, FRAMES, np.full(64, 0.7))
    expression -= np.median(expression[:TRAINING], 0)
    angles = wandering(rng, FRAMES, np.radians([6, 12, 5])) + np.radians([5, -3, 2])
    translation = np.add(wandering(rng, FRAMES, np.array([0.1, 0.08, 0.15])), [0.05, 0.1, -0.8])
    shape = model.shape(*(torch.tensor(a, dtype=torch.float32) for a in (np.tile(identity, (FRAMES, 1)), expression)))
    vertices = shape[:, model.landmark_vertices].double().numpy()
    points = Camera(size).project(pose_vertices(vertices, angles, translation))
    mean = points[..., 2].mean(1, keepdims=True)
    points[..., 2] = (points[..., 2] - mean) * Camera(size).focal / mean + rng.normal(size=(FRAMES, 1)) * 20
    points += rng.normal(size=points.shape) * noise
    return {
        "identity": identity,
        "expression": expression,
        "angles": angles,
        "translation": translation,
        "vertices": vertices,
        "landmarks": points.astype(np.float32),
    }


def vertices_of(model: MorphableModel, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    shape = model.shape(torch.tensor(identity)[None].expand(len(expression), -1), torch.tensor(expression))
    return shape[:, model.landmark_vertices].numpy()


@pytest.mark.parametrize(("size", "noise"), [(256, 0.0), (256, 0.4), (512, 0.0)])
def test_known_coefficients_are_recovered(model: MorphableModel, size: int, noise: float) -> None:
    truth = film(model, size, noise)
    found = fit_geometry(truth["landmarks"], np.ones(FRAMES), model, Camera(size), TRAINING)
    assert np.degrees(np.abs(found.angles - truth["angles"])).max() < 0.5 + 0.5 * noise
    assert np.abs(found.translation[:, :2] - truth["translation"][:, :2]).max() < 0.02
    vertices = vertices_of(model, found.identity, found.expression)
    eyes = np.linalg.norm(np.diff(truth["vertices"][:, list(OUTER_EYES)], axis=1), axis=-1)
    assert (np.linalg.norm(vertices - truth["vertices"], axis=-1) / eyes).mean() < 0.01
    moved, true_moved = vertices - vertices.mean(0), truth["vertices"] - truth["vertices"].mean(0)
    assert ((moved - true_moved) ** 2).sum() < 0.05 * (true_moved**2).sum()  # the expression, as movement of vertices
    assert found.error.max() < 0.01 + 0.01 * noise
    assert {a.dtype for a in vars(found).values() if a is not None} == {np.dtype(np.float32)}
    assert found.identity.shape == (80,)
    assert found.expression.shape == (FRAMES, 64)


def test_a_tilt_of_the_landmarks_is_given_back(model: MorphableModel) -> None:
    truth = film(model)
    tilt = np.radians(2) * np.sin(np.arange(FRAMES) / 4) ** 2
    tilted = truth["landmarks"].copy()
    for points, angles, amount in zip(tilted, truth["angles"], tilt, strict=True):
        axis = rotation_matrix(angles)[0] * [1, -1, -1]  # the head's from ear to ear, in picture axes
        centre = points.mean(0)
        points[:] = (points - centre) @ Rotation.from_rotvec(-amount * axis).as_matrix().T + centre
    kept = fit_geometry(tilted, np.ones(FRAMES), model, Camera(), TRAINING)
    given = fit_geometry(tilted, np.ones(FRAMES), model, Camera(), TRAINING, tilt)
    exact = fit_geometry(truth["landmarks"], np.ones(FRAMES), model, Camera(), TRAINING)
    errors = [np.degrees(np.abs(found.angles - exact.angles)) for found in (kept, given)]
    assert errors[0][:, 0].max() > 1
    assert errors[1].max() < 0.2
    assert np.abs(given.translation[:, :2] - exact.translation[:, :2]).max() < 0.01
    wide = fit_geometry(tilted, np.ones(FRAMES), model, Camera(), TRAINING, 5 * tilt)
    for found in (given, wide):  # no frame is trusted less for it
        np.testing.assert_array_equal(found.expression, kept.expression)
        np.testing.assert_array_equal(found.error, kept.error)


def test_the_mesh_is_taken_to_tilt_with_the_opening_of_the_mouth(model: MorphableModel) -> None:
    landmarks = film(model)["landmarks"]
    lips = np.linalg.norm(landmarks[:, 13] - landmarks[:, 14], axis=-1)
    eyes = np.linalg.norm(landmarks[:, 33] - landmarks[:, 263], axis=-1)
    np.testing.assert_allclose(np.degrees(mesh_tilt(landmarks)), 8 * lips / eyes, rtol=1e-5)


def test_the_error_is_the_mean_distance_in_eye_distances(model: MorphableModel) -> None:
    truth = film(model, noise=0.5)
    found = fit_geometry(truth["landmarks"], np.ones(FRAMES), model, Camera(), TRAINING)
    posed = pose_vertices(vertices_of(model, found.identity, found.expression), found.angles, found.translation)
    for frame in (0, 45, 89):
        points, projected = truth["landmarks"][frame], Camera().project(posed[frame])
        distances = [np.hypot(*(points[i, :2] - projected[i, :2])) for i in range(468)]
        eyes = np.sqrt(((points[OUTER_EYES[0]] - points[OUTER_EYES[1]]) ** 2).sum())
        assert found.error[frame] == pytest.approx(np.mean(distances) / eyes, rel=1e-3)


def test_held_out_frames_change_nothing_before_them(model: MorphableModel) -> None:
    landmarks = film(model)["landmarks"]
    other = landmarks.copy()
    other[TRAINING:] = np.add(landmarks[TRAINING:][::-1], [3, 5, 0])
    first, second = (fit_geometry(p, np.ones(FRAMES), model, Camera(), TRAINING) for p in (landmarks, other))
    np.testing.assert_array_equal(first.identity, second.identity)
    np.testing.assert_array_equal(first.expression[:TRAINING], second.expression[:TRAINING])
    np.testing.assert_array_equal(first.angles[:TRAINING], second.angles[:TRAINING])
    np.testing.assert_array_equal(first.translation[:TRAINING], second.translation[:TRAINING])
    assert np.abs(first.translation[TRAINING:] - second.translation[TRAINING:]).max() > 0.01


def test_bridged_frames_lie_between_their_neighbours(model: MorphableModel) -> None:
    truth = film(model)
    landmarks, confidence = truth["landmarks"].copy(), np.ones(FRAMES)
    gap = [*range(20, 25), *range(57, 63)]  # the second one lies across the cut of the parts
    landmarks[gap] = 300 - landmarks[gap] / 2
    confidence[gap] = 0
    found = fit_geometry(landmarks, confidence, model, Camera(), TRAINING)
    assert np.degrees(np.abs(found.angles[20:25] - truth["angles"][20:25])).max() < 4
    assert np.ptp(found.angles[58:60], axis=0).max() < np.radians(0.3)  # held: the next known frame is another part's
    clean = fit_geometry(truth["landmarks"], np.ones(FRAMES), model, Camera(), TRAINING)
    np.testing.assert_allclose(found.angles[30:50], clean.angles[30:50], atol=np.radians(0.3))
    faces = identity_per_frame(landmarks, confidence, model, Camera())
    np.testing.assert_array_equal(faces[20:25], np.tile(faces[19], (5, 1)))


def test_blurred_frames_follow_their_neighbours(model: MorphableModel, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = film(model, noise=0.4)
    landmarks, blurred = truth["landmarks"].copy(), [12, 30, 31, 70]
    landmarks[blurred] += np.random.default_rng(5).normal(0, 12, landmarks[blurred].shape)
    trusted = fit_geometry(landmarks, np.ones(FRAMES), model, Camera(), TRAINING)
    monkeypatch.setattr("face.reconstructors.closed_form.trust_by_fit", lambda distance, *_: np.ones(len(distance)))
    equal = fit_geometry(landmarks, np.ones(FRAMES), model, Camera(), TRAINING)
    movement = model.expression_basis[:, model.landmark_vertices].double().numpy()
    for frames in (blurred, np.add(blurred, 1)):  # the frames themselves, and what they draw along
        angles = [np.abs(found.angles - truth["angles"])[frames].mean() for found in (trusted, equal)]
        assert angles[0] < 0.6 * angles[1]
        mouths = [
            np.linalg.norm(np.tensordot((found.expression - truth["expression"])[frames], movement, 1), axis=-1).mean()
            for found in (trusted, equal)
        ]
        assert mouths[0] < 0.8 * mouths[1]
    clear = film(model, noise=0.4)["landmarks"]
    without = fit_geometry(clear, np.ones(FRAMES), model, Camera(), TRAINING)
    monkeypatch.undo()
    with_trust = fit_geometry(clear, np.ones(FRAMES), model, Camera(), TRAINING)
    for name in ("angles", "translation", "expression"):  # where no frame is blurred, nothing changes
        np.testing.assert_array_equal(getattr(with_trust, name), getattr(without, name))


def test_trust_is_lost_within_a_part_only() -> None:
    distance, seen = np.array([1.0, 1.1, 4.0, 0.9, 5.0, 5.0, 5.0, 50.0]), np.ones(8, bool)
    seen[7] = False
    trust = trust_by_fit(distance, seen, [slice(0, 4), slice(4, 8)], 0.5)
    np.testing.assert_allclose(trust, [1, 1, (2 * 1.05 / 4) ** 4, 1, 1, 1, 1, 1])
    assert (trust_by_fit(distance, seen, [slice(0, 8)], 100.0) == 1).all()  # near enough
    assert (trust_by_fit(distance, np.zeros(8, bool), [slice(0, 8)], 0.5) == 1).all()


def test_the_identity_of_each_frame_is_near_that_of_the_film(model: MorphableModel) -> None:
    truth = film(model)
    found = identity_per_frame(truth["landmarks"], np.ones(FRAMES), model, Camera())
    assert found.shape == (FRAMES, 80)
    strong = slice(0, 10)
    assert np.corrcoef(found[:, strong].mean(0), truth["identity"][strong])[0, 1] > 0.7


def test_a_model_without_landmark_vertices_is_fitted_by_its_key_points(model: MorphableModel) -> None:
    truth = film(model)
    sparse = load_face_model.__wrapped__() if hasattr(load_face_model, "__wrapped__") else load_face_model()
    sparse.landmark_vertices = torch.zeros(0, dtype=torch.int64)
    found = fit_geometry(truth["landmarks"], np.ones(FRAMES), sparse, Camera(), TRAINING)
    assert np.degrees(np.abs(found.angles - truth["angles"])).mean() < 2
    assert found.error.mean() < 0.01


def test_angles_are_the_inverse_of_the_rotation() -> None:
    angles = np.random.default_rng(0).uniform(-1.2, 1.2, (50, 3))
    np.testing.assert_allclose(Pose(rotation_matrix(angles), np.zeros((50, 3))).angles(), angles, atol=1e-12)


def test_the_right_hand_side_is_the_gradient() -> None:
    rng = np.random.default_rng(1)
    shapes = LinearShape(rng.normal(size=(30, 3)) * 0.5, rng.normal(size=(4, 30, 3)) * 0.1, prior=2.0)
    pose = Pose(rotation_matrix(rng.normal(size=(2, 3)) * 0.3), rng.normal(size=(2, 3)) * 0.1)
    fit = LandmarkFit(rng.uniform(50, 200, (2, 30, 3)), Camera())
    coefficients = rng.normal(size=(2, 4))

    def loss(values: np.ndarray) -> np.ndarray:
        posed = pose_vertices(shapes.at(values), pose.angles(), pose.translation)
        return 0.5 * (residuals(fit.points, posed, fit.camera) ** 2).sum((1, 2)) + 0.5 * 2.0**2 * (values**2).sum(1)

    _, right = fit.linearize(shapes, coefficients, pose)
    for k in range(4):
        nudge = 1e-5 * np.eye(4)[k]
        slope = (loss(coefficients + nudge) - loss(coefficients - nudge)) / 2e-5
        # The mean depth in the weight of the depth is held: a tenth of a percent.
        np.testing.assert_allclose(-slope, right[:, k], rtol=0.02, atol=0.02 * np.abs(right).max())


def test_residuals_are_landmarks_less_projection() -> None:
    rng = np.random.default_rng(5)
    points, posed = rng.uniform(50, 200, (3, 20, 3)), rng.normal(size=(3, 20, 3))
    seen = Camera(200).project(posed)
    found = residuals(points, posed, Camera(200))
    np.testing.assert_allclose(found[..., :2], (points - seen)[..., :2], atol=1e-9)
    pixels = Camera(200).focal / seen[..., 2].mean(1)
    depth = points[..., 2] - seen[..., 2] * pixels[:, None]
    np.testing.assert_allclose(found[..., 2], 0.3 * (depth - depth.mean(1, keepdims=True)), atol=1e-9)


def test_forces_are_the_slope_of_the_squares() -> None:
    rng = np.random.default_rng(6)
    points, shapes = rng.uniform(50, 200, (2, 30, 3)), rng.normal(size=(2, 30, 3)) * 0.5
    rotation, translation = rotation_matrix(rng.normal(size=(2, 3)) * 0.3), rng.normal(size=(2, 3)) * 0.1

    def loss(points_at: np.ndarray, turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
        turned = Pose(rotation, translation).turned_by(np.tile(turn, (2, 1)))
        posed = points_at @ turned + (translation + shift)[:, None]
        return 0.5 * (residuals(points, posed, Camera()) ** 2).sum((1, 2))

    pull, motion = forces(points, shapes, rotation, translation, Camera())
    rest, step = np.zeros(3), 1e-5
    for k, nudge in enumerate(step * np.eye(3)):
        turned = (loss(shapes, nudge, rest) - loss(shapes, -nudge, rest)) / (2 * step)
        shifted = (loss(shapes, rest, nudge) - loss(shapes, rest, -nudge)) / (2 * step)
        moved = shapes.copy(), shapes.copy()
        moved[0][:, 7] += nudge
        moved[1][:, 7] -= nudge
        # The mean depth in the weight of the depth is held: a tenth of a percent.
        limits = {"rtol": 0.02, "atol": 0.02 * np.abs(motion).max()}
        np.testing.assert_allclose(motion[:, k], -turned, **limits)
        np.testing.assert_allclose(motion[:, 3 + k], -shifted, **limits)
        slope = (loss(moved[0], rest, rest) - loss(moved[1], rest, rest)) / (2 * step)
        np.testing.assert_allclose(pull[:, 7, k], -slope, rtol=0.02, atol=0.02 * np.abs(pull).max())


def test_no_frame_depends_on_the_others(model):
    """Whatever is solved at once: harder frames beside them do not give the others more steps."""
    points = film(model, noise=0.5)["landmarks"][:20]
    others = points.copy()
    others[12:] += np.random.default_rng(4).normal(size=others[12:].shape) * 30
    together, beside_others, alone = (
        identity_per_frame(landmarks, np.ones(len(landmarks)), model, Camera())[:12]
        for landmarks in (points, others, points[:12])
    )
    np.testing.assert_allclose(beside_others, together, atol=1e-5)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_normal_matrix_is_that_of_a_weak_perspective() -> None:
    rng = np.random.default_rng(2)
    shapes = LinearShape(np.zeros((20, 3)), rng.normal(size=(5, 20, 3)), prior=3.0)
    rotation = rotation_matrix(rng.normal(size=(1, 3)))
    rows = (shapes.basis @ rotation[0]) * 7.0  # (K, N, 3)
    rows[..., 2] = 0.3 * (rows[..., 2] - rows[..., 2].mean(1, keepdims=True))
    expected = np.array([[(a * b).sum() for a in rows] for b in rows]) + 9 * np.eye(5)
    found = shapes.normal_matrix(rotation, np.array([7.0]))[0]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6 * expected.max())


def test_smoothing_solves_its_least_squares_problem_without_delay() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    second = np.diff(np.eye(40), n=2, axis=0)
    expected = np.linalg.solve(np.eye(40) + 0.7 * second.T @ second, values)
    np.testing.assert_allclose(whittaker(values, 0.7), expected, atol=1e-10)
    trust = np.random.default_rng(1).uniform(0.1, 1, 40)
    expected = np.linalg.solve(np.diag(trust) + 0.7 * second.T @ second, trust[:, None] * values)
    np.testing.assert_allclose(whittaker(values, 0.7, trust), expected, atol=1e-10)
    np.testing.assert_array_equal(whittaker(values, 0.7, np.ones(40)), whittaker(values, 0.7))
    impulse = np.eye(41)[:, [20]]
    np.testing.assert_allclose(whittaker(impulse, 0.7), whittaker(impulse, 0.7)[::-1], atol=1e-12)
    line = np.arange(10.0)[:, None]
    np.testing.assert_allclose(whittaker(line, 5.0), line, atol=1e-9)
    np.testing.assert_array_equal(whittaker(values[:2], 1.0), values[:2])
    parts = smooth(values, np.ones(40, bool), [slice(0, 15), slice(15, 40)], 0.7)
    np.testing.assert_allclose(parts[:15], whittaker(values[:15], 0.7))


def test_cuts_divide_theparts_between_cuts() -> None:
    landmarks = np.zeros((40, 468, 3))
    landmarks[:, OUTER_EYES[1], 0] = 100
    landmarks[:, :, 0] += np.arange(40)[:, None] * 3  # steady movement, fast but no cut
    seen = np.ones(40, bool)
    assert parts_between_cuts(landmarks, seen, 30) == [slice(0, 30), slice(30, 40)]
    landmarks[17:] += [30, 0, 0]
    assert parts_between_cuts(landmarks, seen, 30) == [slice(0, 17), slice(17, 30), slice(30, 40)]


def test_wrong_arguments_are_named(model: MorphableModel) -> None:
    landmarks = np.zeros((5, 468, 3), np.float32)
    with pytest.raises(ValueError, match="expected landmarks"):
        fit_geometry(landmarks[:, :68], np.ones(5), model, Camera(), 3)
    with pytest.raises(ValueError, match="training_frames = 6 of 5"):
        fit_geometry(landmarks, np.ones(5), model, Camera(), 6)
    with pytest.raises(ValueError, match="at least one frame with confidence"):
        fit_geometry(landmarks, np.array([0, 0, 0, 1, 1.0]), model, Camera(), 3)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
def test_real_head_angles_agree_with_another_reconstruction(model: MorphableModel) -> None:
    import av
    from scipy.io import loadmat

    folder = DATA / "deep3d_coefficients"
    with av.open(str(folder / "Obama_clip1.mp4")) as container:  # as recorded, 30 frames a second
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(200), strict=False)]
    tracked = track(frames, "clip")
    landmarks = crop_around(tracked.landmarks[:120]).to_crop(tracked.landmarks)
    found = fit_geometry(landmarks, tracked.confidence, model, Camera(), 120)
    assert 100 * found.error.mean() < 1.5
    reference = loadmat(str(folder / "Obama_clip1.mat"))["coeff"][: len(frames) - 2, 224:227]  # row k is frame k + 2
    correlations = [np.corrcoef(found.angles[2:, i], reference[:, i])[0, 1] for i in range(3)]
    assert min(correlations) > 0.9


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
def test_real_head_angles_agree_on_six_recordings(model: MorphableModel) -> None:
    import av
    from scipy.io import loadmat

    ours, theirs = [], []
    for path in sorted((DATA / "deep3d_coefficients").glob("*.mp4")):
        with av.open(str(path)) as container:  # as recorded, 30 frames a second
            tracked = track((f.to_ndarray(format="rgb24") for f in container.decode(video=0)), path.name)
        landmarks = crop_around(tracked.landmarks).to_crop(tracked.landmarks)
        tilt = mesh_tilt(landmarks)
        found = fit_geometry(landmarks, tracked.confidence, model, Camera(), len(landmarks), tilt)
        reference = loadmat(str(path.with_suffix(".mat")))["coeff"][:, 224:227]  # row k is frame k + 2
        angles = found.angles[2 : 2 + len(reference)]
        ours.append(angles - angles.mean(0))
        theirs.append(reference - reference.mean(0))
    mine, other = np.concatenate(ours), np.concatenate(theirs)
    correlations = [np.corrcoef(mine[:, axis], other[:, axis])[0, 1] for axis in range(3)]
    errors = np.degrees(np.abs(mine - other).mean(0))
    assert (np.array(correlations) >= [0.90, 0.98, 0.99]).all()  # pitch, yaw, roll; seen: 0.938, 0.990, 0.996
    assert (errors <= [1.0, 0.7, 0.5]).all()  # degrees; seen: 0.65, 0.47, 0.27


@pytest.mark.slow
def test_head_angles_of_embedded_people_are_found(model: MorphableModel, tmp_path: Path) -> None:
    errors = []
    for person in (1000, 1001):
        path = tmp_path / f"{person}.mp4"
        make_person_film(path, 8.0, person)
        tracked = track(stream_frames(path), path.name)
        landmarks = crop_around(tracked.landmarks).to_crop(tracked.landmarks)
        found = fit_geometry(landmarks, tracked.confidence, model, Camera(), len(landmarks), mesh_tilt(landmarks))
        truth = np.load(path.with_suffix(".npz"))["chi"][:, ANGLES]
        errors.append(found.angles - found.angles.mean(0) - truth + truth.mean(0))
    pitch, yaw, roll = np.degrees(np.abs(np.concatenate(errors)).mean(0))
    assert pitch < 0.9  # seen: 0.71, 0.39, 0.13
    assert yaw < 0.5
    assert roll < 0.3
    assert (pitch + yaw + roll) / 3 < 0.5
