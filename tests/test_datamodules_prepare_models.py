"""Preparation with the face model and the reconstruction of the paper, on files of their layout."""

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import prepare
from datamodules.clip import Clip
from datamodules.prepare import prepare_video
from experiments.fit import make_audio2pose, person_statistics
from experiments.settings import compose
from face.albedo import ALBEDOS
from face.camera import Camera, pose_vertices
from face.coefficients import ANGLES, EXPRESSION, IDENTITY, ILLUMINATION, TEXTURE, TRANSLATION
from face.landmarks import KEY_POINTS_68
from face.models.registry import load_face_model
from face.reconstructors.r_net import RNet
from face.rendering import Renderer
from media.errors import InputError
from tests.basel_face import basel_file
from tests.test_datamodules_prepare import write_film


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_film(tmp_path_factory.mktemp("film") / "photo.mp4")


@pytest.fixture(scope="module")
def basel(tmp_path_factory) -> Path:
    return basel_file(tmp_path_factory.mktemp("basel") / "BFM_model_front.mat")


@pytest.fixture(scope="module")
def clip(film, basel, tmp_path_factory) -> Clip:
    cache = tmp_path_factory.mktemp("cache")
    return prepare_video(film, cache, train_seconds=2.0, face_model="bfm", face_model_file=basel)


def projected(clip: Clip, basel: Path) -> np.ndarray:
    """(T, 68, 2) crop pixels of the key points of the coefficients."""
    model, chi = load_face_model("bfm", basel), torch.from_numpy(clip.coefficients)
    points = model.shape(chi[:, IDENTITY], chi[:, EXPRESSION])[:, model.key_point_vertices]
    return Camera(256).project(pose_vertices(points, chi[:, ANGLES], chi[:, TRANSLATION]))[..., :2].numpy()


def test_a_clip_of_the_basel_face_stands_on_the_tracked_key_points(clip, basel):
    tracked = clip.crop.to_crop(clip.landmarks)[..., :2]
    eyes = np.linalg.norm(tracked[:, 33] - tracked[:, 263], axis=-1)
    error = np.linalg.norm(projected(clip, basel) - tracked[:, KEY_POINTS_68], axis=-1).mean(1) / eyes
    assert error.mean() < 0.03
    np.testing.assert_allclose(error, clip.fit_error, atol=0.01)
    assert np.isfinite(clip.coefficients).all()
    assert np.abs(clip.coefficients[0, ILLUMINATION]).max() > 0  # from the pixels
    assert np.linalg.norm(clip.identity_features, axis=1) == pytest.approx(1, abs=1e-5)


def test_it_can_be_rendered_and_learned_from(clip, basel):
    model = load_face_model("bfm", basel)
    module = make_audio2pose(compose([]), model, person_statistics(clip, model))
    assert all(torch.isfinite(getattr(module, name)).all() for name in module.person_buffers)
    opening = module.mouth_opening @ torch.from_numpy(clip.coefficients[clip.training][:, EXPRESSION]).T
    assert float(opening.std(correction=0)) == pytest.approx(1, rel=1e-4)
    renderer, chi = Renderer(model), torch.from_numpy(clip.coefficients[:3])
    albedo = ALBEDOS["low_frequency"](np.empty(0), chi, renderer)
    image = renderer.render(chi, albedo)
    true = torch.from_numpy(clip.frames(slice(0, 3))).permute(0, 3, 1, 2) / 255
    inside = image.mask > 0.9
    assert 0.1 < inside.float().mean() < 0.7
    assert ((image.image - true).abs() * inside).sum() / inside.sum() / 3 < 0.15  # a face of about this colour


def test_the_bytes_of_the_file_name_the_clip(clip, film, basel, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "track_and_write", lambda *a, **k: pytest.fail("tracked again"))
    moved = tmp_path / "another name.mat"
    moved.write_bytes(basel.read_bytes())
    settings = {"train_seconds": 2.0, "face_model": "bfm"}
    assert prepare_video(film, clip.folder.parent, face_model_file=moved, **settings).folder == clip.folder
    changed = basel_file(tmp_path / "changed.mat", meantex=np.ones((1, 3 * len(load_face_model().mean_shape))))
    with pytest.raises(pytest.fail.Exception, match="tracked again"):
        prepare_video(film, clip.folder.parent, face_model_file=changed, **settings)


def test_files_are_asked_for_before_the_video_is_tracked(film, basel, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "track_and_write", lambda *a, **k: pytest.fail("tracked"))
    with pytest.raises(InputError, match=r"faces\.dmi\.unibas\.ch"):
        prepare_video(film, tmp_path, face_model="bfm", face_model_file=tmp_path / "nowhere.mat")
    with pytest.raises(InputError, match="epoch_20"):
        prepare_video(film, tmp_path, face_model="bfm", face_model_file=basel, reconstruction="deep3d")
    with pytest.raises(InputError, match="not of facemesh"):
        prepare_video(film, tmp_path, reconstruction="deep3d", reconstruction_file=basel)


def test_the_coefficients_of_deep3d_are_kept(clip, film, basel, tmp_path, monkeypatch):
    answer = np.zeros(257, np.float32)
    answer[:80], answer[144:224], answer[227:254] = 0.1, 0.2, 0.3
    turns = []

    def regress(self: RNet, images: torch.Tensor) -> torch.Tensor:
        """In place of a minute of ResNet-50: the mean face, opening a little with every picture."""
        assert images.shape[1:] == (3, 224, 224)
        chi = torch.tensor(answer).repeat(len(images), 1)
        chi[:, 80] = 0.01 * torch.arange(len(turns), len(turns) + len(images))
        turns.extend(images)
        return chi

    monkeypatch.setattr(RNet, "forward", regress)
    file = tmp_path / "epoch_20.pth"
    torch.save({"net_recon": RNet().state_dict()}, file)
    made = prepare_video(
        film,
        tmp_path / "cache",
        train_seconds=2.0,
        face_model="bfm",
        face_model_file=basel,
        reconstruction="deep3d",
        reconstruction_file=file,
    )
    assert len(turns) == len(made) == len(clip)
    chi = made.coefficients
    for part in (IDENTITY, TEXTURE, ILLUMINATION):
        np.testing.assert_allclose(chi[:, part], np.tile(answer[part], (len(chi), 1)), atol=1e-5)
    np.testing.assert_allclose(chi[:, EXPRESSION.start], 0.01 * np.arange(len(chi)), atol=1e-4)
    # The alignment puts a frontal mean face, t = 0, nearly onto the face of the photo.
    tracked = clip.crop.to_crop(clip.landmarks)[..., :2]
    eyes = np.linalg.norm(tracked[:, 33] - tracked[:, 263], axis=-1)
    middle = np.linalg.norm((projected(made, basel) - tracked[:, KEY_POINTS_68])[:, 17:].mean(1), axis=-1)
    assert (middle / eyes).max() < 0.3
