"""python -m evaluation.user_study build | serve | results."""

import argparse
import sys
from pathlib import Path

from evaluation.named_folders import named_folders
from evaluation.user_study.folders import CONVENTION
from evaluation.user_study.questions import PARTS
from media.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        {"build": _build, "serve": _serve, "results": _results}[options.command](options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.user_study", description="The paper's user studies as a web page."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_build(commands)
    _add_serve(commands)
    _add_results(commands)
    return parser


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    build = commands.add_parser(
        "build",
        help="make a study from folders of videos",
        description="Make a study from folders of videos.",
        epilog=CONVENTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument("study", type=Path, metavar="STUDY_DIR", help="folder to make")
    build.add_argument("--reference", type=Path, required=True, metavar="FOLDER", help="the real videos")
    build.add_argument("--method", action="append", default=[], metavar="NAME=FOLDER", help="a method to compare")
    build.add_argument(
        "--length", action="append", default=[], metavar="FRAMES=FOLDER", help="videos by the model trained with FRAMES"
    )
    build.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="what to ask; default: all")
    build.add_argument(
        "--head-pose",
        action="append",
        default=[],
        metavar="NAME",
        help="a method whose head poses are compared with the original's; default: every method",
    )
    build.add_argument(
        "--blind-original",
        action="store_true",
        help="let the original stand unmarked among the videos to choose from; default: beside them, marked",
    )
    build.add_argument("--introduction", type=Path, metavar="FILE", help="plain text for the first page")


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser("serve", help="let people take part", description="Serve a study as a web page.")
    serve.add_argument("study", type=Path, metavar="STUDY_DIR")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    serve.add_argument(
        "--public-name", action="append", default=[], metavar="HOST", help="host name by which people reach the study"
    )


def _add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    results = commands.add_parser("results", help="tables of the answers", description="Tables of a study's answers.")
    results.add_argument("study", type=Path, metavar="STUDY_DIR")
    results.add_argument("--out", type=Path, metavar="DIR", help="folder for the tables as Markdown and CSV")
    results.add_argument(
        "--scores",
        action="append",
        default=[],
        metavar="[NAME=]CSV",
        help="HS of the same videos, as evaluation.score writes it: of method NAME, or of rows named NAME/.../PERSON",
    )


def _build(options: argparse.Namespace) -> None:
    from evaluation.user_study.build import Plan, build_study

    introduction = ""
    if options.introduction:
        try:
            introduction = options.introduction.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--introduction {options.introduction}: cannot be read ({error}).") from None
    plan = Plan(
        options.reference,
        named_folders("--method", options.method),
        {_frames(frames): folder for frames, folder in named_folders("--length", options.length).items()},
        options.parts,
        options.head_pose,
        options.blind_original,
        introduction,
    )
    study = build_study(options.study, plan)
    counts = {part: sum(trial.part == part for trial in study.trials) for part in PARTS}
    pages = ", ".join(f"{part} {count}" for part, count in counts.items() if count)
    print(f"{options.study}: {len(study.videos)} videos, {len(study.trials)} pages ({pages})")
    print(f"python -m evaluation.user_study serve {options.study}")


def _serve(options: argparse.Namespace) -> None:
    try:
        from evaluation.user_study.server import serve
    except ModuleNotFoundError as error:
        raise InputError(
            f"serve: {error.name} is missing; pip install --constraint constraints.txt --editable '.[study]'"
        ) from None
    serve(options.study, options.host, options.port, options.public_name)


def _results(options: argparse.Namespace) -> None:
    from evaluation.user_study.results import write_results

    print(write_results(options.study, options.scores, options.out))


def _frames(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--length {text}: expected a number of frames, as in 300=FOLDER.")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
