"""What decides, beside a video, how its clip comes out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face.models.registry import model_version
from face.reconstructors.registry import reconstruction_version
from media.digest import sha256

# Of the clip on disk and of how its numbers come about; a change prepares every video again, of corpora or of persons.
_CORPUS_FORMAT, _PERSON_FORMAT = 9, 10


@dataclass(frozen=True)
class Preparation:
    """The settings of preparation.

    Attributes:
        train_seconds: Length of the part that is learned from (SPEC, split); None for a clip of a corpus: every frame
            is learned from, it may be short, there is no gallery, and it is stored compactly.
        audio_offset: Frames by which the mouth lags its sound (SPEC; negative: the mouth moves first); None: estimated
            on the training part (`datamodules.audio_offset`) and corrected where the estimate is clear.
        face_model: Key of `face.models.registry.FACE_MODELS`.
        face_model_file: File of a face model that does not come with the project.
        reconstruction: Key of `face.reconstructors.registry.RECONSTRUCTIONS`.
        reconstruction_file: File of its network, for `deep3d`.
        identity_encoder: Key of `face.identity.IDENTITY_ENCODERS`.
        identity_onnx: File of the network, for `arcface`.
    """

    train_seconds: float | None = None
    audio_offset: int | None = None
    face_model: str = "facemesh"
    face_model_file: str | Path | None = None
    reconstruction: str = "closed_form"
    reconstruction_file: str | Path | None = None
    identity_encoder: str = "coefficients"
    identity_onnx: str | Path | None = None

    @property
    def of_corpus(self) -> bool:
        """Whether the clip is one of many, of which every frame is learned from."""
        return self.train_seconds is None

    def describe(self) -> dict[str, Any]:
        """What names a prepared clip beside its video: the settings, files by the sha256 of their bytes.

        Raises:
            InputError: If a file is missing, or a choice is unknown or does not go with another.
        """
        version = reconstruction_version(self.reconstruction, self.reconstruction_file, self.face_model)
        return {
            "format": _CORPUS_FORMAT if self.of_corpus else _PERSON_FORMAT,
            "train_seconds": self.train_seconds,
            "audio_offset": self.audio_offset,
            "face_model": [self.face_model, model_version(self.face_model, self.face_model_file)],
            "reconstruction": [self.reconstruction, version] if version else self.reconstruction,
            "identity_encoder": self.identity_encoder,
            "identity_onnx": sha256(self.identity_onnx) if self.identity_onnx else None,
        }
