"""The networks of the face tracker, fetched once from a public wheel and kept in the user's cache folder.

The wheel of mediapipe 0.10.21 (Apache-2.0) carries the TFLite files and the topology of the 468-point mesh. The
package itself is never installed: it would pin numpy < 2. One wheel file serves every platform, because the members
taken from it do not depend on the platform.

    python -m face.assets                # fetch them now
    python -m face.assets --wheel FILE   # take them from a wheel that is already on this machine
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media.digest import sha256
from media.errors import InputError

WHEEL = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"  # as published on PyPI
WHEEL_VARIABLE = "TALKING_HEAD_TRACKER_WHEEL"
CACHE_VARIABLE = "TALKING_HEAD_CACHE"

MEMBERS = {  # member of the wheel -> sha256 of its bytes in the wheel above
    "mediapipe/modules/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite": (
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4"
    ),
    "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite": (
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
    ),
    "mediapipe/python/solutions/face_mesh_connections.py": (
        "cc7171e44d0612db38720cb2fd2516c395992cdd7457efe341543be6f3c22d87"
    ),
}


@dataclass(frozen=True)
class TrackerAssets:
    """Files of the tracker.

    Attributes:
        detector: TFLite file of the short-range face detector (128x128 input).
        landmarks: TFLite file of the 468-point landmark net with attention to lips and eyes (192x192 input).
        segmentation: TFLite file of the person segmentation net (256x256 input).
        triangles: int64 (852, 3), the mesh on the 468 landmarks, eyes and mouth left open; the corners of every
            triangle run counter-clockwise for a viewer in front of the face.
    """

    detector: Path
    landmarks: Path
    segmentation: Path
    triangles: np.ndarray


def cache_folder() -> Path:
    """Folder of this project in the user's cache; the environment variable TALKING_HEAD_CACHE overrides it."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "talking-head-pose"


def tracker_assets(wheel: Path | None = None) -> TrackerAssets:
    """Paths of the tracker's files, fetched first when they are absent or damaged.

    Args:
        wheel: a local copy of the wheel; None takes the one named by TALKING_HEAD_TRACKER_WHEEL, or downloads it.

    Raises:
        InputError: the wheel cannot be downloaded or read, its hash is wrong, or the cache folder cannot be written.
    """
    folder = cache_folder() / WHEEL.split("-cp311")[0]
    files = {member: folder / Path(member).name for member in MEMBERS}
    if wheel is not None or not all(_intact(files[member], digest) for member, digest in MEMBERS.items()):
        _fill(folder, wheel or _wheel_of_environment())
    detector, landmarks, segmentation, connections = (files[member] for member in MEMBERS)
    return TrackerAssets(detector, landmarks, segmentation, _parse_triangles(connections.read_text("utf-8")))


def _intact(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _wheel_of_environment() -> Path | None:
    named = os.environ.get(WHEEL_VARIABLE)
    return Path(named).expanduser() if named else None


def _fill(folder: Path, wheel: Path | None) -> None:
    """Puts the verified members into `folder`; a reader or a second writer never sees half a file."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that os.replace stays on one file system and is atomic.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
            work = Path(temporary)
            source = wheel or _download(work)
            _check_wheel(source)
            with zipfile.ZipFile(source) as archive:
                for member, digest in MEMBERS.items():
                    extracted = Path(archive.extract(member, work))
                    if sha256(extracted) != digest:
                        raise InputError(f"{member} in {source} has a wrong sha256; fetch the wheel {WHEEL} again")
                    os.replace(extracted, folder / extracted.name)
    except OSError as error:
        raise InputError(
            f"the cache folder {folder} cannot be filled with the tracker ({error.strerror or error}); "
            f"free or allow it, or name another one in {CACHE_VARIABLE}"
        ) from error


def _download(folder: Path) -> Path:
    """Fetches the wheel with pip, which knows the user's index, proxy and certificates."""
    name, version, python, abi, platform = WHEEL.removesuffix(".whl").split("-")
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python.removeprefix("cp")]
    target += ["--abi", abi, "--platform", platform]
    # Two short attempts: a machine without a network has to be told so within 50 s.
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "1", "--timeout", "10"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", *quiet, *target, "--dest", str(folder)]
    done = subprocess.run([*command, f"{name}=={version}"], capture_output=True, text=True, check=False)
    wheel = folder / WHEEL
    if done.returncode != 0 or not wheel.is_file():
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["pip said nothing"]
        reason = next((line for line in said if line.startswith("ERROR:")), said[-1]).removeprefix("ERROR:").strip()
        raise InputError(
            f"the face tracker ({WHEEL}) cannot be downloaded: {reason}; connect to a package index, or bring the "
            f"file and run `python -m face.assets --wheel FILE` (or name it in {WHEEL_VARIABLE})"
        )
    return wheel


def _check_wheel(wheel: Path) -> None:
    if not wheel.is_file():
        raise InputError(f"the tracker wheel {wheel} does not exist; give the path of {WHEEL}")
    digest = sha256(wheel)
    if digest != WHEEL_SHA256:
        raise InputError(
            f"the tracker wheel {wheel} has sha256 {digest}, expected {WHEEL_SHA256}; fetch {WHEEL} again from PyPI"
        )


def _parse_triangles(source: str) -> np.ndarray:
    """Triangles from the list of tessellation edges: the file gives the three edges of each triangle in a row.

    Read as text, not imported: the file is data here, and none of its code has to run. Nor as a syntax tree, which in
    Python 3.11 fails where another thread builds one, such as a compiler's.
    """
    listed = re.search(r"^FACEMESH_TESSELATION\s*=\s*frozenset\(\[([\s\d(),]*)\]\)", source, re.MULTILINE)
    if listed is None:
        raise AssertionError("FACEMESH_TESSELATION is not in the file whose hash was checked")
    edges = np.array(re.findall(r"\d+", listed[1]), dtype=np.int64).reshape(-1, 3, 2)
    if not (edges[:, :, 1] == np.roll(edges[:, :, 0], -1, axis=1)).all():
        raise AssertionError("the tessellation is not a list of closed triangles")
    return edges[:, :, 0]


def main(arguments: list[str] | None = None) -> int:
    """Fetches the tracker and prints where it lies."""
    parser = argparse.ArgumentParser(
        prog="python -m face.assets", description="Fetch the networks of the face tracker."
    )
    parser.add_argument("--wheel", type=Path, help=f"local copy of {WHEEL}, instead of a download")
    wheel = parser.parse_args(arguments).wheel
    try:
        print(f"face tracker: {tracker_assets(wheel).detector.parent}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
