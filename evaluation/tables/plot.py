"""A table as a picture: one panel per column, one point with its interval per line."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.intervals import Estimate
from evaluation.psnr import PSNR_CAP
from evaluation.published import SOURCE
from evaluation.tables.contents import OTHER, OURS, SANITY, Head, Line, Table, shown
from media.whole_file import whole_file

_COLOURS = {OURS: "#d1495b", SANITY: "#8d99ae", OTHER: "#2e86ab"}
_PUBLISHED = "#222222"
_PANELS = 4  # side by side
_DPI = 130
_WORDS = {"up": "more is better", "down": "less is better", None: ""}


def save_plot(table: Table, path: Path) -> None:
    """Draw a table into a PNG file.

    Args:
        table: With at least one number.
        path: The file.

    Raises:
        InputError: If it cannot be written.
    """
    heads = [head for head in table.heads if any(shown(line.cells.get(head.name), head) for line in table.lines)]
    lines = [line for line in table.lines if any(shown(line.cells.get(head.name), head) for head in heads)]
    columns = min(_PANELS, max(len(heads), 1))
    rows = max(1, -(-len(heads) // columns))
    figure = Figure(figsize=(2.2 + 2.6 * columns, 1.3 + rows * (0.7 + 0.3 * len(lines))), layout="constrained")
    figure.suptitle(table.title, x=0.01, ha="left", fontsize=12)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, head in zip(panels, heads, strict=False):
        _draw(panel, head, lines)
    for panel in panels[len(heads) :]:
        panel.set_visible(False)
    _explain(figure, lines)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def _draw(panel: Axes, head: Head, lines: list[Line]) -> None:
    for height, line in enumerate(lines):
        cell = line.cells.get(head.name)
        if cell is None or not shown(cell, head) or _is_capped(cell, head):
            continue
        hollow = line.source not in _COLOURS
        colour = _COLOURS.get(line.source, _PUBLISHED)
        if cell.low == cell.low:
            panel.plot([cell.low, cell.high], [height, height], color=colour, linewidth=2, solid_capstyle="butt")
        panel.plot(cell.value, height, "o", color=colour, markerfacecolor="white" if hollow else colour, markersize=6)
    panel.set_yticks(range(len(lines)), [_label(line) for line in lines])
    panel.set_ylim(len(lines) - 0.5, -0.5)
    words = ", ".join(text for text in (head.subtitle, _WORDS[head.better]) if text)
    panel.set_title(head.title, fontsize=10, loc="left")
    panel.set_xlabel(words, fontsize=8)
    panel.tick_params(labelsize=8)
    panel.margins(x=0.12)
    panel.grid(axis="x", color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)


def _is_capped(cell: Estimate, head: Head) -> bool:
    """Whether a number is what the truth has against itself, so far away that all others would lie on one spot."""
    return head.name.startswith("psnr") and cell.value >= PSNR_CAP


def _label(line: Line) -> str:
    """The name; the paper's methods may have the names of ours."""
    return f"{line.name} (published)" if line.source == SOURCE else line.name


def _explain(figure: Figure, lines: list[Line]) -> None:
    """Below the panels, what each colour stands for."""
    sources = list(dict.fromkeys(line.source for line in lines))
    for source in sources:
        colour = _COLOURS.get(source, _PUBLISHED)
        filled = colour if source in _COLOURS else "white"
        figure.axes[0].plot([], [], "o", color=colour, markerfacecolor=filled, label=source)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=4, frameon=False, fontsize=8)
