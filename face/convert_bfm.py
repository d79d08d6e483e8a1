"""Make `BFM_model_front.mat`, the file of `face.model=bfm`, from the Basel Face Model 2009 and its expressions.

    python -m face.convert_bfm --basel 01_MorphableModel.mat --expressions Exp_Pca.bin --deviations std_exp.txt \
        --front BFM_front_idx.mat --trim BFM_exp_idx.mat --info facemodel_info.mat BFM_model_front.mat

`01_MorphableModel.mat` comes with the licence of https://faces.dmi.unibas.ch/bfm; the expressions of Guo et al. from
their CoarseData; the small files from the folder BFM of Deep3DFaceRecon_pytorch. Not run on the official files yet.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

from face.coefficients import EXPRESSION_SIZE, IDENTITY_SIZE, TEXTURE_SIZE
from face.models.bfm import read_fields
from media.errors import InputError

_DECIMETRE = 1e5  # micrometres, the unit of both sources (facts 4.3)
_INFO = ("tri", "point_buf", "tri_mask2", "keypoints", "frontmask2_idx", "skinmask")


@dataclass(frozen=True)
class Sources:
    """The files a face model is made from.

    Attributes:
        basel: `shapeMU`, `shapePC`, `shapeEV` and the same of `tex`, on all vertices of the Basel model.
        expressions: Number of components (int32), their mean and the components (float32), on its trimmed vertices.
        deviations: Standard deviations of the expression components, text.
        front: `idx`, which trimmed vertices Deep3D keeps, from 1.
        trim: `trimIndex`, which vertices of the Basel model the trimmed ones are, from 1.
        info: Triangles, key points and masks of the vertices Deep3D keeps.
    """

    basel: Path
    expressions: Path
    deviations: Path
    front: Path
    trim: Path
    info: Path


def convert(sources: Sources) -> dict[str, np.ndarray]:
    """Cut and scale the bases as Deep3D does (facts 4.4).

    Args:
        sources: The files.

    Returns:
        The fields of `BFM_model_front.mat`, bases float32, in decimetres and colours from 0 to 255 per deviation.

    Raises:
        InputError: If a file is missing, unreadable, or does not fit the others.
    """
    basel = read_fields(sources.basel, [f"{part}{kind}" for part in ("shape", "tex") for kind in ("MU", "PC", "EV")])
    components = read_expressions(sources.expressions)  # (K, n, 3)
    deviations = _deviations(sources.deviations)
    front = _indices(sources.front, "idx", components.shape[1])
    kept = _indices(sources.trim, "trimIndex", basel["shapeMU"].size // 3)
    if len(kept) != components.shape[1]:
        raise InputError(
            f"{sources.trim}: trimIndex names {len(kept)} vertices, {sources.expressions} has {components.shape[1]}; "
            "give the two files of one version"
        )
    kept = kept[front]
    expression = components[:EXPRESSION_SIZE, front] * (deviations[:EXPRESSION_SIZE, None, None] / _DECIMETRE)
    fields = {
        "meanshape": _vertices(basel["shapeMU"])[kept].reshape(1, -1) / _DECIMETRE,
        "meantex": _vertices(basel["texMU"])[kept].reshape(1, -1),
        "idBase": _basis(sources.basel, basel, "shape", IDENTITY_SIZE, kept) / _DECIMETRE,
        "exBase": expression.reshape(EXPRESSION_SIZE, -1).T,
        "texBase": _basis(sources.basel, basel, "tex", TEXTURE_SIZE, kept),
    }
    info = read_fields(sources.info, _INFO)
    if info["tri"].max() > len(kept) or info["keypoints"].max() > len(kept):
        raise InputError(
            f"{sources.info}: names vertex {int(info['tri'].max())} of {len(kept)}; give Deep3D's own file"
        )
    return {name: values.astype(np.float32) for name, values in fields.items()} | info


def read_expressions(path: Path) -> np.ndarray:
    """Read the components of `Exp_Pca.bin`.

    Returns:
        float32 (K, n, 3) unit vectors in K rows; the mean of the file is not used (facts 4.4).

    Raises:
        InputError: If the file is missing, or its length does not fit the number of components it begins with.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it comes with the CoarseData of Guo et al.")
    content = path.read_bytes()
    count = int(np.frombuffer(content[:4], "<i4")[0]) if len(content) >= 4 else 0
    numbers, rest = divmod(len(content) - 4, 4)
    if count < EXPRESSION_SIZE or rest or numbers % (3 * (count + 1)):
        raise InputError(
            f"{path}: {len(content)} bytes do not hold a mean and {count} components, of which at least "
            f"{EXPRESSION_SIZE} are needed; copy the file again"
        )
    return np.frombuffer(content, "<f4", offset=4).reshape(count + 1, -1, 3)[1:]


def _deviations(path: Path) -> np.ndarray:
    try:
        values = np.loadtxt(path).ravel()
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as numbers ({reason}); give Deep3D's std_exp.txt") from error
    if len(values) < EXPRESSION_SIZE:
        raise InputError(f"{path}: has {len(values)} numbers, {EXPRESSION_SIZE} are needed; give Deep3D's std_exp.txt")
    return values


def _indices(path: Path, name: str, count: int) -> np.ndarray:
    """Vertex numbers of a file, from 0."""
    values = read_fields(path, [name])[name].ravel().astype(np.int64) - 1
    if values.min(initial=0) < 0 or values.max(initial=0) >= count:
        raise InputError(f"{path}: {name} names vertex {values.max() + 1} of {count}; give the files of one version")
    return values


def _vertices(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, 3)


def _basis(path: Path, basel: dict[str, np.ndarray], part: str, count: int, kept: np.ndarray) -> np.ndarray:
    """(3V, count) components times deviations at the vertices that are kept."""
    components, deviations = basel[f"{part}PC"], basel[f"{part}EV"].ravel()
    size = basel[f"{part}MU"].size
    if components.shape != (size, len(deviations)) or len(deviations) < count:
        raise InputError(
            f"{path}: {part}PC has shape {components.shape}, expected ({size}, {len(deviations)}) with at least "
            f"{count} columns; give 01_MorphableModel.mat of the Basel Face Model 2009"
        )
    scaled = components[:, :count] * deviations[:count]
    return scaled.reshape(-1, 3, count)[kept].reshape(-1, count)


def main(arguments: list[str] | None = None) -> int:
    """Convert and write; the exit status is 1 if a file is refused."""
    parser = argparse.ArgumentParser("python -m face.convert_bfm", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--basel", type=Path, required=True, help="01_MorphableModel.mat of the Basel Face Model 2009")
    parser.add_argument("--expressions", type=Path, required=True, help="Exp_Pca.bin of Guo et al. (CoarseData)")
    parser.add_argument("--deviations", type=Path, required=True, help="std_exp.txt of Deep3D")
    parser.add_argument("--front", type=Path, required=True, help="BFM_front_idx.mat of Deep3D")
    parser.add_argument("--trim", type=Path, required=True, help="BFM_exp_idx.mat of Deep3D")
    parser.add_argument("--info", type=Path, required=True, help="facemodel_info.mat of Deep3D")
    parser.add_argument("out", type=Path, help="where to write BFM_model_front.mat")
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    try:
        fields = convert(Sources(**given))
        savemat(out, fields)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {out}: cannot be written ({error.strerror}); choose another place", file=sys.stderr)
        return 1
    print(f"{out}: {fields['meanshape'].size // 3} vertices, {len(fields['tri'])} triangles")
    return 0


if __name__ == "__main__":
    sys.exit(main())
