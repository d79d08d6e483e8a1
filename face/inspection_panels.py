"""The pictures of an inspection: what tracker, geometry, albedo and light look like, and head pose over time."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from face.coefficients import ANGLES, ILLUMINATION
from face.illumination import AMBIENT_OFFSET, irradiance, sh_basis
from face.landmarks import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, OUTLINE, RIGHT_BROW, RIGHT_EYE
from face.rendering import Renderer, compose
from media.video import FPS

AXES = ("pitch", "yaw", "roll")

_MESH, _FEATURE, _POINT = (120, 255, 190, 60), (255, 214, 80, 230), (255, 70, 90, 255)  # RGBA
_RINGS = (OUTLINE, RIGHT_EYE, LEFT_EYE, OUTER_LIPS, INNER_LIPS, RIGHT_BROW, LEFT_BROW)
_FONT_SIZE = 13
_CURVE_COLOURS = ("#2e86ab", "#d1495b", "#3c9d6e")
_DPI = 100
_CLAY = 0.75  # albedo of the shaded geometry
# A lamp above the camera, a little to the right, over dim light from everywhere: first and second band, all colours.
_STUDIO = ((0, -0.30), (1, -0.14), (2, 0.36), (3, -0.12))
_SPHERE = 0.7  # diameter of the sphere / side of its panel
_BACKDROP = 40  # grey level behind what has no background


def flat_light() -> torch.Tensor:
    """(27,) γ under which every surface has irradiance 1."""
    gamma = torch.zeros(3, 9)
    gamma[:, 0] = 1 / sh_basis(torch.tensor([0.0, 0.0, 1.0]))[0] - AMBIENT_OFFSET
    return gamma.flatten()


def studio_light() -> torch.Tensor:
    """(27,) γ that shows the relief of a face."""
    gamma = torch.zeros(3, 9)
    for band, value in _STUDIO:
        gamma[:, band] = value
    return gamma.flatten()


def mesh_edges(triangles: np.ndarray) -> np.ndarray:
    """Every edge of a mesh once.

    Args:
        triangles: (F, 3).

    Returns:
        (E, 2) vertex numbers, the smaller one first.
    """
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(sides, axis=1), axis=0)


def tracking_panel(picture: np.ndarray, landmarks: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The tracked mesh over the picture: its edges faint, eyes, brows, lips and outline strong, landmarks as dots.

    Args:
        picture: uint8 (S, S, 3) crop.
        landmarks: (468, 3) pixels of the crop.
        edges: (E, 2) of the mesh.

    Returns:
        uint8 (S, S, 3).
    """
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image, "RGBA")
    points = [(float(x), float(y)) for x, y in landmarks[:, :2]]
    for first, second in edges.tolist():
        draw.line([points[first], points[second]], fill=_MESH)
    for ring in _RINGS:
        draw.line([points[k] for k in (*ring, ring[0])], fill=_FEATURE)
    draw.point(points, fill=_POINT)
    return np.asarray(image)


def geometry_panel(picture: np.ndarray, chi: np.ndarray, renderer: Renderer) -> np.ndarray:
    """The reconstructed shape in clay under a studio light, laid over the picture.

    Args:
        picture: uint8 (S, S, 3) crop.
        chi: (257,) coefficients.
        renderer: Of side S.

    Returns:
        uint8 (S, S, 3).
    """
    clay = torch.full_like(renderer.model.mean_texture, _CLAY)
    return _rendered(chi, studio_light(), clay, renderer, picture)


def albedo_panel(chi: np.ndarray, albedo: torch.Tensor, renderer: Renderer) -> np.ndarray:
    """The face in its own colours under flat light, before grey.

    Args:
        chi: (257,) coefficients.
        albedo: (V, 3) colour of each vertex.
        renderer: Of side S.

    Returns:
        uint8 (S, S, 3).
    """
    backdrop = np.full((renderer.size, renderer.size, 3), _BACKDROP, np.uint8)
    return _rendered(chi, flat_light(), albedo, renderer, backdrop)


def _rendered(
    chi: np.ndarray, gamma: torch.Tensor, albedo: torch.Tensor, renderer: Renderer, background: np.ndarray
) -> np.ndarray:
    lit = torch.from_numpy(chi)[None].clone()
    lit[:, ILLUMINATION] = gamma
    behind = torch.from_numpy(background.copy()).permute(2, 0, 1)[None].float() / 255
    image = compose(renderer.render(lit, albedo), behind)[0].permute(1, 2, 0)
    return (image * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def light_panel(gamma: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A sphere under a light, seen from the camera: the irradiance of a surface of each direction.

    Args:
        gamma: (27,) γ.
        side: Of the panel in pixels.

    Returns:
        uint8 (side, side, 3), scaled so that the brightest colour of the sphere is 255, and the irradiance it stands
        for.
    """
    radius = _SPHERE * side / 2
    across = (np.arange(side) + 0.5 - side / 2) / radius
    x, y = np.meshgrid(across, -across)
    squared = x**2 + y**2
    normals = np.stack([x, y, np.sqrt(np.clip(1 - squared, 0, None))], -1).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)  # beyond the outline, which its smooth edge touches
    light = irradiance(torch.from_numpy(normals).view(1, -1, 3), torch.from_numpy(gamma)[None])[0].numpy()
    light = light.reshape(side, side, 3).clip(0)
    brightest = float(light[squared < 1].max())
    share = ((1 - np.sqrt(squared)) * radius + 0.5).clip(0, 1)[..., None]  # of each pixel that the sphere covers
    colours = 255 * (light / max(brightest, 1e-6)).clip(0, 1)
    return (share * colours + (1 - share) * _BACKDROP).round().astype(np.uint8), brightest


def label(panel: np.ndarray, lines: Sequence[str], bottom: bool = False) -> np.ndarray:
    """Write lines into a corner of a panel, light on a dark bar.

    Args:
        panel: uint8 (H, W, 3).
        lines: Text.
        bottom: At the lower edge instead of the upper one.

    Returns:
        uint8 (H, W, 3) a copy.
    """
    image = Image.fromarray(panel)
    draw, font = ImageDraw.Draw(image, "RGBA"), ImageFont.load_default(_FONT_SIZE)
    step = _FONT_SIZE + 4
    height = step * len(lines) + 4
    top = panel.shape[0] - height if bottom else 0
    draw.rectangle([0, top, panel.shape[1], top + height], fill=(0, 0, 0, 150))
    for row, line in enumerate(lines):
        draw.text((6, top + 2 + step * row), line, fill=(255, 255, 255, 255), font=font)
    return np.asarray(image)


class PoseCurves:
    """Head angles over time, drawn once, with a cursor that moves.

    Args:
        chi: (T, 257) coefficients.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
    """

    def __init__(self, chi: np.ndarray, width: int, height: int) -> None:
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panel = figure.subplots()
        seconds = np.arange(len(chi)) / FPS
        for name, colour, angle in zip(AXES, _CURVE_COLOURS, np.degrees(chi[:, ANGLES]).T, strict=True):
            panel.plot(seconds, angle, label=name, color=colour, linewidth=1.4)
        panel.set_xlim(0, max(seconds[-1], 1 / FPS))
        panel.set_xlabel("time [s]", fontsize=9)
        panel.set_ylabel("head pose [°]", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, ncols=3, frameon=False, borderpad=0)
        canvas.draw()
        self._background = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        box = panel.get_window_extent()
        self._rows = slice(round(height - box.y1), round(height - box.y0))
        self._columns = panel.transData.transform(np.stack([seconds, np.zeros_like(seconds)], 1))[:, 0]

    def at(self, frame: int) -> np.ndarray:
        """The curves with the cursor at a frame, uint8 (height, width, 3)."""
        picture = self._background.copy()
        column = min(round(float(self._columns[frame])), picture.shape[1] - 2)
        picture[self._rows, column - 1 : column + 1] = 20
        return picture
