from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skimage.transform import SimilarityTransform, warp

from face.identity import ARCFACE_TEMPLATE, IDENTITY_ENCODERS, ArcFaceEncoder, CoefficientEncoder, align_faces
from media.digest import sha256
from media.errors import InputError


def linear_network(path: Path, batch: int | str = "N", size: int = 112) -> np.ndarray:
    """Writes a network that pools the picture to 4x4 and multiplies by a matrix; returns the matrix (48, 512)."""
    weights = np.random.default_rng(0).standard_normal((48, 512)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["pooled"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["feature"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("feature", TensorProto.FLOAT, [batch, 512])],
        [numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return weights


def frames_and_points(count: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:256, :256] / 256
    frames = np.stack(
        [np.stack([np.sin(5 * x + k), np.cos(4 * y - k), np.sin(3 * (x + y))], -1) * 100 + 128 for k in range(count)]
    ).astype(np.uint8)
    angle, scale = rng.uniform(-0.3, 0.3, count), rng.uniform(1.2, 1.8, count)
    points = []
    for k in range(count):
        turn = SimilarityTransform(scale=scale[k], rotation=angle[k], translation=(40, 30))
        points.append(turn(ARCFACE_TEMPLATE) + rng.normal(0, 1, (5, 2)))
    return frames, np.array(points)


def test_alignment_equals_scikit_image():
    frames, points = frames_and_points()
    aligned = align_faces(frames, points)
    assert aligned.shape == (5, 3, 112, 112)
    assert aligned.dtype == np.float32
    for k, frame in enumerate(frames):
        # scikit-image counts from pixel centres like the template, our points from pixel corners.
        transform = SimilarityTransform.from_estimate(points[k] - 0.5, ARCFACE_TEMPLATE)
        expected = warp(frame.astype(float), transform.inverse, output_shape=(112, 112), order=1)
        found = aligned[k].transpose(1, 2, 0) * 127.5 + 127.5
        assert np.abs(found - expected)[2:-2, 2:-2].max() < 0.05


@pytest.mark.parametrize("batch", ["N", 1, 4, 32])
def test_arcface_is_network_of_aligned_faces(tmp_path, batch):
    weights = linear_network(tmp_path / "face.onnx", batch)
    frames, points = frames_and_points(7)
    encoder = IDENTITY_ENCODERS["arcface"](tmp_path / "face.onnx")
    features = encoder(frames, points)
    assert features.dtype == np.float32
    pooled = align_faces(frames, points).reshape(7, 3, 4, 28, 4, 28).mean((3, 5)).reshape(7, 48)
    expected = pooled @ weights
    np.testing.assert_allclose(features, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_arcface_records_its_file(tmp_path):
    linear_network(tmp_path / "face.onnx")
    encoder = ArcFaceEncoder(tmp_path / "face.onnx")
    assert encoder.describe()["sha256"] == encoder.sha256 == sha256(tmp_path / "face.onnx")
    assert encoder.describe()["file"] == "face.onnx"
    assert encoder.similarity_threshold == 0.98


def test_arcface_refuses_what_is_not_one(tmp_path):
    with pytest.raises(InputError, match=r"face\.identity_onnx"):
        ArcFaceEncoder(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match=r"text\.onnx: not a network"):
        ArcFaceEncoder(tmp_path / "text.onnx")
    linear_network(tmp_path / "large.onnx", size=128)
    with pytest.raises(InputError, match=r"expected one input \(N, 3, 112, 112\)"):
        ArcFaceEncoder(tmp_path / "large.onnx")


def test_coefficients_keep_their_angles():
    rng = np.random.default_rng(2)
    identity, texture = rng.standard_normal((6, 80)), rng.standard_normal((6, 80))
    features = CoefficientEncoder()(identity, texture)
    assert features.shape == (6, 512)
    assert features.dtype == np.float32
    joined = np.concatenate([identity, texture], 1)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True)
    np.testing.assert_allclose(features @ features.T, joined @ joined.T, atol=1e-5)
    np.testing.assert_array_equal(features, CoefficientEncoder()(identity, texture))


def test_threshold_tells_people_from_frames_of_one():
    """Frames of one person differ by a fifth of what people differ by: alike above the threshold, people below."""
    rng = np.random.default_rng(4)
    people = rng.standard_normal((8, 1, 160))
    frames = (people + 0.2 * rng.standard_normal((8, 10, 160))).reshape(80, 160)
    encoder = CoefficientEncoder()
    features = encoder(frames[:, :80], frames[:, 80:])
    same = np.kron(np.eye(8), np.ones((10, 10))) > 0
    assert (features @ features.T)[same].min() > encoder.similarity_threshold
    assert (features @ features.T)[~same].max() < encoder.similarity_threshold


def test_nothing_seen_is_not_a_division_by_zero():
    assert (CoefficientEncoder()(np.zeros((1, 80)), np.zeros((1, 80))) == 0).all()
