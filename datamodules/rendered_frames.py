"""Renders a clip from its own coefficients over its own frames: what `MemoryGAN` learns to correct."""

import numpy as np
import torch

from datamodules.clip import Clip, batches
from datamodules.windows import RenderedFrames
from face.albedo import ALBEDOS, Frames
from face.rendering import Renderer, compose

_BATCH = 25  # frames rendered at once; one second keeps the working memory below 200 MB


def render_over(
    renderer: Renderer, coefficients: torch.Tensor, albedo: torch.Tensor, background: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Render faces over backgrounds, the mouth's inside black (SPEC, stage 2).

    Args:
        renderer: Of the clip's face model.
        coefficients: (B, 257) χ.
        albedo: (V, 3) of the person.
        background: (B, 3, H, W) uint8.

    Returns:
        (B, 3, H, W) uint8 rendered frames and (B, 1, H, W) uint8 face masks, mouth included, eye holes excluded.
    """
    rendering = renderer.render(coefficients, albedo)
    image = compose(rendering, background.float() / 255)
    mask = (rendering.mask + rendering.mouth).clamp(max=1)
    return _bytes(image), _bytes(mask)


def render_clip(
    clip: Clip, part: slice, renderer: Renderer, albedo: torch.Tensor, frames: Frames | None = None
) -> RenderedFrames:
    """Render a part of a clip over the true frames.

    Args:
        clip: Of a person.
        part: Frames, as a slice with both ends.
        renderer: Of the clip's face model.
        albedo: (V, 3) of the person.
        frames: (T, H, W, 3) uint8 of the clip where they are at hand.

    Returns:
        The frames, in order of time.
    """
    rendered, targets, masks = [], [], []
    for piece in batches(part, _BATCH):
        target = channels_first(clip.frames(piece) if frames is None else frames[piece])
        image, mask = render_over(renderer, torch.from_numpy(clip.coefficients[piece]), albedo, target)
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


def _bytes(values: torch.Tensor) -> torch.Tensor:
    return (values * 255).round_().clamp_(0, 255).to(torch.uint8)
