"""How well identity features tell people apart: the equal error rate between halves of clips.

    python -m face.identity FOLDER [--encoder coefficients|arcface] [--onnx FILE] [--frames 24]

Every clip is cut in two, and each half is a recording of its own: own crop, own light, own texture. A pair is genuine
if it is the two halves of one clip, and an impostor if its halves show two people. Who a clip shows is read from its
place: in a subfolder, the first folder below FOLDER; otherwise its name up to the second underscore, so that
`anna_1_morning.mp4` and `anna_1_evening.mp4` are one person and `anna_1.mp4` and `anna_2.mp4` are two. Pairs of one
person in two clips are neither genuine nor impostors: they differ in more than the halves of a clip do.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from face.camera import Camera
from face.fitting import fit_face, identity_features
from face.identity import IDENTITY_ENCODERS, ArcFaceEncoder, CoefficientEncoder, load_identity_encoder
from face.models.morphable_model import MorphableModel
from face.models.registry import load_face_model
from face.tracking import track
from media.endings import VIDEO_ENDINGS
from media.errors import InputError
from media.video import probe, stream_frames

FRAMES = 24  # ours: per half; neighbouring frames of 25 in a second say the same

_SIZE = 256  # pixels, SPEC: of the crop that the features are made from


@dataclass(frozen=True)
class EqualErrorRate:
    """Where a verifier errs as often on genuine pairs as on impostors.

    Attributes:
        rate: Mean of the two error rates at the threshold, 0 to 1; finitely many pairs need not have an equal point.
        threshold: Similarity above which a pair is taken for one person's.
    """

    rate: float
    threshold: float


@dataclass(frozen=True)
class HalvedClip:
    """The features of one clip.

    Attributes:
        name: Of the file, below the folder.
        person: Whom it shows.
        frames: Its length.
        halves: (2, 512) unit mean feature of either half.
    """

    name: str
    person: str
    frames: int
    halves: np.ndarray


def equal_error_rate(genuine: np.ndarray, impostor: np.ndarray) -> EqualErrorRate:
    """The point at which genuine pairs are refused as often as impostors are accepted.

    Thresholds are tried halfway between neighbouring similarities, and beyond the outermost ones. Of those with the
    smallest difference of the two error rates, the one with the smaller mean is taken.

    Args:
        genuine: (n,) similarities of pairs of one person.
        impostor: (m,) similarities of pairs of two people.

    Raises:
        ValueError: If there are no pairs of one kind, or a similarity is no finite number.
    """
    if not len(genuine) or not len(impostor):
        raise ValueError(f"equal_error_rate needs pairs of both kinds, got {len(genuine)} and {len(impostor)}.")
    levels = np.unique(np.concatenate([genuine, impostor]).astype(np.float64))
    if not np.isfinite(levels).all():
        raise ValueError("equal_error_rate needs finite similarities.")
    thresholds = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1]])
    refused = np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
    accepted = 1 - np.searchsorted(np.sort(impostor), thresholds) / len(impostor)
    mean = (refused + accepted) / 2
    best = np.lexsort([mean, np.abs(refused - accepted).round(12)])[0]  # rounded: the same fraction in two ways
    return EqualErrorRate(float(mean[best]), float(thresholds[best]))


def pair_similarities(halves: np.ndarray, people: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all pairs of halves, by kind.

    Args:
        halves: (n, 2, 512) unit features of the halves of n clips.
        people: Whom each clip shows.

    Returns:
        (n,) genuine: the two halves of each clip. (m,) impostors: all pairs of halves of two people.
    """
    genuine = np.einsum("nf,nf->n", halves[:, 0], halves[:, 1])
    names = np.asarray(people)
    first, second = np.triu_indices(len(names), 1)
    strangers = names[first] != names[second]
    cosines = np.einsum("phf,pkf->phk", halves[first[strangers]], halves[second[strangers]])
    return genuine, cosines.ravel()


def person_of(path: Path, folder: Path) -> str:
    """Whom a clip shows: its first folder below `folder`, or its name up to the second underscore."""
    below = path.relative_to(folder)
    return below.parts[0] if len(below.parts) > 1 else "_".join(below.stem.split("_")[:2])


def find_clips(folder: Path) -> list[Path]:
    """All video files below a folder, sorted.

    Raises:
        InputError: If there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with video clips.")
    clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_ENDINGS and path.is_file())
    if not clips:
        raise InputError(f"{folder}: holds no video ({', '.join(sorted(VIDEO_ENDINGS))}); give a folder with clips.")
    return clips


def halve_clip(
    path: Path,
    folder: Path,
    encoder: CoefficientEncoder | ArcFaceEncoder,
    model: MorphableModel,
    frames: int = FRAMES,
    bar: tqdm | None = None,
) -> HalvedClip:
    """Track a clip and compute the mean feature of either half, each without the other.

    Args:
        path: The clip.
        folder: Where it was looked for, for its name and its person.
        encoder: What makes features.
        model: The morphable face.
        frames: How many frames, evenly spread, stand for a half.
        bar: Progress bar that counts frames.

    Raises:
        InputError: If the clip cannot be used; says where and why.
    """

    def counted() -> Iterator[np.ndarray]:
        for frame in stream_frames(path):
            yield frame
            if bar is not None:
                bar.update()

    tracked = track(counted(), str(path))
    total = len(tracked.landmarks)
    if total < 2:
        raise InputError(f"{path}: has one frame only; two halves need two.")
    camera, halves = Camera(_SIZE), []
    for part in (slice(0, total // 2), slice(total // 2, total)):
        face = fit_face(path, tracked, model, part, _SIZE, frames)
        features = identity_features(
            face.pictures.__getitem__,
            face.landmarks[face.chosen],
            face.confidence[face.chosen],
            face.coefficients[face.chosen],
            model,
            camera,
            encoder,
        )
        mean = features.mean(0)
        halves.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    return HalvedClip(str(path.relative_to(folder)), person_of(path, folder), total, np.stack(halves))


def halve_clips(
    folder: Path, encoder: CoefficientEncoder | ArcFaceEncoder, frames: int = FRAMES, progress: bool = False
) -> tuple[list[HalvedClip], list[str]]:
    """Features of all clips of a folder.

    Returns:
        The clips, and for every file that cannot be used a line that says why.
    """
    paths, model = find_clips(folder), load_face_model()
    clips: list[HalvedClip] = []
    refused: list[str] = []
    with tqdm(total=sum(map(_declared_frames, paths)), unit="frame", disable=not progress) as bar:
        for number, path in enumerate(paths, 1):
            bar.set_description(f"clip {number}/{len(paths)}")
            try:
                clips.append(halve_clip(path, folder, encoder, model, frames, bar))
            except InputError as error:
                refused.append(str(error))
    return clips, refused


def _declared_frames(path: Path) -> int:
    """For the progress bar only: what cannot be opened is refused when its turn comes."""
    try:
        return probe(path).frames
    except InputError:
        return 0


def table(clips: Sequence[HalvedClip], threshold: float) -> str:
    """One line per clip: similarity of its halves, and the stranger that is most like it.

    Args:
        clips: Features of all clips.
        threshold: Similarities on the wrong side of it are marked with `!`.
    """
    halves, people = np.stack([clip.halves for clip in clips]), [clip.person for clip in clips]
    width = max(len("clip"), *(len(clip.name) for clip in clips))
    lines = [f"{'clip':{width}}  {'person':16}  {'frames':>6}  {'halves':>7}  nearest other person"]
    for clip, pair in zip(clips, halves, strict=True):
        cosines = np.einsum("hf,nkf->nhk", pair, halves).max((1, 2))
        cosines[np.asarray(people) == clip.person] = -np.inf
        own, other = float(pair[0] @ pair[1]), int(cosines.argmax())
        marks = ["!" if own <= threshold else " ", "!" if cosines[other] > threshold else " "]
        lines.append(
            f"{clip.name:{width}}  {clip.person:16}  {clip.frames:6d}  {own:6.3f}{marks[0]}  "
            f"{cosines[other]:.3f}{marks[1]} {people[other]}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the equal error rate of an encoder on the clips of a folder."""
    parser = argparse.ArgumentParser(prog="python -m face.identity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="video clips, at least two people; subfolders are people")
    parser.add_argument("--encoder", default="coefficients", choices=sorted(IDENTITY_ENCODERS), help="what to measure")
    parser.add_argument("--onnx", type=Path, help="network of the encoder arcface")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"frames per half (default {FRAMES})")
    options = parser.parse_args(arguments)
    try:
        if options.frames < 1:
            raise InputError(f"--frames is {options.frames}; give at least 1.")
        encoder = load_identity_encoder(options.encoder, options.onnx)
        # many small products: threads of the linear algebra would only wait for each other
        with threadpool_limits(1, "blas"):
            clips, refused = halve_clips(options.folder, encoder, options.frames, progress=True)
        for line in refused:
            print(f"skipped: {line}", file=sys.stderr)
        if len({clip.person for clip in clips}) < 2:
            raise InputError(
                f"{options.folder}: {len(clips)} usable clips of {len({clip.person for clip in clips})} people; "
                "the equal error rate needs clips of two people."
            )
        report(clips, encoder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def report(clips: Sequence[HalvedClip], encoder: CoefficientEncoder | ArcFaceEncoder) -> None:
    """Print encoder, table and equal error rate."""
    genuine, impostor = pair_similarities(np.stack([c.halves for c in clips]), [c.person for c in clips])
    result = equal_error_rate(genuine, impostor)
    print(", ".join(f"{name}: {value}" for name, value in encoder.describe().items()))
    print(table(clips, result.threshold))
    pairs = {"genuine pairs": genuine, "impostors": impostor}
    counts = "; ".join(f"{len(cosines)} {kind}, mean {cosines.mean():.3f}" for kind, cosines in pairs.items())
    print(f"equal error rate {result.rate:.3f} at threshold {result.threshold:.3f} ({counts})")


if __name__ == "__main__":
    sys.exit(main())
