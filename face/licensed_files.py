"""The files that cannot come with the project: where the user gets them, and what to say when they are not there."""

from pathlib import Path

from media.errors import InputError

BASEL = "apply for the Basel Face Model 2009 at https://faces.dmi.unibas.ch/bfm, then run python -m face.convert_bfm"
R_NET = "get epoch_20.pth, the pretrained model of https://github.com/sicxu/Deep3DFaceRecon_pytorch"


def require_basel(file: str | Path | None) -> Path:
    """The file of `face.model=bfm`.

    Raises:
        InputError: If it is not given or not there.
    """
    if not file:
        raise InputError(f"face.model=bfm needs face.model_file=BFM_model_front.mat: {BASEL}")
    return _existing("face.model_file", file, BASEL)


def require_r_net(file: str | Path | None, face_model: str) -> Path:
    """The file of `face.reconstruction=deep3d`.

    Args:
        file: The file.
        face_model: Name of the face model whose coefficients are wanted.

    Raises:
        InputError: If it is not given or not there, or the face model is not the one that R-Net was trained with.
    """
    if face_model != "bfm":
        raise InputError(
            f"face.reconstruction=deep3d finds coefficients of the Basel face model, not of {face_model}: "
            "add face=bfm face.model_file=BFM_model_front.mat"
        )
    if not file:
        raise InputError(f"face.reconstruction=deep3d needs face.reconstruction_file=epoch_20.pth: {R_NET}")
    return _existing("face.reconstruction_file", file, R_NET)


def _existing(key: str, file: str | Path, remedy: str) -> Path:
    if not Path(file).is_file():
        raise InputError(f"{key}={file}: no such file; {remedy}")
    return Path(file)
