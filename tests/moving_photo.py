"""Films of a public-domain photo: a real face whose movement in the picture plane is known."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from media.video import VideoWriter

HEAD = (224.0, 120.0)  # middle of the face in the photo (E. Collins, NASA)


def roll(frame: int) -> float:
    """How far the head is turned in a frame, degrees, counter-clockwise as the viewer sees it."""
    return 9.0 * float(np.sin(0.45 * frame))


def pictures(frames: int, width: int = 256, height: int = 256, zoom: float = 1.35) -> Iterator[np.ndarray]:
    """The photo turned about the face and moved a little; the face is about 100 x zoom px wide."""
    photo = Image.fromarray(data.astronaut())
    for frame in range(frames):
        angle = np.radians(roll(frame))
        cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
        x, y = width / 2 + 4 * np.cos(0.3 * frame), height / 2
        # PIL asks where in the photo each pixel comes from
        rows = (cosine, -sine, HEAD[0] - cosine * x + sine * y, sine, cosine, HEAD[1] - sine * x - cosine * y)
        yield np.asarray(photo.transform((width, height), Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC))


def film(
    path: Path,
    frames: int = 20,
    width: int = 256,
    height: int = 256,
    zoom: float = 1.35,
    change: Callable[[np.ndarray, int], np.ndarray] = lambda picture, _: picture,
) -> Path:
    """Writes the pictures, each changed by `change(picture, frame)`, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, width, height, lossless=True) as writer:
        for index, picture in enumerate(pictures(frames, width, height, zoom)):
            writer.write(change(picture, index))
    return path
