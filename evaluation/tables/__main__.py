"""The paper's tables: ours beside what it published.

    python -m experiments.run grid=NAME          # makes the runs
    python -m evaluation.tables NAME             # tables/NAME/NAME.{md,csv,tex,png}

A table refuses runs whose protocol (configs/protocols/NAME.yaml) differs.
"""

import argparse
import sys
from pathlib import Path

from evaluation.named_folders import named_folders
from evaluation.tables.protocol import TABLES
from media.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    from evaluation.tables.formats import markdown
    from evaluation.tables.make import Material, make_table

    try:
        methods = named_folders("--method", options.method)
        material = Material(
            *(options.runs, options.study, methods, options.reference, options.protocol),
            progress=sys.stderr.isatty(),
        )
        out = options.out or Path("tables") / options.name
        table = make_table(options.name, material, out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(markdown(table))
    print(f"written {out / options.name}.md, .csv, .tex and .png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.tables", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=TABLES, metavar="NAME", help=", ".join(TABLES))
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[Path("runs")],
        metavar="FOLDER",
        help="run folders, or the folder of runs of the last grid=NAME; default: runs",
    )
    parser.add_argument("--study", type=Path, metavar="STUDY_DIR", help="a user study, for table1 and video_length")
    parser.add_argument(
        "--method", action="append", default=[], metavar="NAME=FOLDER", help="another method's videos, one more row"
    )
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="the real videos for --method, equal names")
    parser.add_argument("--protocol", type=Path, metavar="FILE", help="another protocol than configs/protocols/NAME")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the files; default: tables/NAME")
    return parser


if __name__ == "__main__":
    sys.exit(main())
