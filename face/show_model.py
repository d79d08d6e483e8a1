"""Contact sheet of a face model: mean face, region masks, and the first modes of each basis.

python -m face.show_model docs/facemesh.png [--face-model facemesh]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from face.coefficients import EXPRESSION, IDENTITY, ILLUMINATION, SIZE, TEXTURE, TRANSLATION
from face.inspection_panels import flat_light, studio_light
from face.models.morphable_model import MorphableModel
from face.models.registry import FACE_MODELS, load_face_model
from face.rendering import Renderer, compose
from media.errors import InputError
from media.whole_file import whole_file

MODES, DEVIATIONS = 6, 2.0  # ours; no triangle turns over within these deviations

_SIDE = 180  # pixels of a face
_WIDTH = 144  # pixels of it that are shown, the middle: faces are narrow
_TITLE, _MARGIN = 24, 64  # pixels of a headline and of the column of row titles
_BASES = {"identity": IDENTITY, "expression": EXPRESSION, "texture": TEXTURE}
_CLOSER = 0.9  # decimetres toward the camera: the face fills its square
_BACKDROP = 0.8


def contact_sheet(model: MorphableModel) -> np.ndarray:
    """Draw the mean face with its regions, and two rows per basis: every mode at minus and plus two deviations.

    Args:
        model: The morphable face.

    Returns:
        uint8 (H, W, 3).
    """
    renderer = Renderer(model, size=_SIDE)
    height = (1 + 2 * len(_BASES)) * _SIDE + (1 + len(_BASES)) * _TITLE
    sheet = Image.new("RGB", (_MARGIN + MODES * _WIDTH, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)

    def row(top: int, title: str, faces: Sequence[np.ndarray], captions: Sequence[str] = ()) -> None:
        draw.text((8, top + _SIDE // 2 - 9), title, fill="black", font=font)
        for column, face in enumerate(faces):
            sheet.paste(Image.fromarray(face), (_MARGIN + column * _WIDTH, top))
        for column, caption in enumerate(captions):
            draw.text((_MARGIN + column * _WIDTH + 8, top - _TITLE + 3), caption, fill="black", font=font)

    regions = {"mean face": None, "mouth": model.mouth_weight, "eyes": model.eye_weight, "skin": model.skin_weight}
    row(_TITLE, "", [_region(renderer, weight) for weight in regions.values()], [*regions])
    top = _SIDE + 2 * _TITLE
    for name, part in _BASES.items():
        captions = [f"{name} {mode + 1}" for mode in range(MODES)]
        row(top, f"-{DEVIATIONS:g} SD", [_mode(renderer, part, mode, -DEVIATIONS) for mode in range(MODES)], captions)
        row(top + _SIDE, f"+{DEVIATIONS:g} SD", [_mode(renderer, part, mode, DEVIATIONS) for mode in range(MODES)])
        top += 2 * _SIDE + _TITLE
    return np.asarray(sheet)


def _neutral() -> torch.Tensor:
    """(1, 257) the mean face, frontal, close to the camera, under a studio light."""
    chi = torch.zeros(1, SIZE)
    chi[:, ILLUMINATION] = studio_light()
    chi[:, TRANSLATION] = torch.tensor([0.0, 0.0, _CLOSER])
    return chi


def _region(renderer: Renderer, weight: torch.Tensor | None) -> np.ndarray:
    """The mean face, with a weight of its vertices laid over it in red."""
    model = renderer.model
    if weight is None:
        return _draw(renderer, _neutral(), model.mean_texture)
    red = torch.tensor([0.85, 0.1, 0.12])
    grey = model.mean_texture.mean(-1, keepdim=True).expand(-1, 3)
    return _draw(renderer, _neutral(), torch.lerp(grey, red.expand_as(grey), weight[:, None]))


def _mode(renderer: Renderer, part: slice, mode: int, deviations: float) -> np.ndarray:
    """The mean face moved along one coefficient; colours under flat light where it is they that move."""
    chi = _neutral()
    chi[:, part.start + mode] = deviations
    if part == TEXTURE:
        chi[:, ILLUMINATION] = flat_light()
    return _draw(renderer, chi, renderer.model.texture(chi[:, TEXTURE])[0])


def _draw(renderer: Renderer, chi: torch.Tensor, albedo: torch.Tensor) -> np.ndarray:
    rendering = renderer.render(chi, albedo.clamp(0, 1))
    image = compose(rendering, torch.full((1, 3, renderer.size, renderer.size), _BACKDROP))[0]
    side = (renderer.size - _WIDTH) // 2
    return (image.permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()[:, side : side + _WIDTH]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m face.show_model", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="picture to write, for example docs/facemesh.png")
    parser.add_argument("--face-model", default="facemesh", choices=sorted(FACE_MODELS), help="which model")
    options = parser.parse_args(arguments)
    try:
        if options.out.suffix.lower() != ".png":
            raise InputError(f"{options.out}: the contact sheet is a .png; change the ending.")
        sheet = contact_sheet(load_face_model(options.face_model))
        with whole_file(options.out) as temporary:
            Image.fromarray(sheet).save(temporary, optimize=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
