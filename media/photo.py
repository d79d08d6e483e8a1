"""A still picture of any common format in, an RGB array out."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from media.errors import InputError


def read_photo(path: str | Path) -> np.ndarray:
    """Read a photo as a viewer shows it: turned as its camera was held, transparency over white.

    Args:
        path: A picture file that Pillow reads (jpg, png, webp, ...); of several pictures the first.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: If it cannot be read as a picture.
    """
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if "A" in picture.getbands() or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            return np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow's readers raise
        raise InputError(f"{path}: cannot be read as a picture; give a jpg or png file") from error
