"""A table as Markdown, CSV and LaTeX, with the same digits in all of them."""

import csv
import io
from collections.abc import Sequence

from evaluation.intervals import LEVEL, Estimate
from evaluation.tables.contents import Head, Line, Table, shown, shown_interval

_ARROWS = {"up": " ↑", "down": " ↓", None: ""}
_LATEX_ARROWS = {"up": r" $\uparrow$", "down": r" $\downarrow$", None: ""}
_LATEX_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "°": r"$^\circ$"},
    **{"±": r"$\pm$", "->": r"$\to$"},
}


def markdown(table: Table) -> str:
    """As Markdown: title, table, notes."""
    header = ["", *(f"{head.title}{_ARROWS[head.better]}<br>{head.subtitle}" for head in table.heads), "n", "source"]
    rows = [
        [line.name, *_merged(line, table.heads, " "), line.count, line.source]
        if not line.remark
        else [line.name, line.remark, *[""] * (len(table.heads) - 1), line.count, line.source]
        for line in table.lines
    ]
    cells = [header, ["---"] * len(header), *rows]
    grid = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)
    notes = "\n".join(f"- {note}" for note in table.notes)
    return f"# {table.title}\n\nPaper: {table.section}. In brackets: {LEVEL:.0%} intervals.\n\n{grid}\n\n{notes}\n"


def csv_text(table: Table) -> str:
    """As CSV: per column the number, the ends of its interval and what it was made of."""
    header = ["row", "source", "unit", "remark"]
    header += [f"{head.name}{part}" for head in table.heads for part in ("", "_low", "_high", "_n")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for line in table.lines:
        numbers = [part for head in table.heads for part in _parts(line.cells.get(head.name), head)]
        writer.writerow([line.name, line.source, line.unit, line.remark, *numbers])
    return text.getvalue()


def latex(table: Table) -> str:
    """As a LaTeX `table` with rules of the package booktabs; a line between sources."""
    columns = len(table.heads)
    lines = [
        f"% made by python -m evaluation.tables {table.name}; needs \\usepackage{{booktabs}}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.title)} ({escaped(table.section)}). In brackets: {100 * LEVEL:g}\% intervals.}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * columns}ll}}",
        r"\toprule",
        _latex_row(["", *(f"{escaped(head.title)}{_LATEX_ARROWS[head.better]}" for head in table.heads), "$n$", ""]),
        _latex_row(["", *(rf"{{\scriptsize {escaped(head.subtitle)}}}" for head in table.heads), "", "source"]),
    ]
    before = None
    for line in table.lines:
        if line.source != before:
            lines.append(r"\midrule")
        before = line.source
        lines.append(_latex_row([escaped(line.name), *_latex_cells(line, table.heads), line.count, line.source]))
    notes = [rf"\par\footnotesize {escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}", ""])


def escaped(text: str) -> str:
    """Text with LaTeX's special characters written out."""
    text = text.replace("->", "→")
    special = _LATEX_SPECIAL | {"→": _LATEX_SPECIAL["->"]}
    return "".join(special.get(character, character) for character in text)


def _merged(line: Line, heads: Sequence[Head], space: str) -> list[str]:
    cells = [(line.cells.get(head.name), head) for head in heads]
    return [f"{shown(cell, head)}{space}{shown_interval(cell, head)}".rstrip(space) for cell, head in cells]


def _parts(cell: Estimate | None, head: Head) -> list[str]:
    if cell is None or not shown(cell, head):
        return ["", "", "", ""]
    ends = [f"{end:.{head.decimals}f}" if end == end else "" for end in (cell.low, cell.high)]
    return [shown(cell, head), *ends, str(cell.n) if cell.n else ""]


def _latex_cells(line: Line, heads: Sequence[Head]) -> list[str]:
    if line.remark:
        return [rf"\multicolumn{{{len(heads)}}}{{l}}{{{escaped(line.remark)}}}"] if heads else []
    cells = [(line.cells.get(head.name), head) for head in heads]
    return [
        f"{shown(cell, head)} {{\\scriptsize {shown_interval(cell, head)}}}"
        if shown_interval(cell, head)
        else shown(cell, head)
        for cell, head in cells
    ]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
