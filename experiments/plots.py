"""The pictures of a report, as PNG or JPEG bytes: head pose over time, curves of training, frames beside the truth."""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from media.audio import read_audio
from media.video import FPS, probe, stream_frames
from media.video_writer import VideoWriter

AXES = ("pitch", "yaw", "roll")
COLOURS = {"true": "#222222", "predicted": "#d1495b", "fitted": "#2e86ab"}
_DPI = 130


def pose_plot(angles: dict[str, np.ndarray]) -> bytes:
    """Three head angles over time, one panel per axis.

    Args:
        angles: Name such as `true` or `predicted` to (T, 3) degrees; lengths may differ.

    Returns:
        A PNG file.
    """
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    for axis, panel in enumerate(panels):
        for name, values in angles.items():
            seconds = np.arange(len(values)) / FPS
            panel.plot(seconds, values[:, axis], label=name, color=COLOURS.get(name), linewidth=1.4)
        panel.set_ylabel(f"{AXES[axis]} [°]")
        _tidy(panel)
    panels[-1].set_xlabel("time [s]")
    panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(angles), frameon=False)
    return _png(figure)


def curve_plot(rows: Sequence[dict[str, float]]) -> bytes | None:
    """Curves of a stage, one panel per logged quantity; training and validation of the same quantity share one.

    Args:
        rows: From `tracking.read_curves`.

    Returns:
        A PNG file; None if nothing but the counters was logged.
    """
    panels: dict[str, list[str]] = {}
    for key in sorted({key for row in rows for key in row} - {"step", "epoch"}):
        phase, _, quantity = key.rpartition("/")
        panels.setdefault(quantity if phase in ("train", "val") else key, []).append(key)
    if not panels:
        return None
    columns = min(4, len(panels))
    height = -(-len(panels) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * height), layout="constrained")
    for panel, (quantity, keys) in zip(
        figure.subplots(height, columns, squeeze=False).flat, panels.items(), strict=False
    ):
        for key in keys:
            points = np.array([(row["step"], row[key]) for row in rows if key in row])
            marker = "." if len(points) < 15 else None  # a line of a single point would not show
            panel.plot(*points.T, label=_phase(key), color=_colour(key), linewidth=1.3, marker=marker)
        panel.set_title(quantity, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7, frameon=False)
        _tidy(panel)
    for panel in figure.axes[len(panels) :]:
        panel.remove()
    figure.supxlabel("batches", fontsize=8)
    return _png(figure)


def frame_strip(videos: dict[str, Path], count: int = 6, side: int = 200) -> bytes:
    """Frames of several videos of the same length beside each other, one row per video, one column per moment.

    Args:
        videos: Title of a row to its video.
        count: Moments, spread evenly.
        side: Width of a frame, pixels.

    Returns:
        A JPEG file.
    """
    rows = [(title, *sample_frames(path, count)) for title, path in videos.items()]
    height = max(round(side * frame.shape[0] / frame.shape[1]) for _, _, frames in rows for frame in frames)
    label, header = 130, 20  # pixels for the titles of rows and for the times
    columns = max(len(frames) for _, _, frames in rows)
    picture = Image.new("RGB", (label + columns * side, header + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for row, (title, moments, frames) in enumerate(rows):
        top = header + row * height
        draw.text((6, top + height // 2 - 7), title, fill="black", font=font)
        for column, (moment, frame) in enumerate(zip(moments, frames, strict=True)):
            left = label + column * side
            if row == 0:
                draw.text((left + 6, 2), f"{moment / FPS:.2f} s", fill="black", font=font)
            small = Image.fromarray(frame).resize((side, height), Image.Resampling.LANCZOS)
            picture.paste(small, (left, top))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_comparison(videos: Path, output: Path) -> None:
    """Put the truth and both videos of the row `audio` beside each other, with the sound, for any player.

    Args:
        videos: The `videos/` folder of a run.
        output: An mp4 file; left alone if it is newer than what it is made from.
    """
    parts = {
        "true": videos / "reference.mp4",
        "true head, mouth from the sound": videos / "audio" / "reenacted.mp4",
        "head and mouth from the sound": videos / "audio" / "generated.mp4",
    }
    parts = {title: path for title, path in parts.items() if path.is_file()}
    if output.is_file() and output.stat().st_mtime > max(path.stat().st_mtime for path in parts.values()):
        return
    streams = [stream_frames(path) for path in parts.values()]
    header: np.ndarray | None = None
    writer: VideoWriter | None = None
    with ExitStack() as stack:
        for frames in zip(*streams, strict=False):
            joined = np.concatenate(frames, axis=1)
            if writer is None or header is None:
                header = _title_bar(list(parts), frames[0].shape[1])
                height = joined.shape[0] + header.shape[0]
                sound = read_audio(videos / "audio" / "generated.mp4")
                writer = stack.enter_context(VideoWriter(output, joined.shape[1], height, audio=sound))
            writer.write(np.concatenate([header, joined]))


def _title_bar(titles: Sequence[str], width: int) -> np.ndarray:
    bar = Image.new("RGB", (width * len(titles), 24), "white")
    draw, font = ImageDraw.Draw(bar), ImageFont.load_default(13)
    for column, title in enumerate(titles):
        draw.text((column * width + 6, 4), title, fill="black", font=font)
    return np.asarray(bar)


def sample_frames(path: Path, count: int) -> tuple[list[int], list[np.ndarray]]:
    """Evenly spread frames of a video, each from the middle of its share.

    Returns:
        Their numbers, and the frames, each (H, W, 3) uint8.
    """
    total = probe(path).frames
    wanted = np.unique(((np.arange(count) + 0.5) * total / count).astype(int)).tolist()
    frames = enumerate(stream_frames(path, stop=wanted[-1] + 1))
    return wanted, [frame for index, frame in frames if index in wanted]


def _phase(key: str) -> str:
    return {"train": "training", "val": "validation"}.get(key.partition("/")[0], key)


def _colour(key: str) -> str:
    return COLOURS["predicted"] if key.startswith("val") else COLOURS["fitted"]


def _tidy(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.25)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
