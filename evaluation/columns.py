"""The columns of every score table: name, title, unit, what is measured, and whether more is better.

Whatever shows scores takes its words from here. How each is computed stands with the metric, and why it differs from
what others print in `docs/metrics.md`.

    python -m evaluation.columns    # all columns as a Markdown table
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Of the quantity, for the head of a table.
        unit: Of the numbers; empty for pure numbers and text.
        detail: What tells it from others of the same title, a few words.
        definition: What is measured, one sentence.
        better: Whether more or less is better; None if neither is, or it is no score.
    """

    title: str
    unit: str
    detail: str
    definition: str
    better: Literal["up", "down"] | None = None

    @property
    def subtitle(self) -> str:
        """Unit and detail, for the line below the title."""
        return ", ".join(part for part in (self.unit, self.detail) if part)


COLUMNS: dict[str, Column] = {
    "name": Column("Name", "", "", "The generated video, by its path without ending."),
    "frames": Column("Frames", "", "compared", "Frames compared, at 25 per second."),
    "psnr": Column("PSNR", "dB", "256 px crop", "Mean over frames of the PSNR of all pixels, at most 100.", "up"),
    "psnr_face": Column("PSNR", "dB", "inside the face", "The same inside the tracked face, eyes excluded.", "up"),
    "psnr_atvg": Column(
        *("PSNR", "dB", "wrapping bytes, Table 2"),
        "Grey bytes that wrap around, as the numbers of the paper's Table 2 were made; random pictures score 27.9.",
        "up",
    ),
    "ssim": Column("SSIM", "", "256 px crop", "Mean over frames, 7x7 uniform window (Table 2, scikit-image).", "up"),
    "ssim_face": Column("SSIM", "", "inside the face", "The same over windows centred in the tracked face.", "up"),
    "ssim_gaussian": Column("SSIM", "", "Gaussian window", "Mean over frames, 11x11 Gaussian window.", "up"),
    "lmd_iod": Column(
        *("LMD", "eye distances", "mouth"),
        "Mean distance of 20 mouth points, own mean removed, in outer-eye distances of the true frame.",
        "down",
    ),
    "lmd_px128": Column("LMD", "px at 128", "mouth", "The same in pixels of a 128 px face crop.", "down"),
    "lmd_face_iod": Column("LMD", "eye distances", "whole face", "Like `lmd_iod`, of all 68 points.", "down"),
    "lmd_face_px128": Column("LMD", "px at 128", "whole face", "Like `lmd_px128`, of all 68 points.", "down"),
    "hs": Column(
        "HS", "", "head pose, 0 to 1", "Eq. 6 on angles as they are, 1-degree bins, normalised by their range.", "up"
    ),
    "hs_centred": Column("HS", "", "each head centred", "Eq. 6 on angles minus their own mean.", "up"),
    "w1_pitch": Column("W1", "degrees", "pitch", "Wasserstein distance of the two distributions of pitch.", "down"),
    "w1_yaw": Column("W1", "degrees", "yaw", "Wasserstein distance of the two distributions of yaw.", "down"),
    "w1_roll": Column("W1", "degrees", "roll", "Wasserstein distance of the two distributions of roll.", "down"),
    "hs_ceiling": Column("HS ceiling", "", "half of the truth against half", "HS of the true video's two halves."),
    "head_motion_ratio": Column(
        "Motion", "", "of the true head's", "Standard deviation of the three angles, generated / true."
    ),
    "velocity_distance": Column(
        "Velocity", "dB", "spectra", "Distance of the spectra of angular velocity, where there is movement.", "down"
    ),
    "acceleration_distance": Column(
        "Acceleration", "dB", "spectra", "Distance of the spectra of angular acceleration, likewise.", "down"
    ),
    "beat_align": Column(
        "Beats", "", "head on the sound's", "Nearness of the head's beats to the onsets of the sound."
    ),
    "beat_align_chance": Column("Beats", "", "by chance", "The same for the movement at all other times."),
    "mouth_correlation": Column(
        "Mouth", "", "correlation of opening", "Correlation with the true mouth opening.", "up"
    ),
    "av_offset": Column(
        "Offset", "ms", "mouth after sound", "Of the mouth seen against that suggested by the sound; negative: early."
    ),
    "av_confidence": Column(
        "Sync", "", "confidence", "Correlation at that offset minus the median of its size elsewhere.", "up"
    ),
    "csim": Column("CSIM", "", "identity", "Mean cosine of ArcFace features of generated and true frames.", "up"),
    "lost_frames": Column("Lost", "", "frames", "Of `frames`, those without a face in either video.", "down"),
    "lost_frames_generated": Column(
        *("Lost", "", "frames, generated"),
        "In a run: `lost_frames` of the video in the predicted pose; `lost_frames` is of that in the true pose.",
        "down",
    ),
    "notes": Column("Notes", "", "", "What was resampled, resized, cropped or trimmed."),
    "run": Column("Run", "", "", "The run that made the video, if it lies in a run folder."),
    "data": Column("Data", "", "", "Beginnings of the sha256 of the true and the generated file."),
    "commit": Column("Commit", "", "", "Of the code that measured; + and a hash if it was changed since."),
}


def markdown_table() -> str:
    """All columns as a Markdown table: name, unit, definition, and which way is better."""
    arrows = {"up": "more", "down": "less", None: ""}
    rows = [
        f"| `{name}` | {column.unit} | {column.definition} | {arrows[column.better]} |"
        for name, column in COLUMNS.items()
    ]
    return "\n".join(["| column | unit | meaning | better |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown_table())
