"""One table in three formats and a picture: equal numbers, formats that their readers accept."""

import csv
import io
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from evaluation.intervals import Estimate
from evaluation.published import SOURCE
from evaluation.tables import plot
from evaluation.tables.contents import OURS, SANITY, Head, Line, Table
from evaluation.tables.formats import csv_text, escaped, latex, markdown
from evaluation.tables.plot import save_plot

NAN = math.nan
BOTH = Estimate(31.2345, 30.5, 32.0, 4)
TRUTH_AND_OURS = (("Ours", 31.0), ("Other", 30.0), ("Truth", 100.0))


@pytest.fixture
def table() -> Table:
    heads = (Head.of_score("psnr"), Head.of_score("hs"))
    lines = (
        Line(*("Ours | 50% & more", OURS, "people"), {"psnr": BOTH, "hs": Estimate(0.8, NAN, NAN, 1)}),
        Line("Missing", OURS, remark="too short (clip_1: 200 frames, 400 are needed)"),
        Line("Static", SANITY, "people", {"psnr": Estimate(NAN, NAN, NAN, 0), "hs": Estimate(0.25, 0.2, 0.3, 4)}),
        Line("Theirs", SOURCE, "pairs", {"hs": Estimate(0.859, NAN, NAN, 15)}),
    )
    return Table("hs", "Head pose", "4.4", heads, lines, ("A note with 5 % & an_underscore.",))


def rows_of_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(table))))


def test_csv_has_numbers_intervals_and_counts(table: Table) -> None:
    ours, missing, static, theirs = rows_of_csv(table)
    assert (ours["row"], ours["psnr"], ours["psnr_low"], ours["psnr_high"], ours["psnr_n"]) == (
        "Ours | 50% & more", "31.23", "30.50", "32.00", "4")  # fmt: skip
    assert (ours["hs"], ours["hs_low"], ours["hs_n"]) == ("0.800", "", "1")
    assert (missing["psnr"], missing["remark"]) == ("", "too short (clip_1: 200 frames, 400 are needed)")
    assert (static["psnr"], static["psnr_n"]) == ("", "")
    assert (theirs["source"], theirs["hs"], theirs["hs_n"]) == (SOURCE, "0.859", "15")


def test_every_format_has_the_same_numbers(table: Table) -> None:
    number = re.compile(r"\d+\.\d+")
    for line, row in zip(table.lines, rows_of_csv(table), strict=True):
        wanted = [row[f"{head.name}{part}"] for head in table.heads for part in ("", "_low", "_high")]
        wanted = [text for text in wanted if text]
        for text in (markdown(table), latex(table)):
            (found,) = (each for each in text.splitlines() if line.name[:4] in each and ("|" in each or "&" in each))
            assert number.findall(found) == wanted


def test_markdown_is_a_grid(table: Table) -> None:
    grid = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert len(grid) == 2 + len(table.lines)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in grid} == {1 + 1 + len(table.heads) + 2}


def test_latex_is_balanced_and_escaped(table: Table) -> None:
    text = latex(table)
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    columns = re.search(r"begin\{tabular\}\{(\w+)\}", text).group(1)  # type: ignore[union-attr]
    assert len(columns) == len(table.heads) + 3
    for line in body:
        spanned = sum(int(n) - 1 for n in re.findall(r"multicolumn\{(\d+)\}", line))
        assert len(re.findall(r"(?<!\\)&", line)) + 1 + spanned == len(columns), line
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    unescaped = re.sub(r"\\[{}%&_]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    assert r"Ours | 50\% \& more" in text
    assert r"an\_underscore" in text


def test_latex_characters() -> None:
    assert escaped(r"a_b & 5% {x} \ ~ ^ # $") == (
        r"a\_b \& 5\% \{x\} \textbackslash{} \textasciitilde{} \textasciicircum{} \# \$")  # fmt: skip


def test_plot_is_a_picture_with_every_source(table: Table, tmp_path) -> None:
    save_plot(table, tmp_path / "hs.png")
    picture = np.asarray(Image.open(tmp_path / "hs.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0xD1, 0x49, 0x5B), (0x8D, 0x99, 0xAE), (0x22, 0x22, 0x22)):
        assert (np.abs(picture.astype(int) - colour).max(1) < 8).any(), colour


def test_a_perfect_psnr_does_not_press_the_others_together() -> None:
    panel = Figure().subplots()
    lines = [Line(name, OURS, "people", {"psnr": Estimate(value, NAN, NAN, 1)}) for name, value in TRUTH_AND_OURS]
    plot._draw(panel, Head.of_score("psnr"), lines)
    assert panel.get_xlim()[1] < 40
    assert [text.get_text() for text in panel.get_yticklabels()] == ["Ours", "Other", "Truth"]
