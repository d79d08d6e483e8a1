import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from face.convert_bfm import main
from face.models.bfm import load_bfm

FULL, TRIMMED, KEPT, COMPONENTS = 300, 250, 200, 70


@pytest.fixture
def sources(tmp_path) -> dict[str, Path]:
    """Random files of the layout of the official ones (facts 4.4), with fewer vertices and components."""
    rng = np.random.default_rng(0)
    files = {
        "basel": tmp_path / "01_MorphableModel.mat",
        "expressions": tmp_path / "Exp_Pca.bin",
        "deviations": tmp_path / "std_exp.txt",
        "front": tmp_path / "BFM_front_idx.mat",
        "trim": tmp_path / "BFM_exp_idx.mat",
        "info": tmp_path / "facemodel_info.mat",
    }
    basel = {}
    for part in ("shape", "tex"):
        basel[f"{part}MU"] = rng.normal(size=(3 * FULL, 1)).astype(np.float32) * 1e5
        basel[f"{part}PC"] = rng.normal(size=(3 * FULL, 90)).astype(np.float32)
        basel[f"{part}EV"] = rng.uniform(1e3, 1e5, (90, 1)).astype(np.float32)
    savemat(files["basel"], basel)
    numbers = rng.normal(size=(COMPONENTS + 1, TRIMMED * 3)).astype("<f4")
    files["expressions"].write_bytes(struct.pack("<i", COMPONENTS) + numbers.tobytes())
    files["deviations"].write_text(" ".join(f"{v:.2f}" for v in rng.uniform(1e3, 4e5, COMPONENTS)))
    savemat(files["front"], {"idx": 1.0 + rng.permutation(TRIMMED)[:KEPT, None]})
    savemat(files["trim"], {"trimIndex": 1.0 + rng.permutation(FULL)[:TRIMMED, None]})
    triangles = np.arange(KEPT - 2)[:, None] + [1.0, 2, 3]  # a strip
    triangles[1::2] = triangles[1::2, ::-1]
    savemat(
        files["info"],
        {
            "tri": triangles,
            "point_buf": np.ones((KEPT, 8)),
            "tri_mask2": triangles,
            "keypoints": 1.0 + rng.permutation(KEPT)[None, :68],
            "frontmask2_idx": np.ones((9, 1)),
            "skinmask": np.ones((1, KEPT)),
        },
    )
    return files


def command(sources, out):
    return [*(text for name, path in sources.items() for text in (f"--{name}", str(path))), str(out)]


def test_every_number_goes_where_deep3d_puts_it(sources, tmp_path):
    out = tmp_path / "BFM_model_front.mat"
    assert main(command(sources, out)) == 0
    made, basel = loadmat(out), loadmat(sources["basel"])
    front, trim = loadmat(sources["front"])["idx"], loadmat(sources["trim"])["trimIndex"]
    expression = np.frombuffer(sources["expressions"].read_bytes()[4:], "<f4").reshape(COMPONENTS + 1, TRIMMED, 3)
    deviations = np.array(sources["deviations"].read_text().split(), float)
    for vertex in range(0, KEPT, 7):
        trimmed = int(front[vertex, 0]) - 1
        full = int(trim[trimmed, 0]) - 1
        for axis in range(3):
            row, source = 3 * vertex + axis, 3 * full + axis
            assert made["meanshape"][0, row] == pytest.approx(basel["shapeMU"][source, 0] / 1e5, rel=1e-5)
            assert made["meantex"][0, row] == pytest.approx(basel["texMU"][source, 0], rel=1e-5)
            for k in (0, 41, 79):
                size = basel["shapePC"][source, k] * basel["shapeEV"][k, 0] / 1e5
                assert made["idBase"][row, k] == pytest.approx(size, rel=1e-5)
                size = basel["texPC"][source, k] * basel["texEV"][k, 0]
                assert made["texBase"][row, k] == pytest.approx(size, rel=1e-5)
            for k in (0, 30, 63):
                size = expression[k + 1, trimmed, axis] * deviations[k] / 1e5
                assert made["exBase"][row, k] == pytest.approx(size, rel=1e-5)
    assert made["point_buf"].shape == (KEPT, 8)
    np.testing.assert_array_equal(made["keypoints"], loadmat(sources["info"])["keypoints"])


def test_what_is_made_is_a_face_model(sources, tmp_path):
    out = tmp_path / "BFM_model_front.mat"
    main(command(sources, out))
    model = load_bfm(out)
    assert model.mean_shape.shape == (KEPT, 3)
    assert model.expression_basis.shape == (64, KEPT, 3)


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("basel", Path.unlink, "01_MorphableModel.mat: no such file"),
        ("expressions", Path.unlink, "Exp_Pca.bin: no such file"),
        ("expressions", shorter, "Exp_Pca.bin: .* copy the file again"),
        ("deviations", lambda path: path.write_text("1 2 x"), "std_exp.txt: cannot be read as numbers"),
        ("deviations", lambda path: path.write_text("1 2 3"), "std_exp.txt: has 3 numbers, 64 are needed"),
        ("deviations", Path.unlink, "std_exp.txt: cannot be read"),
        ("front", lambda path: savemat(path, {"idx": np.full((5, 1), 999)}), "idx names vertex 999 of 250"),
        ("trim", lambda path: savemat(path, {"trimIndex": np.ones((5, 1))}), "trimIndex names 5 vertices"),
        ("trim", lambda path: savemat(path, {"other": np.ones((5, 1))}), "has no field trimIndex"),
        ("front", lambda path: savemat(path, {"idx": np.ones((5, 1))}), "names vertex 200 of 5"),
    ],
)
def test_unfit_files_are_named_in_one_line(sources, name, spoil, message, tmp_path, capsys):
    import re

    spoil(sources[name])
    assert main(command(sources, tmp_path / "out.mat")) == 1
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.mat").exists()
