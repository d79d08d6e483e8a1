"""LMD: how far the mouth, or the whole face, of a generated frame is from the true one.

The published measure (Chen et al. 2018) leaves its unit open, and values of one method differ four-fold between papers.
Here the unit is part of the name: `iod` (outer-eye distances of the reference) or `px128` (pixels of a 128 px face
crop, the image size of the paper's Table 2).
"""

from typing import Any

import torch
from torch import Tensor

from evaluation.frame_values import FrameMean

MOUTH = slice(48, 68)  # dlib's order of 68 points: outer and inner lip contour, 20 points
OUTER_EYE_CORNERS = (36, 45)  # dlib's order of 68 points
LMD_CROP_SIZE = 128  # px; crop of the ATVG baseline's evaluation script
UNITS = ("iod", "px128")
REGIONS = {"mouth": MOUTH, "face": slice(0, 68)}


def landmark_distance(
    generated: Tensor, reference: Tensor, unit: str = "iod", size: int = 256, region: str = "mouth"
) -> Tensor:
    r"""Landmark distance of every frame.

    .. math:: \mathrm{LMD} = \frac{1}{n u} \sum_{i=1}^{n} \lVert (x_i - \bar x) - (y_i - \bar y) \rVert_2

    over the n = 20 mouth points or all n = 68 points, each set minus its own mean: where the mouth (the face) is does
    not count, how it is shaped, turned and how large it is does. :math:`u` is the distance of the reference's outer eye
    corners in the same frame (`iod`), or `size / 128` (`px128`).

    Args:
        generated: (T, 68, 2) key points in dlib's order, in px of a face crop.
        reference: (T, 68, 2) key points of the true frames in the same crop.
        unit: "iod" or "px128".
        size: side of that crop in px; only `px128` needs it.
        region: "mouth" or "face".

    Returns:
        (T,) double; nan where a coordinate is nan, the mark of a frame without a face.

    Raises:
        ValueError: shapes differ or are not (T, 68, 2), or the unit or the region is unknown.

    >>> reference = torch.zeros(1, 68, 2)
    >>> reference[0, 45, 0] = 60.0  # outer eye corners 60 px apart
    >>> generated = reference.clone()
    >>> generated[0, 48:58, 1] += 12.0  # half of the mouth moves: 6 px from the mean, all points
    >>> landmark_distance(generated, reference)
    tensor([0.1000], dtype=torch.float64)
    >>> landmark_distance(generated, reference, unit="px128", size=256)
    tensor([3.], dtype=torch.float64)
    """
    if generated.shape != reference.shape or generated.shape[1:] != (68, 2):
        raise ValueError(
            f"expected two (T, 68, 2) sets of key points, got {tuple(generated.shape)} and {tuple(reference.shape)}"
        )
    if unit not in UNITS:
        raise ValueError(f"unknown LMD unit '{unit}': expected one of {', '.join(UNITS)}")
    if region not in REGIONS:
        raise ValueError(f"unknown LMD region '{region}': expected one of {', '.join(REGIONS)}")
    points, reference = REGIONS[region], reference.double()
    difference = generated[:, points].double() - reference[:, points]
    pixels = (difference - difference.mean(dim=1, keepdim=True)).norm(dim=2).mean(dim=1)
    if unit == "px128":
        return pixels * (LMD_CROP_SIZE / size)
    right, left = OUTER_EYE_CORNERS
    return pixels / (reference[:, left] - reference[:, right]).norm(dim=1)


class LandmarkDistance(FrameMean):
    """Mean over frames of :func:`landmark_distance`; frames without a face (nan) are left out and counted in `lost`.

    State: sum of the frames' distances, their number and the number of lost frames, added up over processes.

    Args:
        unit: "iod" or "px128".
        size: side in px of the crop the points are given in; only `px128` needs it.
        region: "mouth" or "face".
        kwargs: torchmetrics' own options.

    >>> metric = LandmarkDistance(unit="px128")
    >>> points = torch.rand(4, 68, 2)
    >>> metric.update(points + 3.0, points)  # moving the mouth as a whole costs nothing
    >>> round(metric.compute().item(), 5)
    0.0
    """

    higher_is_better = False
    lost: Tensor

    def __init__(self, unit: str = "iod", size: int = 256, region: str = "mouth", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unit, self.size, self.region = unit, size, region
        self.add_state("lost", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, generated: Tensor, reference: Tensor) -> None:
        """Adds frames; arguments as in :func:`landmark_distance`."""
        distances = landmark_distance(generated, reference, self.unit, self.size, self.region)
        self.lost += distances.isnan().sum()
        self.add(distances)
