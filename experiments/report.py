"""The report of a run: one HTML file that opens anywhere, made from what lies in the run folder and nothing else."""

import base64
import html
import json
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from evaluation.columns import COLUMNS, Column
from evaluation.run_files import flatten
from experiments import provenance
from experiments.plots import curve_plot, frame_strip, pose_plot, write_comparison
from experiments.score_table import REPORT, ROWS, is_best, read_scores, short, talking_videos
from experiments.settings import EMBEDDED, GENERAL, differences, load_settings, to_yaml
from experiments.tracking import read_curves

LARGEST_VIDEO = 32 * 2**20  # bytes; ours: browsers become slow with a page of hundreds of megabytes

TEST_CLIPS = "test_clips"  # kind of data
ORIGINS = ("notes", "run", "data", "commit")  # columns that are no scores
ABOUT_SCORES = (
    "Measured by tracking the video files. PSNR to mouth: true head pose and background, mouth of the row; HS to "
    "motion: head pose from the sound. Blue: best of the rows that do not see the true mouth."
)
ABOUT_CLIPS = (
    "Means over the clips, measured by tracking the video files; those of every clip stand in clips.csv. Of each clip "
    "one frame is known; what lies behind the face is the true frame."
)

FACTS = {
    "clips": "clips",
    "speakers": "speakers",
    "frames": "frames at 25/s",
    "training_frames": "frames learned from",
    "bridged_frames": "frames without a face, bridged",
    "audio_offset": "sound moved by, frames",
    "offset_flags": "clips by what is known of the offset of their sound",
    "offset_estimate": "sound and picture out of step by, frames, as estimated",
    "offset_confidence": "confidence of that, clear from 0.1",
    "landmark_error_percent": "landmark error, % of eye distance",
    "width": "width of the video, px",
    "height": "height of the video, px",
}


def write_report(folder: Path) -> Path:
    """Write `report.html` from whatever of a run is there.

    Args:
        folder: The run folder. Read are `settings.yaml`, `provenance.json`, `preparation.json`, `scores.csv`,
            `poses.npz`, `logs/*/metrics.csv`, `logs/images/` and `videos/`; what is missing is left out.

    Returns:
        Path of the report.
    """
    sections = [
        _headline(folder),
        _section("Result", _videos(folder)),
        _section("Scores", _scores(folder)),
        _section("Frames", _frames(folder)),
        _section("Head pose", _poses(folder)),
        _section("Training", _training(folder)),
        _section("Preparation", _preparation(folder)),
        _section("How it was made", _making(folder)),
    ]
    page = Template((Path(__file__).with_name("report_page.html")).read_text())
    path = folder / REPORT
    path.write_text(page.substitute(title=html.escape(f"Run {folder.resolve().name}"), body="\n".join(sections)))
    return path


def _headline(folder: Path) -> str:
    settings, facts = _settings(folder), provenance.read(folder)
    data = settings.get("data", {})
    video = Path(str(data.get("video", data.get("image", "A run")))).name
    title = f"{'The embedded person' if video == EMBEDDED else video}, speaking"
    if data.get("kind") == "corpus":
        title = f"{', '.join(settings['fit'])} for any speaker, from {Path(data['root']).resolve().name}"
    elif data.get("kind") == TEST_CLIPS:
        title = f"Test clips of {Path(data['root']).resolve().name}, by general models"
    starts, stages = facts.get("starts", []), facts.get("stages", [])
    lines = [f"<h1>{html.escape(title)}</h1>"]
    about = [f"run <code>{html.escape(folder.resolve().name)}</code>"]
    if settings.get("experiment"):
        about.append(f"experiment {html.escape(settings['experiment'])}")
    if starts:
        machine = starts[-1]["machine"]
        where = ", ".join([*machine["gpus"], f"{machine['processor']}, {machine['cores']} cores"])
        about += [starts[-1]["time"][:10], html.escape(where)]
    if stages:
        about.append(f"{sum(stage['seconds'] for stage in stages) / 60:.1f} min")
    lines.append(f'<p class="soft">{" · ".join(about)}</p>')
    return "\n".join(lines)


def _videos(folder: Path) -> str:
    comparison = folder / "videos" / "comparison.mp4"
    if (folder / "videos" / "audio" / "generated.mp4").is_file():
        write_comparison(folder / "videos", comparison)
    captions = {
        "comparison": "Held-out part: the true video; the true head with the mouth made from the sound; head and "
        "mouth both made from the sound.",
        "heldout": "Held-out sound, spoken in the full picture.",
    }
    paths = [comparison, *talking_videos(folder)]
    return "\n".join(_video(path, captions.get(path.stem, path.stem)) for path in paths if path.is_file())


def _video(path: Path, caption: str) -> str:
    if path.stat().st_size > LARGEST_VIDEO:
        place = html.escape("/".join(path.parts[-2:]))
        return f"<p>{html.escape(caption)} It is large and lies beside this file, in <code>{place}</code>.</p>"
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><video controls loop preload="metadata" src="data:video/mp4;base64,{data}"></video>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _scores(folder: Path) -> str:
    header, rows = read_scores(folder)
    if not rows:
        return ""
    cells, columns = [], [k for k, name in enumerate(header) if k and name not in ORIGINS]
    for name in (header[column] for column in columns):
        explained = COLUMNS.get(name, Column(name, "", "", ""))
        arrow = {"up": " ↑", "down": " ↓", None: ""}[explained.better]
        about, full = html.escape(explained.subtitle), html.escape(explained.definition, quote=True)
        cells.append(f'<th title="{full}">{html.escape(explained.title)}{arrow}<small>{about}</small></th>')
    body = []
    for row in rows:
        numbers = ""
        for column in columns:
            kind = ' class="best"' if is_best(column, row, header, rows) else ""
            numbers += f"<td{kind}>{html.escape(short(row[column]))}</td>"
        label = f"{html.escape(row[0])}<small>{html.escape(ROWS.get(row[0], ''))}</small>"
        body.append(f"<tr><td>{label}</td>{numbers}</tr>")
    table = f'<div class="wide"><table><tr><th></th>{"".join(cells)}</tr>{"".join(body)}</table></div>'
    about = ABOUT_CLIPS if _settings(folder).get("data", {}).get("kind") == TEST_CLIPS else ABOUT_SCORES
    return f'{table}<p class="soft">{about}</p>'


def _frames(folder: Path) -> str:
    videos = folder / "videos"
    strip = {
        "true": videos / "reference.mp4",
        "from the sound": videos / "audio" / "reenacted.mp4",
        "true movement": videos / "true_coefficients" / "reenacted.mp4",
        "mean face": videos / "static" / "reenacted.mp4",
    }
    strip = {title: path for title, path in strip.items() if path.is_file()}
    caption = "Frames of the held-out part; head pose and background are the true ones."
    if not strip:
        strip, caption = _first_clip(videos), "Frames of the first clip; the background is the true one."
    parts = [_image(frame_strip(strip), "jpeg", caption)] if strip else []
    grids = sorted((folder / "logs" / "images").glob("*.png"))
    if grids:
        caption = "Validation frames at the end of training. Attention: white keeps the rendered pixel."
        parts.append(_image(grids[-1].read_bytes(), "png", caption))
    return "\n".join(parts)


def _first_clip(videos: Path) -> dict[str, Path]:
    """The truth and the rows of the first of many test clips, by their titles; empty where there are none."""
    references = sorted(path for path in (videos / "reference").rglob("*.mp4") if not path.name.startswith("."))
    if not references:
        return {}
    name = references[0].relative_to(videos / "reference")
    rows = {row.replace("_", " "): videos / "rows" / row / name for row in ROWS}
    return {"true": references[0]} | {title: path for title, path in rows.items() if path.is_file()}


def _poses(folder: Path) -> str:
    path = folder / "poses.npz"
    if not path.is_file():
        return ""
    with np.load(path) as arrays:
        angles = {name.removesuffix("_angles"): arrays[name] for name in arrays.files}
    order = [name for name in ("true", "predicted", "fitted") if name in angles]
    caption = (
        "Held-out part. Predicted: from the sound alone, not meant to follow the true curve but to move like it. "
        "Fitted: what the background allows, and what is seen in the video."
    )
    return _image(pose_plot({name: angles[name] for name in order}), "png", caption) if order else ""


def _training(folder: Path) -> str:
    parts, parents, settings = [], provenance.read(folder).get("parents", {}), _settings(folder)
    for stage in ("audio2pose", "memory_gan"):
        picture = curve_plot(read_curves(folder / "logs" / stage / "metrics.csv"))
        if picture:
            chosen = settings.get(stage, {})
            text = _start_of(parents.get(stage), chosen.get("members", 1))
            if chosen.get("kernel_weight"):
                text += " A kernel regression on what the first encoder heard before training speaks along."
            parts.append(f"<h3>{stage}</h3><p>{html.escape(text)}</p>{_image(picture, 'png', '')}")
    return "\n".join(parts)


def _start_of(parent: dict[str, Any] | None, members: int) -> str:
    """What the networks of a stage were before they were trained.

    Args:
        parent: What the provenance says of it; None if there was none.
        members: Networks that learn side by side.
    """
    if parent is None:
        return "Trained from scratch."
    if parent["run"] == GENERAL:
        text, alone = "Started from the weights that come with the project, the head pose from scratch.", members > 1
    else:
        text, alone = f"Started from the weights of run {parent['run']}.", parent.get("first_member_alone", False)
    return f"{text} That is the first of {members} networks; the rest started from scratch." if alone else text


def _preparation(folder: Path) -> str:
    path = folder / "preparation.json"
    if not path.is_file():
        return ""
    facts = json.loads(path.read_text())
    notes = []
    if facts.get("split_note"):
        notes.append(facts["split_note"])
    if facts.get("sound_lacking"):
        notes.append(f"the sound ends {facts['sound_lacking']:g} s before the picture; silence stands in for the rest")
    if facts.get("bridged_frames"):
        notes.append(f"in {facts['bridged_frames']} frames no face was found; their neighbours were interpolated")
    known = [(title, facts[name]) for name, title in FACTS.items() if facts.get(name) is not None]
    return "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes) + _facts(known)


def _making(folder: Path) -> str:
    settings, facts = _settings(folder), provenance.read(folder)
    parts = []
    stages = facts.get("stages", [])
    if stages:
        rows = "".join(
            f"<tr><td>{html.escape(stage['name'])}</td><td>{stage['seconds']:.1f}</td>"
            f"<td>{stage['peak_memory_gb']:.1f}</td><td>{html.escape(stage['outcome'])}</td></tr>"
            for stage in stages
        )
        head = "<tr><th>stage</th><th>seconds</th><th>peak memory, GB</th><th>outcome</th></tr>"
        parts.append(f"<table>{head}{rows}</table>")
    starts = facts.get("starts", [])
    if starts:
        start = starts[-1]
        commit = f"{start['commit'] or 'unknown'}{' with uncommitted changes' if start['uncommitted_changes'] else ''}"
        command = " ".join(["python -m experiments.run", *start["arguments"]])
        packages = ", ".join(f"{name} {version}" for name, version in start["packages"].items())
        known = [("command", command), ("code", commit), ("starts", len(starts)), ("packages", packages)]
        known += [("video, sha256", facts["video_sha256"])] if "video_sha256" in facts else []
        known += [(f"{key}, sha256", digest) for key, digest in facts.get("files_sha256", {}).items()]
        parts.append(_facts(known))
    if settings:
        changed = [(key, value) for key, (value, _) in sorted(differences(settings).items())]
        parts.append("<h3>Settings that are not the default</h3>" + _facts(changed) if changed else "")
        text = html.escape(to_yaml(settings))
        parts.append(f"<details><summary>All {len(flatten(settings))} settings</summary><pre>{text}</pre></details>")
    return "\n".join(parts)


def _settings(folder: Path) -> dict[str, Any]:
    return load_settings(folder) if (folder / "settings.yaml").is_file() else {}


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>\n{content}</section>" if content else ""


def _image(data: bytes, kind: str, caption: str) -> str:
    source, text = f"data:image/{kind};base64,{base64.b64encode(data).decode()}", html.escape(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _facts(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>" for name, value in pairs)
    return f'<div class="wide"><table class="facts">{rows}</table></div>'
