"""The floors of the house: a package imports only packages below it, read from the source files."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "media": 1,
    "face": 2,
    "datamodules": 3,
    "evaluation": 3,
    "lightning_modules": 4,
    "synthesis": 5,
    "experiments": 6,
}
METRICS = {
    *("frame_values", "psnr", "psnr_atvg", "ssim", "ssim_loops", "landmark_distance", "head_pose", "head_motion"),
    *("motion_spectra", "beat_alignment", "lip_sync", "av_offset", "identity_similarity"),
}  # files of evaluation that take arrays
SOURCES = sorted(path for package in FLOORS for path in (ROOT / package).rglob("*.py"))
NOT_IDEAS = {"utils", "util", "common", "helpers", "core", "misc", "tools"}


def imports(path):
    """Names of all modules that a file imports anywhere, relative ones made absolute."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def ours(path):
    return {tuple(name.split(".")) for name in imports(path) if name.split(".")[0] in FLOORS}


def title(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=title)
def test_imports_go_down(path):
    package = path.relative_to(ROOT).parts[0]
    upwards = {".".join(name) for name in ours(path) if name[0] != package and FLOORS[name[0]] >= FLOORS[package]}
    assert not upwards


@pytest.mark.parametrize("path", [path for path in SOURCES if "lightning_modules" in path.parts], ids=title)
def test_modules_know_metrics_and_nothing_else_of_ours(path):
    others = {name for name in ours(path) if name[0] != "lightning_modules"}
    assert {name for name in others if name[0] != "evaluation" or name[1] not in METRICS} == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if "evaluation" in path.parts], ids=title)
def test_only_measure_knows_faces(path):
    packages = {name[0] for name in ours(path)} - {"evaluation"}
    if path.stem == "measure":
        return
    assert "face" not in packages
    if path.stem in METRICS:
        assert packages == set()
        assert {name[1] for name in ours(path)} <= METRICS


@pytest.mark.parametrize("path", SOURCES, ids=title)
def test_no_torchvision(path):
    """It has no build beside the processor-only torch of some machines."""
    assert "torchvision" not in {name.split(".")[0] for name in imports(path)}


def test_packages_are_the_ones_with_a_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(FLOORS)


def test_folders_and_files_are_named_after_ideas():
    assert not [title(path) for path in SOURCES if {path.stem, *path.relative_to(ROOT).parts} & NOT_IDEAS]


def test_heavy_packages_wait_until_settings_are_checked():
    """A mistyped setting is answered at once: what run.py imports at the top imports neither torch nor Lightning."""
    seen, waiting = set(), [("experiments", "run")]
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name).with_suffix(".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            roots = {module.split(".")[0] for module in found}
            assert not roots & {"torch", "pytorch_lightning", "librosa", "numba", "wandb", "matplotlib"}, (name, found)
            waiting += [tuple(module.split(".")[:size]) for module in found for size in (2, 3)]
    assert ("experiments", "settings") in seen


def test_the_reader_of_imports_finds_all_forms(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_floors.ROOT", tmp_path)
    (tmp_path / "synthesis").mkdir()
    file = tmp_path / "synthesis" / "a.py"
    file.write_text("import media.video\nfrom face import crop\nfrom . import b\ndef f():\n    from .c import d\n")
    assert imports(file) == {"media.video", "face.crop", "synthesis.b", "synthesis.c.d"}
