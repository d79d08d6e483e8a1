"""Backgrounds bent by the jaw, against marks painted where the jaws project."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from face.coefficients import EXPRESSION, IDENTITY
from face.landmarks import CHIN
from face.models.morphable_model import mouth_opening_map
from face.models.registry import load_face_model
from face.rendering import Renderer, pose_face
from synthesis.outline import OutlineFollower

SIZE = 256


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(load_face_model(), size=SIZE)


@pytest.fixture(scope="module")
def chi(renderer: Renderer) -> np.ndarray:
    """Two faces alike but for the mouth: shut, and wide open."""
    values = np.zeros((2, 257), np.float32)
    values[:, IDENTITY.start] = 0.5
    opening = mouth_opening_map(renderer.model)
    values[1, EXPRESSION] = 0.15 * opening / (opening @ opening)
    return values


def chin(renderer: Renderer, chi: np.ndarray) -> np.ndarray:
    face = pose_face(renderer.model, renderer.camera, torch.from_numpy(chi))
    return face.projected[:, CHIN, :2].numpy()


def painted(place: np.ndarray) -> torch.Tensor:
    """A bright blot at a place, on grey."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    blot = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / 18)
    return torch.from_numpy((60 + 190 * blot).round().astype(np.uint8)).expand(1, 3, SIZE, SIZE)


@pytest.mark.parametrize(("filmed", "wanted"), [(0, 1), (1, 0)])
def test_the_chin_of_the_background_lies_behind_the_new_chin(
    renderer: Renderer, chi: np.ndarray, filmed: int, wanted: int
) -> None:
    places = chin(renderer, chi)
    assert abs(places[0, 1] - places[1, 1]) > 5
    bent, moved = OutlineFollower(renderer)(painted(places[filmed]), chi[[filmed]], chi[[wanted]])
    found = ndimage.center_of_mass(bent[0, 0].numpy().clip(100) - 100)
    np.testing.assert_allclose(np.add(found, 0.5)[::-1], places[wanted], atol=1.0)
    x, y = places[wanted].astype(int)
    assert moved[0, 0, y, x] == 255


def test_what_is_far_from_the_jaw_stays(renderer: Renderer, chi: np.ndarray) -> None:
    background = torch.randint(0, 256, (1, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.manual_seed(0))
    bent, moved = OutlineFollower(renderer)(background, chi[[0]], chi[[1]])
    still = (moved == 0).expand_as(bent)
    assert (bent[still].int() - background[still].int()).abs().max() <= 2
    jaw = pose_face(renderer.model, renderer.camera, torch.from_numpy(chi[[1]])).projected
    jaw = jaw[0, renderer.model.key_point_vertices[:17], :2]
    rows, columns = np.nonzero(moved[0, 0].numpy())
    distance = torch.cdist(torch.tensor(np.stack([columns, rows], 1) + 0.5).float(), jaw).amin(1)
    assert distance.max() < 44


def test_the_same_face_moves_nothing(renderer: Renderer, chi: np.ndarray) -> None:
    background = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.manual_seed(1))
    bent, moved = OutlineFollower(renderer)(background, chi, chi)
    assert torch.equal(bent, background)
    assert not moved.any()
