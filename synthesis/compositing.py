"""A refined face back into the full-size frame it belongs to, without a seam.

The refined crop has 256 pixels whatever the size of the face, and its colours drift a little. So only what lies near
the face is taken from it, its colours are bent to meet the frame around the face, and where it shows the same as the
frame, the frame's finer detail stays.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from face.crop import Crop

# Ours, all by looking at frames of three people; lengths in crop pixels, of 256.
_CELL = 2  # masks and weights are smooth and computed in cells of 2 x 2
_FADE = 12  # from the outline of the face outward, over which the refined crop gives way to the frame
_BORDER = 12  # from the border of the crop inward, likewise
_BLOCK = 8  # the colour correction is computed in blocks of 8 x 8 ...
_REACH = 32  # ... and carried this far (standard deviation of a Gaussian) from the rim of the face
_OUTLIER = 24  # levels, of 255: what differs from the rim's median by more is content, not colour
_SAME = 10  # levels of difference at which the frame's fine detail has mostly (all but 1/e) given way
_NEIGHBOURHOOD = 4  # cells to all sides over which that difference is averaged


class Compositor:
    """Pastes refined crops into frames of one video.

    Args:
        crop: Where in the frame the crop lies.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
    """

    def __init__(self, crop: Crop, height: int, width: int):
        self.crop, self.size = crop, (height, width)
        ramp = ((torch.arange(crop.size // _CELL) + 0.5) * _CELL / _BORDER).clamp(max=1)
        ramp = torch.minimum(ramp, ramp.flip(0))
        ramp = ramp * ramp * (3 - 2 * ramp)
        self._inside = ramp[:, None] * ramp
        # Cells beyond the frame repeat its edge, so what they show there says nothing of colours.
        centres = (np.arange(crop.size // _CELL) + 0.5) * _CELL * crop.side / crop.size
        rows, columns = (
            (start + centres > 0) & (start + centres < end) for start, end in ((crop.y, height), (crop.x, width))
        )
        self._filmed = torch.from_numpy(rows[:, None] & columns).float()

    @torch.inference_mode()
    def paste(self, frame: np.ndarray, refined: np.ndarray, face_mask: np.ndarray) -> np.ndarray:
        """Put one refined crop into its frame.

        Args:
            frame: (height, width, 3) uint8, the background of the crop at full size.
            refined: (256, 256, 3) uint8, what the crop shall show.
            face_mask: (256, 256) float in [0, 1], the face in it, mouth included.

        Returns:
            (height, width, 3) uint8, a new array; equal to `frame` away from the face.

        Raises:
            ValueError: If a shape is wrong.
        """
        size = (self.crop.size, self.crop.size)
        if frame.shape != (*self.size, 3) or refined.shape != (*size, 3) or face_mask.shape != size:
            raise ValueError(
                f"expected frame {(*self.size, 3)}, refined {(*size, 3)}, mask {size}; "
                f"found {frame.shape}, {refined.shape}, {face_mask.shape}."
            )
        result = frame.copy()
        opacity = self._opacity(torch.tensor(face_mask, dtype=torch.float32))
        area = self._area(opacity)
        if area is None:
            return result
        present = self.crop.apply(frame)
        rim = 4 * opacity * (1 - opacity) * self._filmed
        correction = _colour_correction(avg_pool2d(_planes(refined) - _planes(present), _CELL), rim)
        corrected = _planes(refined) - interpolate(correction[None], size=size, mode="bilinear")[0]
        corrected = corrected.round_().clamp_(0, 255)
        sameness = _sameness(avg_pool2d(corrected - _planes(present), _CELL))

        # Everything to the pixels of the frame: bicubic, like the crop itself.
        shown = self._enlarged(_image(corrected), area)
        known = self._enlarged(present, area)
        weights = self._enlarged(_image(255 * torch.stack([opacity, sameness, sameness])), area) / 255
        before = _floats(result[area])
        # In place of the frame the crop, and of the frame's detail, too fine for the crop, what still belongs.
        after = before + weights[..., :1] * (shown - known - (1 - weights[..., 1:2]) * (before - known))
        result[area] = after.round_().clamp_(0, 255).byte().numpy()
        return result

    def _opacity(self, mask: torch.Tensor) -> torch.Tensor:
        """(cells, cells), 1 on the face, falling smoothly to 0 at `_FADE` pixels from it and at the crop's border."""
        half = _FADE // _CELL // 2
        cells = max_pool2d(mask[None], _CELL)
        for size, padding in (((2 * half + 1, 1), (half, 0)), ((1, 2 * half + 1), (0, half))):
            cells = max_pool2d(cells, size, stride=1, padding=padding)
        return _smoothed(cells, half)[0] * self._inside

    def _area(self, opacity: torch.Tensor) -> tuple[slice, slice] | None:
        """Rows and columns of the frame that the crop can change."""
        parts = []
        for axis, start in enumerate((self.crop.y, self.crop.x)):
            used = opacity.any(1 - axis).nonzero()
            if not len(used):
                return None
            scale = self.crop.side / self.crop.size * _CELL
            # Interpolation reaches two cells further; the square itself is the limit.
            first = max(start + (int(used[0]) - 2) * scale, start, 0)
            last = min(start + (int(used[-1]) + 3) * scale, start + self.crop.side, self.size[axis])
            parts.append(slice(math.ceil(first), math.floor(last)))
        return (parts[0], parts[1]) if all(part.start < part.stop for part in parts) else None

    def _enlarged(self, image: np.ndarray, area: tuple[slice, slice]) -> torch.Tensor:
        """A crop-sized image, or one of its cells, at the pixels of the frame: (rows, columns, 3) float."""
        rows, columns = area
        scale = len(image) / self.crop.side
        box = (
            (columns.start - self.crop.x) * scale,
            (rows.start - self.crop.y) * scale,
            (columns.stop - self.crop.x) * scale,
            (rows.stop - self.crop.y) * scale,
        )
        size = (columns.stop - columns.start, rows.stop - rows.start)
        return _floats(np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, box=box)))


def _planes(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 to (3, H, W) float levels."""
    return torch.tensor(image).permute(2, 0, 1).float()


def _image(planes: torch.Tensor) -> np.ndarray:
    """(3, H, W) float levels to (H, W, 3) uint8."""
    return np.ascontiguousarray(planes.round().byte().permute(1, 2, 0).numpy())


def _floats(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).float()


def _smoothed(planes: torch.Tensor, radius: int) -> torch.Tensor:
    """Two moving averages, together a smooth mean over `radius` cells to all sides; zeros around."""
    for part in (radius // 2, radius - radius // 2):
        planes = avg_pool2d(planes, 2 * part + 1, stride=1, padding=part)
    return planes


def _colour_correction(change: torch.Tensor, rim: torch.Tensor) -> torch.Tensor:
    """The smooth colour difference between refined crop and frame that meets theirs at the rim of the face.

    A Gaussian-weighted mean of the difference on the rim, where the crop fades into the frame: near the rim it
    follows it, deep in the face it is the mean of all sides, as a membrane spanned over the face would be.

    Args:
        change: (3, cells, cells) refined minus present levels.
        rim: (cells, cells) in [0, 1], 1 where the crop is half faded.

    Returns:
        (3, blocks, blocks), to be subtracted from the refined crop.
    """
    on_rim = change[:, rim > 0.5]
    if not on_rim.shape[1]:
        return torch.zeros_like(change)
    median = on_rim.median(1).values[:, None, None]
    colour = median + (change - median).clamp(-_OUTLIER, _OUTLIER)
    blocks = avg_pool2d(torch.cat([rim * colour, rim[None]]), _BLOCK // _CELL)
    place = torch.arange(blocks.shape[-1], dtype=torch.float32)
    reach = torch.exp(-0.5 * ((place[:, None] - place) * _BLOCK / _REACH) ** 2)
    spread = reach @ blocks @ reach
    return spread[:3] / spread[3].clamp(min=1e-12)  # the rim still counts 1e-14 of itself across the whole crop


def _sameness(change: torch.Tensor) -> torch.Tensor:
    """How much of the frame's fine detail belongs to a crop that changes it so much: (cells, cells) in (0, 1]."""
    difference = _smoothed(change.abs().amax(0, keepdim=True), _NEIGHBOURHOOD)[0]
    return torch.exp(-((difference / _SAME) ** 2))
