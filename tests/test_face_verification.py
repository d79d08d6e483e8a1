import itertools
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from face.identity import ArcFaceEncoder, CoefficientEncoder, load_identity_encoder
from face.verification import (
    HalvedClip,
    equal_error_rate,
    find_clips,
    halve_clips,
    main,
    pair_similarities,
    person_of,
    table,
)
from media.errors import InputError
from tests.moving_photo import film
from tests.test_face_identity import linear_network

CLIPS = Path(__file__).parents[2] / "shared/data/clips"


def naive(genuine: list[float], impostor: list[float]) -> float:
    """Every threshold that can make a difference, one after the other, by counting."""
    levels = sorted({*genuine, *impostor})
    best = (2.0, 2.0)
    for threshold in [levels[0] - 1, *((a + b) / 2 for a, b in itertools.pairwise(levels)), levels[-1] + 1]:
        refused = sum(score < threshold for score in genuine) / len(genuine)
        accepted = sum(score > threshold for score in impostor) / len(impostor)
        best = min(best, (round(abs(refused - accepted), 9), (refused + accepted) / 2))
    return best[1]


@pytest.mark.parametrize("seed", range(20))
def test_rate_is_that_of_counting(seed):
    rng = np.random.default_rng(seed)
    # rounded, so that similarities of both kinds coincide
    genuine = rng.normal(0.5, 0.3, rng.integers(1, 30)).round(1)
    impostor = rng.normal(0.2, 0.3, rng.integers(1, 60)).round(1)
    found = equal_error_rate(genuine, impostor)
    assert found.rate == pytest.approx(naive(genuine.tolist(), impostor.tolist()), abs=1e-12)
    at_threshold = ((genuine < found.threshold).mean() + (impostor > found.threshold).mean()) / 2
    assert found.rate == pytest.approx(at_threshold, abs=1e-12)


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
def test_rate_of_normal_scores(distance):
    """Two normal distributions of unit variance err equally in the middle: Φ(-d/2)."""
    quantiles = np.array([NormalDist().inv_cdf((k + 0.5) / 4000) for k in range(4000)])
    found = equal_error_rate(quantiles + distance, quantiles)
    assert found.rate == pytest.approx(NormalDist().cdf(-distance / 2), abs=1e-3)
    assert found.threshold == pytest.approx(distance / 2, abs=2e-3)


def test_rate_of_people_who_are_told_apart_is_zero():
    found = equal_error_rate(np.array([0.9, 0.7]), np.array([0.1, 0.3, -0.2]))
    assert found.rate == 0
    assert found.threshold == pytest.approx(0.5)


def test_rate_of_features_that_are_the_wrong_way_round_is_one():
    assert equal_error_rate(np.array([0.1]), np.array([0.9])).rate == 1


@pytest.mark.parametrize(("genuine", "impostor"), [([], [0.1]), ([0.1], []), ([np.nan], [0.1])])
def test_rate_refuses_what_has_none(genuine, impostor):
    with pytest.raises(ValueError, match="equal_error_rate needs"):
        equal_error_rate(np.array(genuine), np.array(impostor))


def test_pairs_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    halves = rng.standard_normal((5, 2, 512))
    halves /= np.linalg.norm(halves, axis=-1, keepdims=True)
    people = ["a", "b", "a", "c", "b"]
    genuine, impostor = pair_similarities(halves, people)
    np.testing.assert_allclose(genuine, [halves[k, 0] @ halves[k, 1] for k in range(5)])
    expected = [
        halves[j, p] @ halves[k, q]
        for j in range(5)
        for k in range(j + 1, 5)
        if people[j] != people[k]
        for p in range(2)
        for q in range(2)
    ]
    np.testing.assert_allclose(np.sort(impostor), np.sort(expected))


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("grid_bbaf2n.mpg", "grid_bbaf2n"),
        ("anna_1_morning.mp4", "anna_1"),
        ("anna.mp4", "anna"),
        ("id10001/a_b_c/00001.mp4", "id10001"),
    ],
)
def test_who_a_clip_shows(name, person):
    assert person_of(Path("folder") / name, Path("folder")) == person


def test_table_marks_what_the_threshold_gets_wrong():
    x, y = np.eye(512)[:2]
    clips = [
        HalvedClip("right.mp4", "right", 75, np.stack([x, x])),
        HalvedClip("torn.mp4", "torn", 75, np.stack([y, x])),
    ]
    lines = table(clips, 0.5).splitlines()
    assert lines[1].split() == ["right.mp4", "right", "75", "1.000", "1.000!", "torn"]
    assert lines[2].split() == ["torn.mp4", "torn", "75", "0.000!", "1.000!", "right"]


def test_encoders_by_name(tmp_path):
    linear_network(tmp_path / "face.onnx")
    assert isinstance(load_identity_encoder("coefficients"), CoefficientEncoder)
    assert isinstance(load_identity_encoder("arcface", tmp_path / "face.onnx"), ArcFaceEncoder)
    with pytest.raises(InputError, match="--onnx"):
        load_identity_encoder("arcface")
    with pytest.raises(InputError, match="arcface, coefficients"):
        load_identity_encoder("arcfase")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two films of one photo, of two people by their names, the second in swapped colours; two bad files."""
    folder = tmp_path_factory.mktemp("clips")
    film(folder / "anna_1.mp4", frames=12)
    film(folder / "bert/1.mp4", frames=12, change=lambda picture, _: picture[..., ::-1])
    film(folder / "nobody.mp4", frames=4, change=lambda picture, _: 0 * picture)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.mark.parametrize("name", ["coefficients", "arcface"])
def test_clips_of_a_folder(folder, tmp_path, name):
    linear_network(tmp_path / "face.onnx")
    clips, refused = halve_clips(folder, load_identity_encoder(name, tmp_path / "face.onnx"), frames=4)
    assert [(clip.name, clip.person, clip.frames) for clip in clips] == [
        ("anna_1.mp4", "anna_1", 12),
        ("bert/1.mp4", "bert", 12),
    ]
    for clip in clips:
        np.testing.assert_allclose(np.linalg.norm(clip.halves, axis=-1), 1, atol=1e-5)
    genuine, impostor = pair_similarities(np.stack([c.halves for c in clips]), [c.person for c in clips])
    assert genuine.min() > impostor.max()
    assert len(refused) == 2
    assert "broken.mp4" in refused[0]
    assert "nobody.mp4" in refused[1]
    assert "no face" in refused[1]


def test_command(folder, capsys):
    assert main([str(folder), "--frames", "3"]) == 0
    out, err = capsys.readouterr()
    assert "equal error rate 0.000 at threshold" in out
    assert "encoder: coefficients" in out
    assert err.count("skipped: ") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing: no such folder"),
        (["."], "holds no video"),
        ([".", "--frames", "0"], "--frames is 0"),
        ([".", "--encoder", "arcface"], "--onnx"),
    ],
)
def test_command_refuses_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    line = capsys.readouterr().err.strip()
    assert message in line.splitlines()[-1]
    assert len(line.splitlines()) == 1


def test_one_person_is_not_enough(tmp_path, capsys):
    film(tmp_path / "anna_1_a.mp4", frames=4)
    film(tmp_path / "anna_1_b.mp4", frames=4)
    assert main([str(tmp_path)]) == 1
    assert "2 usable clips of 1 people" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.skipif(not CLIPS.is_dir(), reason="needs the recordings of ../shared/data")
def test_strangers_of_one_studio(tmp_path):
    """Four speakers before the same wall, 3 s each."""
    for path in sorted(CLIPS.glob("grid_*.mpg"))[:4]:
        (tmp_path / path.name).symlink_to(path)
    assert len(find_clips(tmp_path)) == 4
    clips, refused = halve_clips(tmp_path, CoefficientEncoder(), frames=12)
    assert not refused
    genuine, impostor = pair_similarities(np.stack([c.halves for c in clips]), [c.person for c in clips])
    assert equal_error_rate(genuine, impostor).rate <= 0.2
