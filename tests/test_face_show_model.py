import numpy as np
import pytest
from PIL import Image

from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.show_model import MODES, main


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_face_model()


@pytest.fixture(scope="module")
def sheet(tmp_path_factory) -> np.ndarray:
    path = tmp_path_factory.mktemp("sheet") / "facemesh.png"
    assert main([str(path)]) == 0
    return np.asarray(Image.open(path))


def rows(sheet: np.ndarray, row: int) -> np.ndarray:
    """(6, 180, 144, 3) faces of one of the seven rows."""
    top = 24 + row * 180 + 24 * ((row + 1) // 2)
    cells = [sheet[top : top + 180, 64 + 144 * k : 64 + 144 * (k + 1)] for k in range(MODES)]
    return np.stack(cells).astype(float)


def test_every_mode_moves_the_face_to_two_sides(sheet):
    mean = rows(sheet, 0)[0]
    for row in (1, 3):  # identity, expression: under the light of the mean face
        down, up = rows(sheet, row), rows(sheet, row + 1)
        for k in range(MODES):
            assert min(np.abs(face - mean).mean() for face in (down[k], up[k])) > 0.2
            assert np.abs(down[k] - up[k]).mean() > 0.3
    # colours are linear in the mode where they are not clipped, so the mean face under flat light is between the two
    low, high = rows(sheet, 5), rows(sheet, 6)
    between = (low + high) / 2
    inside = ((low > 20) & (low < 235) & (high > 20) & (high < 235)).all((0, -1))
    assert inside.mean() > 0.3
    assert np.abs(between - between[0])[:, inside].mean() < 1


def test_regions_are_where_the_face_has_them(sheet):
    mean, mouth, eyes, skin = rows(sheet, 0)[:4]
    red = [face[..., 0] - face[..., 1] > 100 for face in (mouth, eyes, skin)]
    assert not (mean[..., 0] - mean[..., 1] > 100).any()
    middles = [np.argwhere(region)[:, 0].mean() / 180 for region in red]
    assert middles[1] < 0.45 < 0.55 < middles[0]  # eyes above the mouth
    assert red[2].sum() > 5 * red[0].sum() > 0
    assert not (red[0] & red[1]).any()


def test_only_a_png(tmp_path, capsys):
    assert main([str(tmp_path / "sheet.gif")]) == 1
    assert capsys.readouterr().err.count("change the ending") == 1
