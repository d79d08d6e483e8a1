"""The frame behind the face, bent so that its jaw lies behind the new jaw.

The frame was filmed with a mouth of its own. Where the new jaw is higher than the filmed one, the filmed chin would
show below it, a double chin; so the neighbourhood of the outline moves with the outline, and the neck stretches.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from face.chosen_vertices import ChosenVertices
from face.rendering import Renderer

JAW = slice(0, 17)  # of the 68 key points: ear, chin, ear
# Ours, by looking at jaws of three people; in pixels of 256.
_SPREAD = 12.0  # standard deviation of the reach of each point along the jaw; neighbours are 10 to 20 apart
_RIGID = 6.0  # what is nearer to the jaw moves as far as the jaw
_REACH = 40.0  # what is further away stays; a chin moves 10 at most
_CELLS = 64  # the movement is smooth and computed for so many places to a side


class OutlineFollower:
    """Moves what surrounds the jaw in backgrounds with the jaw.

    Args:
        renderer: Its face model and camera place the jaw.
    """

    def __init__(self, renderer: Renderer):
        model = renderer.model
        self._size = renderer.size
        self._jaw = ChosenVertices(model, renderer.camera, model.key_point_vertices[JAW])

    def __call__(self, background: Tensor, filmed: np.ndarray, wanted: np.ndarray) -> tuple[Tensor, Tensor]:
        """Bend backgrounds.

        Args:
            background: (B, 3, H, W) uint8.
            filmed: (B, 257) χ of the face in each of them.
            wanted: (B, 257) χ of the face that will lie over it.

        Returns:
            (B, 3, H, W) uint8, and (B, 1, H, W) uint8, 255 where something moved by a pixel or more.
        """
        jaw = self._jaw.seen(torch.from_numpy(wanted))
        movement = self._movement(jaw, jaw - self._jaw.seen(torch.from_numpy(filmed)))
        if not movement.any():
            return background, background.new_zeros(len(background), 1, *background.shape[2:])
        size = background.shape[-1]
        fine = interpolate(movement, size=(size, size), mode="bilinear", align_corners=False)
        centres = (torch.arange(size) * 2 + 1) / size - 1
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)
        places = grid - fine.permute(0, 2, 3, 1) * (2 / self._size)
        bent = grid_sample(background.float(), places, mode="bilinear", padding_mode="border", align_corners=False)
        moved = fine.norm(dim=1, keepdim=True).clamp(max=1) * 255
        return bent.round_().to(torch.uint8), moved.round_().to(torch.uint8)

    def _movement(self, jaw: Tensor, shift: Tensor) -> Tensor:
        """(B, 2, cells, cells) pixels by which the picture moves, from what 17 points do."""
        centres = (torch.arange(_CELLS) + 0.5) * (self._size / _CELLS)
        cells = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).flatten(0, 1)
        scale = self._size / 256
        distance = torch.cdist(cells.expand(len(jaw), -1, -1), jaw) / scale  # (B, cells², 17)
        nearest = distance.amin(-1, keepdim=True)
        # relative to the nearest, or far from all of them every weight would vanish
        weights = torch.exp(-0.5 * (distance.square() - nearest.square()) / _SPREAD**2)
        mean = weights @ shift / weights.sum(-1, keepdim=True)
        fade = ((_REACH - nearest) / (_REACH - _RIGID)).clamp(0, 1)
        mean = mean * (fade * fade * (3 - 2 * fade))
        return mean.mT.unflatten(-1, (_CELLS, _CELLS))
