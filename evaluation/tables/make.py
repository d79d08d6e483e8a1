"""A table from everything that belongs in it, and its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evaluation.intervals import Estimate
from evaluation.published import SOURCE, Published, published
from evaluation.tables.contents import Head, Line, Table
from evaluation.tables.formats import csv_text, latex, markdown
from evaluation.tables.from_folders import line_from_folder
from evaluation.tables.from_runs import lines_from_runs
from evaluation.tables.from_study import BEST, comparison_heads, comparison_lines, video_length_cells
from evaluation.tables.grid_record import find_runs
from evaluation.tables.protocol import Protocol, read_protocol
from media.errors import InputError
from media.whole_file import whole_file

STUDIED = ("table1", "video_length")  # tables that people's votes enter
_NAN = float("nan")


@dataclass(frozen=True)
class Material:
    """What a table is made of.

    Attributes:
        runs: Run folders, or folders in which a grid was recorded.
        study: Of `evaluation.user_study`.
        methods: Other methods' folders of videos.
        reference: The real videos for these.
        protocol: Another protocol than the project's.
        progress: Show progress bars.
    """

    runs: Sequence[Path] = ()
    study: Path | None = None
    methods: Mapping[str, Path] = field(default_factory=dict)
    reference: Path | None = None
    protocol: Path | None = None
    progress: bool = False


def make_table(name: str, material: Material, out: Path) -> Table:
    """Make a table and write `NAME.md`, `NAME.csv`, `NAME.tex` and `NAME.png`.

    Args:
        name: Of the table.
        material: What it is made of.
        out: Folder for the files.

    Raises:
        InputError: If something is missing, cannot be read, or does not follow the protocol.
    """
    from evaluation.tables.plot import save_plot  # matplotlib takes a second

    protocol = read_protocol(name, material.protocol)
    table = _from_votes(protocol, material) if name == "table1" else _from_scores(protocol, material, out)
    for ending, text in (("md", markdown(table)), ("csv", csv_text(table)), ("tex", latex(table))):
        with whole_file(out / f"{name}.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    save_plot(table, out / f"{name}.png")
    return table


def _from_votes(protocol: Protocol, material: Material) -> Table:
    if material.methods or material.reference is not None:
        option = f"--method {next(iter(material.methods))}" if material.methods else "--reference"
        raise InputError(
            f"{option}: table {protocol.name} is made of people's votes, which a folder of videos has none of; put the "
            "method into a study (python -m evaluation.user_study build STUDY_DIR --method NAME=FOLDER), let people "
            "vote, then --study STUDY_DIR"
        )
    if material.study is None:
        raise InputError(
            f"table {protocol.name} is made of people's votes: add --study STUDY_DIR "
            "(python -m evaluation.user_study build makes one, see docs/user_study.md)"
        )
    theirs = published(protocol.name)
    lines = [*comparison_lines(material.study), *_published_lines(theirs)]
    return Table(protocol.name, protocol.title, theirs.section, comparison_heads(), tuple(lines), protocol.notes)


def _from_scores(protocol: Protocol, material: Material, out: Path) -> Table:
    if material.study is not None and protocol.name not in STUDIED:
        raise InputError(f"--study: table {protocol.name} has no part for people; it is for {' and '.join(STUDIED)}")
    lines, notes = lines_from_runs(protocol, find_runs(protocol.name, material.runs))
    for name, folder in material.methods.items():
        if material.reference is None:
            raise InputError(f"--method {name}: add --reference FOLDER, the real videos of equal names")
        kept = out / f"{name.replace('/', '_')}.scores.jsonl"
        line, more = line_from_folder(protocol, name, folder, material.reference, kept, material.progress)
        lines.append(line)
        notes += more
    theirs = published(protocol.name)
    if material.study is not None:
        lines = _with_votes(lines, video_length_cells(material.study))
    lines += _published_lines(theirs)
    voted = any("best" in line.cells for line in lines)
    heads = [Head.of_score(column) for column in protocol.columns] + [BEST] * voted
    heads = [head for head in heads if _known(head, lines)] or heads
    return Table(protocol.name, protocol.title, theirs.section, tuple(heads), tuple(lines), (*protocol.notes, *notes))


def _known(head: Head, lines: Sequence[Line]) -> bool:
    """Whether any line has a number in the column."""
    cells = [line.cells.get(head.name) for line in lines]
    return any(cell is not None and cell.value == cell.value for cell in cells)


def _with_votes(lines: Sequence[Line], votes: Mapping[str, Estimate]) -> list[Line]:
    return [
        replace(line, cells={**line.cells, "best": votes[line.name]}) if line.name in votes else line for line in lines
    ]


def _published_lines(theirs: Published) -> list[Line]:
    unit = "" if theirs.n is None else "pairs" if "hs" in next(iter(theirs.rows.values()), {}) else "answers"
    numbers = [
        Line(name, SOURCE, unit, {key: Estimate(value, _NAN, _NAN, theirs.n or 0) for key, value in values.items()})
        for name, values in theirs.rows.items()
    ]
    return numbers + [Line(name, SOURCE, remark=f'"{words}"') for name, words in theirs.said.items()]
