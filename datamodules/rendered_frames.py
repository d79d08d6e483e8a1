"""Renders a clip from its own coefficients over its own frames: what `MemoryGAN` learns to correct."""

from typing import Any

import numba
import numpy as np
import torch

from datamodules.clip import Clip, batches
from datamodules.filmed_mouths import FilmedMouths
from datamodules.windows import RenderedFrames
from face.albedo import ALBEDOS, Frames
from face.rendering import Renderer, Rendering, compose
from media.threads import share_frames

_BATCH = 25  # frames rendered at once; one second keeps the working memory below 200 MB


def render_over(
    renderer: Renderer,
    coefficients: torch.Tensor,
    albedo: torch.Tensor,
    background: torch.Tensor,
    interior: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render faces over backgrounds.

    Args:
        renderer: Of the clip's face model.
        coefficients: (B, 257) χ.
        albedo: (V, 3) of the person.
        background: (B, 3, H, W) uint8.
        interior: (B, 3, H, W) uint8, what is seen between the lips; None for black (SPEC, stage 2).

    Returns:
        (B, 3, H, W) uint8 rendered frames and (B, 1, H, W) uint8 face masks, mouth included, eye holes excluded.
    """
    with torch.no_grad():
        rendering = renderer.render(coefficients, albedo)
    if rendering.image.device.type == "cpu":
        return _laid_over(rendering, background, torch.zeros_like(background) if interior is None else interior)
    image = compose(rendering, background.float() / 255, None if interior is None else interior.float() / 255)
    mask = (rendering.mask + rendering.mouth).clamp(max=1)
    return _bytes(image), _bytes(mask)


def render_clip(
    clip: Clip,
    part: slice,
    renderer: Renderer,
    albedo: torch.Tensor,
    frames: Frames | None = None,
    mouths: FilmedMouths | None = None,
) -> RenderedFrames:
    """Render a part of a clip over the true frames.

    Args:
        clip: Of a person.
        part: Frames, as a slice with both ends.
        renderer: Of the clip's face model.
        albedo: (V, 3) of the person.
        frames: (T, H, W, 3) uint8 of the clip where they are at hand.
        mouths: Of the clip, to be seen between the lips of a part of its training frames; None for black.

    Returns:
        The frames, in order of time.
    """
    rendered, targets, masks = [], [], []
    source: int | None = None
    for piece in batches(part, _BATCH):
        target = channels_first(clip.frames(piece) if frames is None else frames[piece])
        chi, interior = clip.coefficients[piece], None
        if mouths is not None:
            sources = mouths.choose(chi, source, own=piece.start)
            interior, source = mouths(chi, sources), int(sources[-1])
        image, mask = render_over(renderer, torch.from_numpy(chi), albedo, target, interior)
        rendered.append(image)
        targets.append(target)
        masks.append(mask)
    identity = torch.from_numpy(clip.identity_features[part])
    return RenderedFrames(torch.cat(rendered), torch.cat(targets), torch.cat(masks), identity)


def clip_albedo(clip: Clip, name: str, renderer: Renderer, frames: Frames) -> torch.Tensor:
    """The colours of a person's face, from the frames of a clip in which it was found.

    Args:
        clip: Of a person.
        name: Key of `face.albedo.ALBEDOS`.
        renderer: Of the clip's face model.
        frames: (T, H, W, 3) uint8 of the clip, at best read when asked for: `detailed` looks at one of them.

    Returns:
        (V, 3) float32.
    """
    found = np.flatnonzero(~clip.bridged)
    return ALBEDOS[name](_Chosen(frames, found), torch.from_numpy(clip.coefficients[found]), renderer)


class _Chosen:
    """Some of the frames, read when they are asked for."""

    def __init__(self, frames: Frames, chosen: np.ndarray):
        self._frames, self._chosen = frames, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        return self._frames[self._chosen[index]]


def channels_first(frames: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) uint8 frames to a contiguous (T, 3, H, W) tensor."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


def channels_last(frames: torch.Tensor) -> np.ndarray:
    """(T, 3, H, W) uint8 to contiguous (T, H, W, 3) frames."""
    return np.ascontiguousarray(frames.permute(0, 2, 3, 1).cpu().numpy())


def _laid_over(
    rendering: Rendering, background: torch.Tensor, interior: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `compose` makes of bytes, as bytes: one loop takes half the time of a dozen tensors."""
    image, mask = torch.empty_like(background), torch.empty(rendering.mask.shape, dtype=torch.uint8)
    layers = (rendering.image, rendering.mask, rendering.mouth)
    tensors = (*layers, background.contiguous(), interior.contiguous(), image, mask)
    arrays = [tensor.flatten(2).numpy() for tensor in tensors]
    kernel: Any = _lay_over  # compiled for these types, of which the checker knows nothing
    share_frames(lambda first, step: kernel(*arrays, first, step), len(image))
    return image, mask


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _lay_over(
    skin: np.ndarray,
    covered: np.ndarray,
    mouth: np.ndarray,
    background: np.ndarray,
    interior: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray,
    begin: int,
    step: int,
) -> None:
    """Fills `image` (B, 3, N) and `mask` (B, 1, N) in the frames `begin`, `begin + step`, ..."""
    zero, one, full = np.float32(0), np.float32(1), np.float32(255)
    for frame in range(begin, skin.shape[0], step):
        for pixel in range(skin.shape[2]):
            share = covered[frame, 0, pixel]
            opening = mouth[frame, 0, pixel]
            free = max(one - share - opening, zero)
            if share == zero and opening == zero:  # two thirds of a picture
                mask[frame, 0, pixel] = 0
                for colour in range(3):
                    image[frame, colour, pixel] = background[frame, colour, pixel]
                continue
            mask[frame, 0, pixel] = np.uint8(np.rint(min(share + opening, one) * full))
            for colour in range(3):
                behind = np.float32(background[frame, colour, pixel]) / full
                inside = np.float32(interior[frame, colour, pixel]) / full
                value = skin[frame, colour, pixel] * share + behind * free + inside * opening
                image[frame, colour, pixel] = np.uint8(np.rint(min(max(value, zero), one) * full))


def _bytes(values: torch.Tensor) -> torch.Tensor:
    return (values * 255).round_().clamp_(0, 255).to(torch.uint8)
