import time
from pathlib import Path

import numpy as np
import pytest
import torch

from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, SIZE, TRANSLATION
from face.illumination import irradiance
from face.inspect import inspect_video, main
from face.inspection_panels import (
    PoseCurves,
    albedo_panel,
    flat_light,
    geometry_panel,
    label,
    light_panel,
    mesh_edges,
    tracking_panel,
)
from face.landmarks import COUNT
from face.models.registry import load_face_model
from face.rendering import Renderer
from media.audio import read_audio
from media.video import VideoWriter, probe, read_frames
from tests.moving_photo import film, pictures
from tests.sphere_face import SphereFace

AMBIENT, DIRECTED = np.pi / np.sqrt(4 * np.pi), 2 * np.pi / np.sqrt(4 * np.pi)  # bands 0 and 1 of a Lambertian surface


def noise(size: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (size, size, 3)).astype(np.uint8)


def test_flat_light_is_one_everywhere():
    normals = torch.nn.functional.normalize(torch.randn(1, 100, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    torch.testing.assert_close(irradiance(normals, flat_light()[None]), torch.ones(1, 100, 3))


def test_every_edge_once():
    triangles = np.array([[0, 1, 2], [2, 1, 3], [3, 1, 0]])
    assert mesh_edges(triangles).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]


def test_tracking_panel_marks_landmarks_and_leaves_the_rest():
    picture = np.zeros((64, 64, 3), np.uint8)
    landmarks = np.full((COUNT, 3), 30.5)
    landmarks[7] = (50.5, 20.5, 0)  # on no ring but the right eye's, whose neighbours are at (30, 30)
    panel = tracking_panel(picture, landmarks, np.array([[0, 1]]))
    red = np.argwhere((panel == (255, 70, 90)).all(-1)).tolist()
    assert red == [[20, 50], [30, 30]]
    assert not panel[:, :28].any()
    assert not panel[34:].any()
    assert not picture.any()


def test_rendered_panels_of_a_sphere():
    renderer = Renderer(SphereFace(mouth=False), size=64)
    chi, picture = np.zeros(SIZE, np.float32), noise()
    albedo = albedo_panel(chi, renderer.model.mean_texture, renderer)
    np.testing.assert_allclose(albedo[32, 32], np.array([0.7, 0.5, 0.4]) * 255, atol=1)
    np.testing.assert_allclose(albedo[32, 20], albedo[32, 32], atol=1)  # no shading
    assert np.unique(albedo[:4]).size == 1
    geometry = geometry_panel(picture, chi, renderer)
    np.testing.assert_array_equal(geometry[:4], picture[:4])
    assert np.ptp(geometry[32, 32]) <= 1  # grey
    assert geometry[20, 32, 0] > geometry[44, 32, 0] + 30  # lit from above


def test_light_on_a_sphere():
    gamma = np.zeros(27, np.float32)
    uniform, brightest = light_panel(gamma, 200)
    assert brightest == pytest.approx(0.8 * AMBIENT, abs=1e-5)
    assert (uniform == 255).all(-1).sum() == pytest.approx(np.pi * 70**2, rel=0.03)
    gamma[3] = -0.2  # red light from the right
    panel, brightest = light_panel(gamma, 200)
    assert brightest == pytest.approx(0.8 * AMBIENT + 0.2 * DIRECTED, rel=5e-3)  # the outermost pixel's centre
    for column in (65, 99, 134):
        red = 0.8 * AMBIENT + 0.2 * DIRECTED * (column + 0.5 - 100) / 70
        np.testing.assert_allclose(panel[100, column], 255 * np.array([red, *2 * [0.8 * AMBIENT]]) / brightest, atol=1)
    np.testing.assert_array_equal(panel[0], np.full((200, 3), panel[0, 0, 0]))


@pytest.mark.parametrize("bottom", [False, True])
def test_label_stays_in_its_bar(bottom):
    panel = noise(100)
    written = label(panel, ["one", "two"], bottom)
    bar = slice(62, 100) if bottom else slice(0, 39)
    changed = (written != panel).any((1, 2))
    assert changed[bar].all()
    assert changed.sum() <= 39
    assert written[bar].max() == 255  # the letters


def test_cursor_moves_evenly_over_curves_that_stay():
    chi = np.zeros((101, SIZE), np.float32)
    chi[:, ANGLES] = np.random.default_rng(0).normal(0, 0.1, (101, 3))
    curves = PoseCurves(chi, 640, 200)
    first, place = curves.at(0), {}
    assert first.shape == (200, 640, 3)
    for frame in (25, 50, 75, 100):
        changed = np.flatnonzero((curves.at(frame) != first).any((0, 2)))
        place[frame] = changed[changed > changed[0] + 5].mean()  # less the first cursor's own columns
    steps = np.diff(list(place.values()))
    assert np.ptp(steps) <= 2
    assert steps.mean() == pytest.approx(640 / 4, rel=0.2)
    np.testing.assert_array_equal(curves.at(0), first)


def test_curves_of_one_frame():
    assert PoseCurves(np.zeros((1, SIZE), np.float32), 320, 100).at(0).shape == (100, 320, 3)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "photo.mp4"
    sound = 0.3 * np.sin(np.arange(12 * 640) * 0.2).astype(np.float32)
    with VideoWriter(path, 256, 256, audio=sound, crf=10) as writer:
        for picture in pictures(12):
            writer.write(picture)
    return path


@pytest.fixture(scope="module")
def inspection(video, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("out") / "inspection.mp4"
    assert main([str(video), "--out", str(output)]) == 0
    return output


def test_film_has_all_frames_and_the_sound(video, inspection):
    info = probe(inspection)
    assert (info.width, info.height, info.frames) == (1280, 520, 12)
    theirs, ours = read_audio(video)[:7000], read_audio(inspection)[:7000]
    assert np.corrcoef(theirs, ours)[0, 1] > 0.99


def test_film_shows_the_face_where_it_is(inspection):
    """What the geometry panel changes of the picture is the face, and the albedo panel shows it at the same place."""
    frame = read_frames(inspection, 5, 6)[0].astype(int)
    tracking, geometry, albedo, light = (frame[24:280, left : left + 320] for left in (0, 320, 640, 960))
    covered = np.abs(tracking - geometry).max(-1) > 25
    face = np.abs(albedo - 40).max(-1) > 25
    both = (covered & face).sum() / (covered | face).sum()
    assert both > 0.75
    assert 0.15 < face.mean() < 0.75
    assert light[128, 160].min() > 60


def test_film_of_the_first_part(video, tmp_path):
    inspect_video(video, tmp_path / "short.mp4", seconds=0.2)
    assert probe(tmp_path / "short.mp4").frames == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4", "--out", "x.mp4"], "missing.mp4: no such file"),
        (["black.mp4", "--out", "x.mp4"], r"black.mp4 from frame 0 (0.00 s) on"),
        (["black.mp4", "--out", "x.mp4", "--seconds", "0"], "--seconds is 0"),
        (["black.mp4", "--out", "x.mp4", "--seconds", "nan"], "--seconds is nan"),
        (["black.mp4", "--out", "x.gif"], "x.gif: a video is written as"),
        (["black.mp4", "--out", "black.mp4/x.mp4"], "cannot be written"),
    ],
)
def test_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "black.mp4", frames=2, change=lambda picture, _: 0 * picture)
    assert main(arguments) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["black.mp4"]


def test_ten_frames_a_second():
    renderer, side = Renderer(load_face_model(), size=320), 320
    chi, picture = np.zeros(SIZE, np.float32), noise(side)
    chi[TRANSLATION] = 0, 0, 0.5
    vertices = renderer.model.mean_shape[renderer.model.landmark_vertices].numpy()
    landmarks = Camera(side).project(pose_vertices(vertices, chi[ANGLES], chi[TRANSLATION]))
    edges, curves = mesh_edges(renderer.model.triangles.numpy()[:852]), PoseCurves(np.tile(chi, (50, 1)), 1280, 200)
    edges = edges[(edges < COUNT).all(1)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for frame in range(5):
            start = time.process_time()
            tracking_panel(picture, landmarks, edges)
            geometry_panel(picture, chi, renderer)
            albedo_panel(chi, renderer.model.mean_texture, renderer)
            curves.at(frame)
            times.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(times) < 0.1
