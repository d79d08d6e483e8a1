"""Finding faces in a picture with the short-range BlazeFace detector, whatever the size of the picture and the face."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face.network import TfliteNetwork
from face.warp import Square, sample

INPUT_SIZE = 128  # pixels, of the network
_LAYERS = ((8, 2), (16, 6))  # stride in pixels, anchors per cell: 16 x 16 x 2 + 8 x 8 x 6 = 896 (the published design)
_LOGIT_LIMIT = 100.0  # the published design clips the logits here before the sigmoid
_MERGE_OVERLAP = 0.3  # intersection over union above which two boxes are one face (the published design)
TILE_LEVELS = (1.0, 0.5, 0.25)  # ours: side of a tile / longer side of the picture, from large faces to small ones
SMALLEST_SHARE = 0.1  # ours: a face below this share of a tile's side is seen poorly at 128 px; use the next level


@dataclass(frozen=True)
class Detection:
    """A face box in pixels of the picture.

    Attributes:
        box: (4,) left, top, right, bottom.
        key_points: (6, 2) right eye, left eye, nose tip, mouth, right ear, left ear (the person's own sides).
        score: Probability of a face, 0 to 1.
    """

    box: np.ndarray
    key_points: np.ndarray
    score: float

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return float((self.box[2:] - self.box[:2]).max())

    @property
    def centre(self) -> np.ndarray:
        """(2,) centre of the box."""
        return (self.box[:2] + self.box[2:]) / 2


class FaceDetector:
    """The network with its anchors.

    Args:
        model: TFLite file of the detector (`face.assets`).
        threshold: Lowest score of a face; 0.5 in the published design.
    """

    def __init__(self, model: Path, threshold: float = 0.5) -> None:
        self._network = TfliteNetwork(model.read_bytes())
        self._anchors = make_anchors()
        self.threshold = threshold

    def detect(self, frame: np.ndarray, level: float = 1.0) -> list[Detection]:
        """Faces of a picture, largest first.

        Args:
            frame: (H, W, 3) uint8.
            level: Side of the tiles / longer side of the picture; 1 looks at the whole picture once, less than 1 at
                tiles that overlap by half, for smaller faces (see `TILE_LEVELS`).
        """
        height, width = frame.shape[:2]
        side = max(height, width) * level
        found = [
            face for x, y in _tile_centres(width, height, side) for face in self._detect_in(frame, Square(x, y, side))
        ]
        return sorted(merge(found), key=lambda face: -face.side)

    def _detect_in(self, frame: np.ndarray, tile: Square) -> list[Detection]:
        image = sample(frame, tile, INPUT_SIZE, replicate=False) * 2 - 1  # the network takes [-1, 1], black outside
        outputs = self._network(image)
        logits = outputs["classificators"][:, 0].astype(np.float64)
        scores = 1 / (1 + np.exp(-np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)))
        keep = scores >= self.threshold
        boxes, points = decode(outputs["regressors"][keep], self._anchors[keep])
        boxes = tile.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        points = tile.to_picture(points)
        return merge([Detection(b, p, float(s)) for b, p, s in zip(boxes, points, scores[keep], strict=True)])


def make_anchors() -> np.ndarray:
    """(896, 2) anchor centres x, y in units of the input; every anchor is as large as the input itself."""
    layers = []
    for stride, count in _LAYERS:
        cells = INPUT_SIZE // stride
        centres = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
        layers.append(np.repeat(grid, count, 0))
    return np.concatenate(layers)


def decode(raw: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regressed numbers to boxes and key points.

    Args:
        raw: (N, 16) centre x, centre y, width, height, then six points x, y; pixels of the input, centre and points
            relative to the anchor.
        anchors: (N, 2) of `make_anchors`.

    Returns:
        Boxes (N, 4) left, top, right, bottom, and key points (N, 6, 2), in units of the input.
    """
    scaled = raw.astype(np.float64) / INPUT_SIZE
    centre, half = scaled[:, :2] + anchors, scaled[:, 2:4] / 2
    return np.concatenate([centre - half, centre + half], 1), scaled[:, 4:].reshape(-1, 6, 2) + anchors[:, None]


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with boxes (N, 4), (N,)."""
    inner = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    return inner / np.maximum((box[2:] - box[:2]).clip(0).prod() + area - inner, 1e-12)


def merge(found: list[Detection]) -> list[Detection]:
    """Non-maximum suppression in which the overlapping boxes are averaged, weighted by their scores.

    Averaging instead of dropping keeps the box from jumping between anchors from frame to frame (BlazeFace paper, 3.3).
    """
    left = sorted(found, key=lambda face: -face.score)
    faces = []
    while left:
        same = overlap(left[0].box, np.stack([face.box for face in left])) > _MERGE_OVERLAP
        same[0] = True
        group = [face for face, member in zip(left, same, strict=True) if member]
        weights = np.array([face.score for face in group])
        box = np.average([face.box for face in group], axis=0, weights=weights)
        points = np.average([face.key_points for face in group], axis=0, weights=weights)
        faces.append(Detection(box, points, left[0].score))
        left = [face for face, member in zip(left, same, strict=True) if not member]
    return faces


def _tile_centres(width: int, height: int, side: float) -> list[tuple[float, float]]:
    """Centres of tiles that cover the picture and overlap by half, so that every face lies whole in one of them."""
    axes = []
    for length in (width, height):
        count = 1 if side >= length else math.ceil((length - side) / (side / 2)) + 1
        axes.append(np.linspace(side / 2, length - side / 2, count) if count > 1 else np.array([length / 2]))
    return [(float(x), float(y)) for y in axes[1] for x in axes[0]]
