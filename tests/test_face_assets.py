import hashlib
import threading
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from face import assets
from media.errors import InputError

CONTENTS = [b"detector", b"landmarks", b"segmentation", b"FACEMESH_TESSELATION = frozenset([(0, 1), (1, 2), (2, 0)])\n"]
TINY = dict(zip(assets.MEMBERS, CONTENTS, strict=True))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel of the same layout, accepted in place of the real one, and an empty cache."""
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in TINY.items():
            archive.writestr(member, content)
    monkeypatch.setattr(assets, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(assets, "MEMBERS", {m: hashlib.sha256(c).hexdigest() for m, c in TINY.items()})
    monkeypatch.setenv(assets.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(assets.WHEEL_VARIABLE, raising=False)
    return path


def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def test_members_come_from_a_local_wheel_and_stay_in_the_cache(wheel: Path) -> None:
    found = assets.tracker_assets(wheel)
    assert found.detector.read_bytes() == b"detector"
    assert found.landmarks.read_bytes() == b"landmarks"
    assert found.segmentation.read_bytes() == b"segmentation"
    assert found.triangles.tolist() == [[0, 1, 2]]
    wheel.unlink()
    assert assets.tracker_assets().detector == found.detector
    assert sorted(p.name for p in found.detector.parent.iterdir()) == sorted(Path(m).name for m in TINY)


def test_the_environment_names_the_wheel(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(assets.WHEEL_VARIABLE, str(wheel))
    assert assets.tracker_assets().landmarks.read_bytes() == b"landmarks"


def test_a_damaged_member_is_fetched_again(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = assets.tracker_assets(wheel)
    found.landmarks.write_bytes(b"landmark")
    monkeypatch.setenv(assets.WHEEL_VARIABLE, str(wheel))
    assert assets.tracker_assets().landmarks.read_bytes() == b"landmarks"


def test_processes_may_fetch_at_the_same_time(wheel: Path) -> None:
    failures: list[Exception] = []

    def fetch() -> None:
        try:
            assert assets.tracker_assets(wheel).detector.read_bytes() == b"detector"
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_wrong_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"has sha256 .* expected") as refusal:
        assets.tracker_assets(wheel)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match="does not exist"):
        assets.tracker_assets(tmp_path / "absent.whl")


def test_a_failed_download_is_one_line(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_index(monkeypatch)
    assert assets.main([]) == 1
    message = capsys.readouterr().err.strip()
    assert "cannot be downloaded" in message
    assert "--wheel FILE" in message
    assert "\n" not in message


def test_an_unwritable_cache_is_one_line(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(assets.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be filled"):
        assets.tracker_assets(wheel)


def test_the_mesh_is_a_disc_with_openings_for_eyes_and_mouth() -> None:
    triangles = assets.tracker_assets().triangles
    assert triangles.shape == (852, 3)
    assert set(triangles.ravel()) == set(range(468))
    directed = Counter((t[i], t[(i + 1) % 3]) for t in triangles.tolist() for i in range(3))
    assert max(directed.values()) == 1  # all triangles are wound the same way
    edges = {tuple(sorted(edge)) for edge in directed}
    assert 468 - len(edges) + len(triangles) == 1 - 3  # Euler: a disc less two eyes and a mouth
