"""A trained person speaks: sound to motion, motion to rendered frames, rendered frames to refined ones, as a stream."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

from datamodules.clip import Clip, batches
from datamodules.filmed_mouths import FilmedMouths
from datamodules.rendered_frames import channels_first, channels_last, render_over
from face.coefficients import EXPRESSION, get_pose, with_pose
from face.rendering import Renderer
from lightning_modules.audio2pose import Audio2PoseLSTM
from lightning_modules.memory_gan import MemoryGAN
from lightning_modules.networks.memory import smooth_features
from lightning_modules.pixels import to_network, to_pixels
from synthesis.background import fit_pose, follow_pose, match_background, with_amplitude
from synthesis.compositing import Compositor
from synthesis.eyes import EyeFollower
from synthesis.listening import Motion, listen
from synthesis.outline import OutlineFollower

_CHUNK = 25  # frames; one second, the reach of the feature smoothing to both sides (SPEC, retrieval)
_NEAR = 8  # pixels of 256, ours: the outline of jaw and hair belongs to the face
_BATCH = 5  # frames refined at once: as fast as more on a CPU, and little to wait for

Background = Callable[[slice], tuple[torch.Tensor, np.ndarray]]
"""For a range of output frames gives the (n, 3, 256, 256) uint8 frames behind the face and the (n, 257) χ filmed in
them."""


@dataclass(frozen=True)
class Performance:
    """A motion placed on frames of the person's own video (paper, 3.3).

    Attributes:
        coefficients: (T, 257) float32 χ, the pose fitted to the background.
        source_frames: (T,) int, the training frame behind each output frame.
    """

    coefficients: np.ndarray
    source_frames: np.ndarray

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.coefficients)


class Talker:
    """Everything needed to make a person speak.

    Args:
        clip: The prepared video.
        renderer: Of the clip's face model.
        albedo: (V, 3) of the person.
        audio2pose: Trained first stage.
        memory_gan: Trained second stage.
        matching: How backgrounds are chosen for a head movement (`synthesis.background`): `path`, all frames together,
            or `key_frames` (paper).
        keyframe_axis: Axis whose extremes are key frames (`synthesis.background`).
        amplitude: Of the head movement that is matched to backgrounds: `predicted` as it is, or `training` (see
            `synthesis.background.with_amplitude`).
        head_pose: `predicted` from the sound, or `fixed`: one pose throughout, the frame nearest the mean of the video
            (paper, 4.2: without the pose of the first stage).
        bf16: Compute the second stage in bfloat16, where the processor is faster for it.
        mouths: Of the clip, seen between the lips of rendered faces; None for black. The same choice that the second
            stage was trained with.
    """

    def __init__(
        self,
        clip: Clip,
        renderer: Renderer,
        albedo: torch.Tensor,
        audio2pose: Audio2PoseLSTM,
        memory_gan: MemoryGAN,
        matching: str = "path",
        keyframe_axis: str = "yaw",
        amplitude: str = "training",
        head_pose: str = "predicted",
        bf16: bool = False,
        mouths: FilmedMouths | None = None,
    ):
        self.mouths = mouths
        self.clip, self.renderer, self.albedo = clip, renderer, albedo
        self.audio2pose, self.memory_gan = audio2pose.eval(), memory_gan.eval()
        self.matching, self.keyframe_axis = matching, keyframe_axis
        self.amplitude, self.head_pose, self.bf16 = amplitude, head_pose, bf16
        if bf16:
            self.memory_gan.generator_at_test.to(torch.bfloat16)  # once; autocast would do it for every batch
        self.follow_outline = OutlineFollower(renderer)
        self._training_crops: torch.Tensor | None = None

    def listen(self, samples: np.ndarray) -> Motion:
        """Predict expression and head pose from a sound on its own (Eq. 1, from a zero state).

        Args:
            samples: (n,) float32 at 16 kHz.
        """
        return listen(self.audio2pose, samples)

    def perform(self, motion: Motion) -> Performance:
        """Choose a background for every frame, and fit the pose and the eyelids to it.

        Args:
            motion: T frames: expression (T, 64) and pose (T, 6).

        Returns:
            T frames: χ (T, 257), whose identity, texture and light are those filmed, and the training frames (T,)
            behind them.
        """
        training = self.clip.coefficients[self.clip.training]
        filmed = get_pose(training)
        source_frames = self._choose_backgrounds(motion.pose[:, :3], filmed[:, :3])
        chi = training[source_frames]
        chi[:, EXPRESSION] = EyeFollower(self.renderer.model)(motion.expression, chi[:, EXPRESSION])
        return Performance(with_pose(chi, fit_pose(source_frames, filmed)), source_frames)

    def training_background(self, source_frames: np.ndarray) -> Background:
        """Backgrounds taken from the training part."""
        if self._training_crops is None:
            self._training_crops = channels_first(self.clip.frames(self.clip.training))
        crops, filmed = self._training_crops, self.clip.coefficients
        return lambda piece: (crops[torch.from_numpy(source_frames[piece])], filmed[source_frames[piece]])

    def true_background(self, part: slice) -> Background:
        """The true frames of a part of the video as backgrounds, for `reenacted` rows."""

        def background(piece: slice) -> tuple[torch.Tensor, np.ndarray]:
            frames = slice(part.start + piece.start, part.start + piece.stop)
            return channels_first(self.clip.frames(frames)), self.clip.coefficients[frames]

        return background

    @torch.inference_mode()
    def refine(self, coefficients: np.ndarray, background: Background) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Render and refine frames as they are asked for; memory does not grow with the length.

        Args:
            coefficients: (T, 257) χ.
            background: Frames behind the face; their jaws are moved behind the new ones.

        Yields:
            The (256, 256, 3) uint8 frame and the (256, 256) uint8 mask of the face and of what moved with it, T times.
        """
        previous: _Chunk | None = None
        current: _Chunk | None = None
        for piece in batches(slice(0, len(coefficients)), _CHUNK):
            following = self._render(coefficients[piece], *background(piece), current.mouth_source if current else None)
            if current is not None:
                yield from self._refine_chunk(previous, current, following)
            previous, current = current, following
        if current is not None:
            yield from self._refine_chunk(previous, current, None)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of `full_frames`."""
        return self.clip.width, self.clip.height

    def full_frames(self, performance: Performance) -> Iterator[np.ndarray]:
        """The performance pasted into the full-size frames of the person's video.

        Yields:
            (H, W, 3) uint8 frames.
        """
        width, height = self.frame_size
        compositor = Compositor(self.clip.crop, height, width)
        refined = self.refine(performance.coefficients, self.training_background(performance.source_frames))
        with self.clip.gallery() as gallery:
            for index, (crop, mask) in zip(performance.source_frames, refined, strict=True):
                frame = gallery[int(index)][:height, :width]  # odd sides were padded when it was written
                yield compositor.paste(frame, crop, mask.astype(np.float32) / 255)

    def _choose_backgrounds(self, angles: np.ndarray, filmed: np.ndarray) -> np.ndarray:
        if self.head_pose == "fixed":  # one frame throughout; a path would walk around it
            return np.full(len(angles), np.abs(filmed - filmed.mean(0)).sum(1).argmin())
        if self.amplitude == "training":
            angles = with_amplitude(angles, filmed)
        if self.matching == "path":
            return follow_pose(angles, filmed)
        return match_background(angles, filmed, axis=self.keyframe_axis).source_frames

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.memory_gan.device.type, torch.bfloat16, enabled=self.bf16)

    def _render(
        self, coefficients: np.ndarray, background: torch.Tensor, filmed: np.ndarray, mouth_source: int | None
    ) -> "_Chunk":
        background, moved = self.follow_outline(background, filmed, coefficients)
        interior = None
        if self.mouths is not None:
            sources = self.mouths.choose(coefficients, mouth_source)
            interior, mouth_source = self.mouths(coefficients, sources), int(sources[-1])
        chi = torch.from_numpy(coefficients)
        rendered, mask = render_over(self.renderer, chi, self.albedo, background, interior)
        device = self.memory_gan.device
        with self._autocast():
            features = self.memory_gan.retrieve(to_network(rendered.to(device)))
        return _Chunk(rendered, mask, torch.maximum(mask, moved), features, mouth_source)

    def _refine_chunk(
        self, previous: "_Chunk | None", chunk: "_Chunk", following: "_Chunk | None"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        # Smoothing reaches into the neighbouring seconds, the window into the two frames before.
        neighbours = [part.features for part in (previous, chunk, following) if part is not None]
        start = 0 if previous is None else len(previous.features)
        identity = smooth_features(torch.cat(neighbours))[start : start + len(chunk.features)]
        past = chunk.rendered[[0, 0]] if previous is None else previous.rendered[-2:]
        padded = torch.cat([past, chunk.rendered])
        windows = torch.stack([padded[:-2], padded[1:-1], padded[2:]], 1)
        parts = (part.split(_BATCH) for part in (windows, identity, chunk.mask, chunk.changed))
        for window, feature, mask, changed in zip(*parts, strict=True):
            with self._autocast():
                refined = self.memory_gan(to_network(window.to(self.memory_gan.device)), feature)
            shown = near_face(window[:, -1], to_pixels(refined.frame).cpu(), mask)
            yield from zip(channels_last(shown), changed[:, 0].numpy(), strict=True)


def near_face(rendered: torch.Tensor, refined: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the refined frame at the face and the rendered one, which is the background, away from it.

    The generator was trained to leave the background as it is, and nearly does; what little it changes would flicker.

    Args:
        rendered: (B, 3, H, W) uint8.
        refined: (B, 3, H, W) uint8.
        mask: (B, 1, H, W) uint8, 255 on the face.

    Returns:
        (B, 3, H, W) uint8: refined up to `_NEAR` pixels from the face, then fading over twice as many.
    """
    # weights are smooth, so a quarter of the resolution does; widened first, or the fade would begin inside the face
    cells = avg_pool2d(mask.float() / 255, 4, ceil_mode=True)
    reach = _NEAR // 4
    cells = max_pool2d(cells, 4 * reach + 1, stride=1, padding=2 * reach)
    cells = avg_pool2d(cells, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
    weight = interpolate(cells, size=mask.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(rendered.float(), refined.float(), weight).round_().to(torch.uint8)


@dataclass(frozen=True)
class _Chunk:
    rendered: torch.Tensor  # (n, 3, H, W) uint8
    mask: torch.Tensor  # (n, 1, H, W) uint8, the face
    changed: torch.Tensor  # (n, 1, H, W) uint8, the face and what moved around it
    features: torch.Tensor  # (n, 512) retrieved, not yet smoothed
    mouth_source: int | None  # the training frame whose mouth the last frame shows
