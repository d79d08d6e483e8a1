from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from scipy.optimize import least_squares
from torch.nn import functional

from face.camera import Camera, pose_vertices
from face.crop import Crop
from face.landmarks import KEY_POINTS_68, five_points
from face.models.registry import load_face_model
from face.reconstructors.alignment import Alignment, align, weak_perspective
from face.reconstructors.deep3d import regress_geometry, solve_translation
from face.reconstructors.geometry import Footage
from face.reconstructors.r_net import RNet, load_r_net
from face.reconstructors.registry import reconstruction_version
from media.digest import sha256
from media.errors import InputError
from tests.basel_face import DEEP3D, basel_file

# Eyes, nose tip, mouth corners of Deep3D's mean face (facts 4.1)
MEAN = [
    [-0.3115, 0.2904, 0.1338],
    [0.3098, 0.2897, 0.1318],
    [0.0033, -0.0462, 0.5524],
    [-0.2522, -0.3813, 0.2241],
    [0.2485, -0.3813, 0.2224],
]
WIDTH, HEIGHT = 320, 240


def checkpoint(path: Path, answer: np.ndarray | None = None) -> Path:
    """A random file of the official layout; with `answer` (257) the network says this of every picture."""
    network = RNet()
    torch.manual_seed(0)
    for head in network.final_layers:
        torch.nn.init.zeros_(head.weight) if answer is not None else torch.nn.init.normal_(head.weight, 0, 0.01)
    if answer is not None:
        parts = torch.tensor(answer, dtype=torch.float32).split([80, 64, 80, 3, 27, 2, 1])
        for head, part in zip(network.final_layers, parts, strict=True):
            head.bias.data.copy_(part)
    adam = torch.optim.Adam(network.parameters(), 1e-4)
    torch.save({"net_recon": network.state_dict(), "opt_00": adam.state_dict(), "sched_00": {"last_epoch": 20}}, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_face_model("bfm", basel_file(tmp_path_factory.mktemp("basel") / "BFM_model_front.mat"))


def faces(count: int = 6) -> np.ndarray:
    """(T, 468, 3) landmarks of the embedded face in a picture, turning and moving."""
    points = load_face_model("facemesh").mean_shape[:468].double().numpy()
    time = np.linspace(0, 1, count)
    angles = np.stack([0.1 * time, 0.3 * time - 0.1, 0.2 - 0.2 * time], -1)
    posed = pose_vertices(np.tile(points, (count, 1, 1)), angles, np.zeros((count, 3)))
    place = np.stack([150 + 30 * time, 110 + 10 * time], -1)
    flat = posed[..., :2] * [70, -70] + place[:, None]
    return np.concatenate([flat, -70 * posed[..., 2:]], -1)


def test_the_similarity_is_that_of_eight_unknowns():
    points = five_points(faces())[3, :, :2]
    rows, right = [], []
    for (x, y, z), (u, v) in zip(MEAN, points, strict=True):
        rows += [[x, y, z, 1, 0, 0, 0, 0], [0, 0, 0, 0, x, y, z, 1]]
        right += [u - 0.5, HEIGHT - 1 - (v - 0.5)]
    k = np.linalg.solve(np.array(rows).T @ rows, np.array(rows).T @ right)
    scale = (np.sqrt((k[:3] ** 2).sum()) + np.sqrt((k[4:7] ** 2).sum())) / 2
    place, found = weak_perspective(points, HEIGHT)
    assert found == pytest.approx(scale)
    np.testing.assert_allclose(place, k[[3, 7]])


def test_the_aligned_picture_is_scaled_then_cut():
    rng = np.random.default_rng(0)
    frame = np.asarray(Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).resize((WIDTH, HEIGHT)))
    points = five_points(faces())[0, :, :2] + [120, 60]  # near a corner: a part of the picture lies beyond the frame
    place, scale = weak_perspective(points, HEIGHT)
    s = 102 / scale
    w, h = int(WIDTH * s), int(HEIGHT * s)
    left = int(w / 2 - 112 + (place[0] - WIDTH / 2) * s)
    up = int(h / 2 - 112 + (HEIGHT / 2 - place[1]) * s)
    expected = np.zeros((224, 224, 3), np.uint8)
    scaled = np.asarray(Image.fromarray(frame).resize((w, h), Image.Resampling.BICUBIC))
    for row in range(max(0, -up), min(224, h - up)):
        for column in range(max(0, -left), min(224, w - left)):
            expected[row, column] = scaled[up + row, left + column]
    assert (expected[-1] == 0).all()
    np.testing.assert_array_equal(align(points, WIDTH, HEIGHT).apply(frame), expected)


def test_points_of_the_aligned_picture_go_back_to_the_frame():
    points = five_points(faces())[2, :, :2]
    how = align(points, WIDTH, HEIGHT)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for spot in points:
        glow = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * 2.5**2))
        aligned = how.apply(np.repeat(glow[..., None], 3, -1).astype(np.uint8))[..., 0].astype(float)
        row, column = np.mgrid[:224, :224] + 0.5
        centre = np.array([(aligned * column).sum(), (aligned * row).sum()]) / aligned.sum()
        np.testing.assert_allclose(how.to_source(centre), spot, atol=0.1)
    # in the middle of the picture, eyes 62 pixels apart: the mean face at 102 pixels a decimetre
    back = (points - how.to_source(np.zeros(2))) / (how.to_source(np.ones(2)) - how.to_source(np.zeros(2)))
    assert np.linalg.norm(back[1] - back[0]) == pytest.approx(0.62 * 102, rel=0.05)
    assert np.abs(back[2] - [112, 112]).max() < 12


def test_the_layout_is_that_of_the_official_checkpoint():
    shapes = {name: tuple(value.shape) for name, value in RNet().state_dict().items()}
    kinds = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = {"backbone.conv1.weight", *(f"backbone.bn1.{kind}" for kind in kinds)}
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name = f"backbone.layer{layer}.{block}"
            expected |= {f"{name}.conv{k}.weight" for k in (1, 2, 3)}
            expected |= {f"{name}.bn{k}.{kind}" for k in (1, 2, 3) for kind in kinds}
            if block == 0:
                expected |= {f"{name}.downsample.0.weight", *(f"{name}.downsample.1.{kind}" for kind in kinds)}
    expected |= {f"final_layers.{k}.{kind}" for k in range(7) for kind in ("weight", "bias")}
    assert set(shapes) == expected
    assert [shapes[f"final_layers.{k}.weight"] for k in range(7)] == [
        (size, 2048, 1, 1) for size in (80, 64, 80, 3, 27, 2, 1)
    ]
    backbone = sum(p.numel() for name, p in RNet().named_parameters() if name.startswith("backbone"))
    assert backbone == 25_557_032 - (2048 * 1000 + 1000)  # ResNet-50 as published, less its classifier


def test_the_network_is_a_resnet_50_whose_stride_is_in_the_3x3_convolution(tmp_path):
    network = load_r_net(checkpoint(tmp_path / "epoch_20.pth"))
    weights = torch.load(tmp_path / "epoch_20.pth", weights_only=True)["net_recon"]
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, scale, shift = (weights[f"{name}.{k}"][:, None, None] for k in
                                   ("running_mean", "running_var", "weight", "bias"))  # fmt: skip
        return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift

    def convolved(x: torch.Tensor, name: str, stride: int = 1, padding: int = 0) -> torch.Tensor:
        return functional.conv2d(x, weights[f"{name}.weight"], stride=stride, padding=padding)

    x = normed(convolved(images, "backbone.conv1", 2, 3), "backbone.bn1").clamp_min(0)
    x = functional.max_pool2d(x, 3, 2, 1)
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name, stride = f"backbone.layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            inner = normed(convolved(x, f"{name}.conv1"), f"{name}.bn1").clamp_min(0)
            inner = normed(convolved(inner, f"{name}.conv2", stride, 1), f"{name}.bn2").clamp_min(0)
            inner = normed(convolved(inner, f"{name}.conv3"), f"{name}.bn3")
            if block == 0:
                x = normed(convolved(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = (x + inner).clamp_min(0)
    feature = x.mean((2, 3))
    heads = [feature @ weights[f"final_layers.{k}.weight"][..., 0, 0].T + weights[f"final_layers.{k}.bias"]
             for k in range(7)]  # fmt: skip
    expected = torch.cat(heads, 1)
    with torch.no_grad():
        found = network(images)
    assert found.shape == (2, 257)
    assert float(expected.std()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_translation_is_the_least_squares_solution():
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(4, 68, 3)) * [0.6, 0.6, 0.3]
    angles = rng.normal(size=(4, 3)) * 0.2
    truth = rng.normal(size=(4, 3)) * [0.3, 0.3, 1.0]
    camera = Camera(256)
    points = camera.project(pose_vertices(shapes, angles, truth))[..., :2]
    np.testing.assert_allclose(solve_translation(shapes, angles, points, camera), truth, atol=1e-9)
    noisy = points + rng.normal(size=points.shape) * 3
    found = solve_translation(shapes, angles, noisy, camera)
    for k in range(4):

        def residual(t: np.ndarray, k: int = k) -> np.ndarray:
            return (camera.project(pose_vertices(shapes[k], angles[k], t))[..., :2] - noisy[k]).ravel()

        np.testing.assert_allclose(found[k], least_squares(residual, np.zeros(3)).x, atol=1e-5)


def test_coefficients_are_kept_and_the_key_points_stand_where_the_network_saw_them(model, tmp_path):
    rng = np.random.default_rng(3)
    chi = rng.normal(size=257) * 0.5
    chi[224:227], chi[254:257] = [0.1, -0.2, 0.05], [0.1, -0.05, 0.4]
    file = checkpoint(tmp_path / "epoch_20.pth", chi)
    landmarks, crop = faces(), Crop(60.0, 20.0, 190.0)
    frames = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * (len(landmarks) + 2)  # the source goes on
    footage = Footage(landmarks, np.ones(len(landmarks)), 4, crop, lambda: iter(frames))
    found = regress_geometry(footage, model, file)
    np.testing.assert_allclose(found.identity, chi[:80], atol=1e-5)
    np.testing.assert_allclose(found.expression, np.tile(chi[80:144], (6, 1)), atol=1e-5)
    np.testing.assert_allclose(found.texture, chi[144:224], atol=1e-5)
    np.testing.assert_allclose(found.illumination, chi[227:254], atol=1e-5)
    np.testing.assert_allclose(found.angles, np.tile(chi[224:227], (6, 1)), atol=1e-5)
    shape = model.shape(*(torch.tensor(chi[part], dtype=torch.float32)[None] for part in (slice(80), slice(80, 144))))
    points = shape[0, list(KEY_POINTS_68)].double().numpy()
    moved = Camera(256).project(pose_vertices(np.tile(points, (6, 1, 1)), found.angles, found.translation))
    ours = crop.to_source(moved[..., :2])
    placed = pose_vertices(points, chi[224:227], chi[254:257])
    x, y = (1015 * placed[:, axis] / (10 - placed[:, 2]) + 112 for axis in (0, 1))  # y up, as Deep3D has it
    for k in range(6):
        place, scale = weak_perspective(five_points(landmarks)[k, :, :2], HEIGHT)
        shrink = 102 / scale
        w, h = int(WIDTH * shrink), int(HEIGHT * shrink)
        left = int(w / 2 - 112 + (place[0] - WIDTH / 2) * shrink)
        up = int(h / 2 - 112 + (HEIGHT / 2 - place[1]) * shrink)
        expected = np.stack([(x + left) * WIDTH / w, (224 - y + up) * HEIGHT / h], -1)
        # two cameras see a turned head from two sides: what no translation can undo
        assert np.linalg.norm(ours[k] - expected, axis=-1).mean() < 1.0
    error = np.linalg.norm(ours - landmarks[:, KEY_POINTS_68, :2], axis=-1).mean(1)
    eyes = np.linalg.norm(landmarks[:, 33, :2] - landmarks[:, 263, :2], axis=-1)
    np.testing.assert_allclose(found.error, error / eyes, rtol=1e-3)


def test_frames_without_a_face_lie_between_their_neighbours(model, tmp_path, monkeypatch):
    count, gap = 8, [2, 3]
    landmarks, confidence = faces(count), np.ones(count)
    confidence[gap] = 0
    seen = []

    def numbered(self: RNet, images: torch.Tensor) -> torch.Tensor:
        """Says of each picture how bright it is."""
        chi = torch.zeros(len(images), 257)
        chi[:, 80] = chi[:, 225] = images.mean((1, 2, 3))
        chi[:, 0] = 100 * images.mean((1, 2, 3)) ** 2
        seen.extend(images.mean((1, 2, 3)).tolist())
        return chi

    monkeypatch.setattr(RNet, "forward", numbered)
    frames = [np.full((900, 900, 3), 10 * k, np.uint8) for k in range(count)]
    landmarks[..., :2] += 300
    footage = Footage(landmarks, confidence, 6, Crop(300.0, 300.0, 300.0), lambda: iter(frames))
    found = regress_geometry(footage, model, checkpoint(tmp_path / "epoch_20.pth"))
    bright = np.array([10 * k / 255 for k in range(count)])
    np.testing.assert_allclose(seen, np.delete(bright, gap), atol=1e-5)  # not looked at
    np.testing.assert_allclose(found.expression[:, 0], bright, atol=1e-5)  # a straight line, so the gap is known
    assert found.identity[0] == pytest.approx(100 * np.median(bright[[0, 1, 4, 5]] ** 2), rel=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "not a file of torch weights"),
        ({"state": {}}, "no weights named net_recon"),
        ({"net_recon": {"conv1.weight": torch.ones(1)}}, "net_recon is not R-Net"),
    ],
)
def test_other_files_are_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=rf"weights\.pth: .*{message}.*epoch_20\.pth") as refusal:
        load_r_net(path)
    assert "\n" not in str(refusal.value)


def test_what_cannot_work_is_refused_before_anything_starts(tmp_path):
    file = tmp_path / "epoch_20.pth"
    with pytest.raises(InputError, match=r"not of facemesh: add face=bfm"):
        reconstruction_version("deep3d", file, "facemesh")
    for given in (None, file):
        with pytest.raises(InputError, match=r"face\.reconstruction_file.*Deep3DFaceRecon_pytorch"):
            reconstruction_version("deep3d", given, "bfm")
    with pytest.raises(InputError, match="known ones: closed_form, deep3d"):
        reconstruction_version("deep3", file, "bfm")
    file.write_bytes(b"weights")
    assert reconstruction_version("deep3d", file, "bfm") == sha256(file)
    assert reconstruction_version("closed_form", file, "facemesh") is None


@pytest.mark.data
@pytest.mark.skipif(not DEEP3D.exists(), reason="needs real coefficients of Deep3D")
@pytest.mark.parametrize("name", ["Obama_clip1", "feifeili_clip1"])
def test_real_coefficients_land_on_the_face_they_were_made_from(name):
    import av

    from face.crop import crop_around
    from face.tracking import track

    recorded, mean = loadmat(DEEP3D / f"{name}.mat"), loadmat(DEEP3D / "similarity_Lm3D_all.mat")["lm"]
    with av.open(str(DEEP3D / f"{name}.mp4")) as container:  # as recorded, 30 frames a second
        frames = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(62), strict=False)]
    landmarks = track(frames, name).landmarks[2:].astype(np.float64)  # row k of the numbers is frame k + 2
    chi, transforms = recorded["coeff"][:60].astype(np.float64), recorded["transform_params"][:60]
    height, width = frames[0].shape[:2]
    # The alignment, found from our landmarks as theirs was from theirs.
    found = [weak_perspective(points, height) for points in five_points(landmarks)[..., :2]]
    ratio = np.array([102 / scale for _, scale in found]) / transforms[:, 2]
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert np.abs(ratio - 1).max() < 0.1
    assert np.abs(np.array([place for place, _ in found]) - transforms[:, 3:]).mean() < 2
    # Their coefficients move the mean key points (their bases are not ours to have) onto the tracked ones.
    posed = pose_vertices(np.tile(mean.astype(np.float64), (60, 1, 1)), chi[:, 224:227], chi[:, 254:257])
    projected = Camera(224).project(posed)[..., :2]
    seen = []
    for (_, _, s, x, y), points in zip(transforms, projected, strict=True):
        w, h = int(width * s), int(height * s)
        corner = int(w / 2 - 112 + (x - width / 2) * s), int(h / 2 - 112 + (height / 2 - y) * s)
        seen.append(Alignment(width, height, w, h, *corner).to_source(points))
    tracked = landmarks[:, KEY_POINTS_68, :2]
    eyes = np.linalg.norm(tracked[:, 36] - tracked[:, 45], axis=-1).mean()
    inner = slice(17, 68)  # the jaws of the two meshes are other lines
    assert np.linalg.norm(np.array(seen) - tracked, axis=-1)[:, inner].mean() < 0.06 * eyes
    # The translation in our camera puts them where they were seen, nearly.
    crop = crop_around(landmarks)
    shapes, where = np.tile(mean.astype(np.float64), (60, 1, 1)), crop.to_crop(np.array(seen))
    translation = solve_translation(shapes, chi[:, 224:227], where, Camera())
    again = Camera().project(pose_vertices(shapes, chi[:, 224:227], translation))[..., :2]
    assert np.linalg.norm(again - where, axis=-1).mean() < 1.0  # pixels of 256
