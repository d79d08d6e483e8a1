import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from face import build_facemesh as build
from face.assets import tracker_assets
from face.landmark_net import LandmarkNet
from face.landmarks import COUNT, five_points
from face.models.facemesh import FILE as SHIPPED
from face.tracking import track
from media.video import stream_frames

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data"


@pytest.fixture(scope="module")
def network() -> LandmarkNet:
    return LandmarkNet(tracker_assets().landmarks)


def test_the_shipped_model_begins_with_the_portraits_drawn_here(network: LandmarkNet) -> None:
    sample = build.sample_person(network, 0)
    assert sample is not None
    with np.load(SHIPPED) as shipped:
        np.testing.assert_allclose(
            sample[0][0], shipped["first_landmarks"], atol=0.02
        )  # pixels; other processors round
        assert 0.9 * build.PEOPLE < shipped["portraits"].item() <= build.PEOPLE


def test_people_do_not_depend_on_who_is_drawn_before(network: LandmarkNet) -> None:
    alone, after = build.sample_person(network, 2), None
    for number in (1, 2):
        after = build.sample_person(network, number)
    assert alone is not None
    assert after is not None
    np.testing.assert_array_equal(alone[0], after[0])
    np.testing.assert_array_equal(alone[1], after[1])


def test_a_small_build_has_the_shipped_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "EXPRESSIONS", 10)
    arrays = build.build(people=9)
    with np.load(SHIPPED) as shipped:
        assert set(arrays) == set(shipped.files)
        for name, array in arrays.items():
            assert array.dtype == shipped[name].dtype
            if not name.startswith(("texture", "identity")):  # nine people do not have eighty components
                assert array.shape == shipped[name].shape
        np.testing.assert_array_equal(arrays["triangles"], shipped["triangles"])
        drift = np.linalg.norm(arrays["mean_shape"] - shipped["mean_shape"], axis=1)
        assert drift.mean() < 0.02  # decimetres: nine people already have nearly the same mean
    eyes = five_points(arrays["mean_shape"])
    assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(0.62, abs=1e-5)


def test_similarity_recovers_a_known_motion() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3))
    rotation = Rotation.from_euler("xyz", [0.4, -1.0, 2.0]).as_matrix()
    target = 1.7 * points @ rotation + [1.0, -2.0, 3.0]
    scale, found, shift = build.similarity(points, target)
    assert scale == pytest.approx(1.7)
    np.testing.assert_allclose(found, rotation, atol=1e-12)
    np.testing.assert_allclose(shift, [1, -2, 3], atol=1e-12)
    # With noise: no better rotation than that of an independent solver.
    noisy = target + rng.normal(0, 0.1, target.shape)
    reference, _ = Rotation.align_vectors(noisy - noisy.mean(0), points - points.mean(0))
    np.testing.assert_allclose(build.similarity(points, noisy)[1], reference.as_matrix().T, atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 20, 3), (200, 5, 3)])
def test_components_agree_with_a_singular_value_decomposition(shape: tuple[int, ...]) -> None:
    samples = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])[:, None]
    components = build.principal_components(samples, 4).reshape(4, -1)
    _, strengths, directions = np.linalg.svd(samples.reshape(len(samples), -1), full_matrices=False)
    np.testing.assert_allclose(np.linalg.norm(components, axis=1), strengths[:4] / np.sqrt(len(samples)))
    cosine = (components * directions[:4]).sum(axis=1) / np.linalg.norm(components, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1)


def test_mirrored_samples_give_symmetric_or_antisymmetric_components() -> None:
    with np.load(SHIPPED) as shipped:
        mean = shipped["mean_shape"].astype(np.float64)
        partner = build.mirror_partners(mean)
        np.testing.assert_array_equal(partner[partner], np.arange(COUNT))
        np.testing.assert_allclose(build.mirrored(mean, partner), mean, atol=1e-6)
        for name in ("identity", "expression"):
            basis = shipped[f"{name}_basis"] * shipped[f"{name}_step"][:, None, None].astype(np.float64)
            even = np.abs(build.mirrored(basis, partner) - basis).max(axis=(1, 2))
            odd = np.abs(build.mirrored(basis, partner) + basis).max(axis=(1, 2))
            assert (np.minimum(even, odd) < 4 * shipped[f"{name}_step"]).all()


def test_symmetric_triangles_are_their_own_mirror_image() -> None:
    triangles = tracker_assets().triangles
    with np.load(SHIPPED) as shipped:
        mean = shipped["mean_shape"].astype(np.float64)
    partner = build.mirror_partners(mean)
    made = build.symmetric_triangles(triangles, mean, partner)
    assert made.shape == triangles.shape
    known = {tuple(sorted(t)) for t in made.tolist()}
    assert len(known) == len(made)
    assert {tuple(sorted(t)) for t in partner[made].tolist()} == known
    assert len(known & {tuple(sorted(t)) for t in triangles.tolist()}) > 830  # only a few diagonals change


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.float32([1.5])}
    for name in ("one.npz", "two.npz"):
        build.write_npz(tmp_path / name, arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(io.BytesIO((tmp_path / "one.npz").read_bytes())) as read:
        np.testing.assert_array_equal(read["a"], arrays["a"])
        np.testing.assert_array_equal(read["b"], arrays["b"])


def test_two_processes_build_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from face import build_facemesh as build;"
        "build.EXPRESSIONS = 10; build.write_npz(Path(sys.argv[1]), build.build(people=9))"
    )
    made = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for path in made:
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, cwd=ROOT, timeout=200)
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_build_gives_the_shipped_model() -> None:
    arrays = build.build()
    with np.load(SHIPPED) as shipped:
        np.testing.assert_allclose(arrays["mean_shape"], shipped["mean_shape"], atol=1e-4)
        for name in ("identity", "expression", "texture"):
            made, kept = (a[f"{name}_basis"] * a[f"{name}_step"][:, None, None] for a in (arrays, shipped))
            flat = made.reshape(len(made), -1), kept.reshape(len(kept), -1)
            np.testing.assert_allclose(*(np.linalg.norm(f, axis=1) for f in flat), rtol=0.02)
            # Components of nearly equal strength may mix; the space they span is what counts.
            basis, _ = np.linalg.qr(flat[0].T)
            rest = flat[1] - flat[1] @ basis @ basis.T
            assert (rest**2).sum() < 1e-4 * (flat[1] ** 2).sum()


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs the real recordings")
@pytest.mark.parametrize("name", ["yi31", "orange_19s", "window_19s", "garden_10s"])
def test_components_explain_how_real_faces_move(name: str) -> None:
    path = DATA / f"personal/{name}.mp4"
    points = build.to_face_space(track(stream_frames(path, 0, 75), source=name).landmarks.astype(np.float64))
    with np.load(SHIPPED) as shipped:
        mean = shipped["mean_shape"].astype(np.float64)
        basis = (shipped["expression_basis"] * shipped["expression_step"][:, None, None]).reshape(64, -1)
    stable = build.stable_points(mean)
    aligned = np.stack([build.align(face, mean, stable) for face in points])
    aligned = np.stack([build.align(face, aligned.mean(axis=0), stable) for face in points])
    movement = (aligned - aligned.mean(axis=0)).reshape(len(points), -1)
    rest = movement - np.linalg.lstsq(basis.T, movement.T, rcond=None)[0].T @ basis
    assert (rest**2).sum() < 0.005 * (movement**2).sum()
