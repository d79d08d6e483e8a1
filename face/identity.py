"""Identity features: 512 unit-length numbers per frame that are alike for one person (the f of the paper, 3.4).

The paper's are ArcFace's, computed here from the user's ONNX file. Without one, they come from the face model: what
tells two people apart in shape and texture.

    python -m face.identity FOLDER                                  # equal error rate on clips (`face.verification`)
    python -m face.identity FOLDER --encoder arcface --onnx FILE    # the same, of a network of yours
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from kornia.geometry.transform import warp_affine

from face.coefficients import IDENTITY_SIZE, TEXTURE_SIZE
from media.digest import sha256
from media.errors import InputError

FEATURE_SIZE = 512  # ArcFace's; ours take the same room so that networks need not know which is used
_SEED = 2020
_BATCH = 32

# Eyes, nose tip and mouth corners in the 112 x 112 picture ArcFace was trained on (SPEC); pixel centres at integers.
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
ARCFACE_SIZE = 112


class CoefficientEncoder:
    """Shape and texture coefficients of each frame, spread over 512 numbers by a fixed rotation.

    Among people they have mean 0 and deviation 1: the bases are centred and contain the standard deviations.

    Attributes:
        similarity_threshold: Cosine above which two features are taken for one person's.
    """

    # ours: at the equal error rate of single frames of 20 embedded people (SPEC); on 22 real recordings of 21 people,
    # 24 frames each, it lies at 0.70 and is 7 %
    similarity_threshold = 0.73

    def __init__(self) -> None:
        size = IDENTITY_SIZE + TEXTURE_SIZE
        # Orthonormal columns: angles between coefficient vectors stay what they are.
        self._rotation = np.linalg.qr(np.random.default_rng(_SEED).standard_normal((FEATURE_SIZE, size)))[0]

    def __call__(self, identity: np.ndarray, texture: np.ndarray) -> np.ndarray:
        """Encode frames.

        Args:
            identity: (T, 80) α fitted to each frame by itself.
            texture: (T, 80) δ fitted to each frame by itself.

        Returns:
            float32 (T, 512) of unit length.
        """
        joined = np.concatenate([identity, texture], axis=-1, dtype=np.float64)
        return _unit(joined @ self._rotation.T)

    def describe(self) -> dict[str, Any]:
        """Name and origin, for provenance."""
        return {"encoder": "coefficients", "seed": _SEED, "similarity_threshold": self.similarity_threshold}


class ArcFaceEncoder:
    """ArcFace, or any network with its signature, through ONNX Runtime; on CUDA where it is there.

    Args:
        path: ONNX file with one input (N, 3, 112, 112), RGB (x - 127.5) / 127.5, and one output (N, 512).

    Raises:
        InputError: If the file is missing, is no ONNX network or has another signature.
    """

    similarity_threshold = 0.98  # original code (facts 1.15), SPEC

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise InputError(
                f"{path}: no such file; give an ArcFace network in ONNX format (face.identity_onnx, --onnx)"
            )
        self.path = Path(path)
        self.sha256 = sha256(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=_providers())
        except Exception as error:  # ONNX Runtime's own exception classes share no base but this
            first_line = str(error).splitlines()[0]
            raise InputError(f"{path}: not a network ONNX Runtime can read ({first_line}); export it again") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        expected, given = [3, ARCFACE_SIZE, ARCFACE_SIZE], [list(i.shape) for i in (*inputs, *outputs)]
        if len(given) != 2 or given[0][1:] != expected or given[1][1:] != [FEATURE_SIZE]:
            raise InputError(
                f"{path}: expected one input (N, 3, 112, 112) and one output (N, 512), found shapes {given}; "
                "give a network with ArcFace's signature (face.identity_onnx, --onnx)"
            )
        self._input = inputs[0].name
        batch = inputs[0].shape[0]  # a name or nothing where any number will do; some exports fix it at 1
        self._fixed_batch = batch if isinstance(batch, int) else None

    def __call__(self, frames: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Encode frames.

        Args:
            frames: uint8 (T, H, W, 3) RGB.
            points: (T, 5, 2) eyes, nose tip, mouth corners in pixels of the frames (`face.landmarks.five_points`);
                in the picture the left eye and the left mouth corner come first.

        Returns:
            float32 (T, 512) of unit length.
        """
        features = np.empty((len(frames), FEATURE_SIZE), np.float32)
        for start in range(0, len(frames), _BATCH):
            part = slice(start, start + _BATCH)
            aligned = align_faces(frames[part], points[part])
            step = self._fixed_batch or _BATCH
            features[part] = np.concatenate([self._run(aligned[k : k + step]) for k in range(0, len(aligned), step)])
        return _unit(features)

    def describe(self) -> dict[str, Any]:
        """Name and origin, for provenance."""
        return {
            "encoder": "arcface",
            "file": self.path.name,
            "sha256": self.sha256,
            "providers": self._session.get_providers(),
            "similarity_threshold": self.similarity_threshold,
        }

    def _run(self, batch: np.ndarray) -> np.ndarray:
        """One call of the network, padded where it insists on a batch size."""
        rows = len(batch)
        if self._fixed_batch and rows < self._fixed_batch:
            batch = np.concatenate([batch, np.repeat(batch[-1:], self._fixed_batch - rows, axis=0)])
        return self._session.run(None, {self._input: batch})[0][:rows]


def align_faces(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Turn, scale and shift faces onto ArcFace's template by the least-squares similarity of five points.

    Args:
        frames: uint8 (T, H, W, 3) RGB.
        points: (T, 5, 2) continuous pixel coordinates.

    Returns:
        float32 (T, 3, 112, 112), (x - 127.5) / 127.5; black beyond the frame.
    """
    # The template and kornia count from pixel centres, points from pixel corners.
    matrix = torch.from_numpy(_similarity(np.asarray(points, np.float64) - 0.5, ARCFACE_TEMPLATE)).float()
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    # Plain bilinear sampling, as the features were trained on.
    aligned = warp_affine(pictures, matrix, (ARCFACE_SIZE, ARCFACE_SIZE), align_corners=True)
    return ((aligned - 127.5) / 127.5).numpy()


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(T, 2, 3) rotation with scale, and shift, that take (T, N, 2) points to (N, 2) with least squared error."""
    # As complex numbers a similarity is w = a z + b, and least squares gives a in one line.
    z, w = source[..., 0] + 1j * source[..., 1], target[:, 0] + 1j * target[:, 1]
    centred = z - z.mean(-1, keepdims=True)
    a = (centred.conj() * (w - w.mean())).sum(-1) / (np.abs(centred) ** 2).sum(-1)
    b = w.mean() - a * z.mean(-1)
    return np.stack([np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], -2)


def _providers() -> list[str]:
    """CUDA before CPU where both torch and ONNX Runtime can use it; asking for it elsewhere only prints errors."""
    wanted = ["CPUExecutionProvider"]
    if torch.cuda.is_available() and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # The CUDA libraries lie in torch's own packages, where the loader does not look by itself.
        onnxruntime.preload_dlls()
        wanted.insert(0, "CUDAExecutionProvider")
    return wanted


def _unit(features: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return (features / np.maximum(norm, 1e-12)).astype(np.float32)


IDENTITY_ENCODERS: dict[str, Any] = {  # their keywords differ as their sources do
    "coefficients": CoefficientEncoder,
    "arcface": ArcFaceEncoder,
}


def load_identity_encoder(name: str, onnx: str | Path | None = None) -> CoefficientEncoder | ArcFaceEncoder:
    """Make an encoder by its name in `IDENTITY_ENCODERS`.

    Args:
        name: `coefficients` or `arcface`.
        onnx: File of the network, for `arcface`.

    Raises:
        InputError: no encoder of that name, or no network where one is needed.
    """
    if name not in IDENTITY_ENCODERS:
        known = ", ".join(sorted(IDENTITY_ENCODERS))
        raise InputError(f"identity encoder {name!r} is unknown; known encoders: {known}")
    if name != "arcface":
        return CoefficientEncoder()
    if onnx is None:
        raise InputError("the identity encoder arcface needs a network in ONNX format (face.identity_onnx, --onnx)")
    return ArcFaceEncoder(onnx)


if __name__ == "__main__":
    # imported here, and from there back: the classes of a module that runs as a program are others than its own
    from face.verification import main

    sys.exit(main())
