"""Make embedded data: ``python -m datamodules.synthetic {person,corpus,lrw,spoken} OUT ...``."""

import argparse
import os
import sys
from pathlib import Path

from datamodules.synthetic.corpus import make_corpus
from datamodules.synthetic.film import make_person_film
from datamodules.synthetic.lrw_corpus import CorpusSize, make_lrw_corpus
from datamodules.synthetic.spoken_corpus import make_spoken_corpus
from media.errors import InputError


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m datamodules.synthetic", description="Make embedded data.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    person = kinds.add_parser("person", help="a film of one person speaking, with the true coefficients beside it")
    person.add_argument("out", type=Path, help="video to write, for example person.mp4")
    person.add_argument("--seconds", type=float, default=45.0, help="length (default 45)")
    person.add_argument("--seed", type=int, default=0, help="who speaks, what and how (default 0)")
    corpus = kinds.add_parser("corpus", help="short films of many people")
    corpus.add_argument("out", type=Path, help="folder to write")
    corpus.add_argument("--people", type=int, default=8, help="number of people (default 8)")
    corpus.add_argument("--seconds", type=float, default=4.0, help="length of each film (default 4)")
    corpus.add_argument("--seed", type=int, default=1000, help="seed of the first person (default 1000)")
    _add_lrw(kinds)
    spoken = kinds.add_parser("spoken", help="a prepared corpus of speech without pictures, for the first stage")
    spoken.add_argument("out", type=Path, help="folder to write, the data.prepared of experiment=audio2pose_general")
    spoken.add_argument("--people", type=int, default=400, help="number of speakers (default 400)")
    spoken.add_argument("--seconds", type=float, default=24.0, help="what each says (default 24)")
    spoken.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many work side by side")
    arguments = parser.parse_args()
    try:
        for made in _make(arguments):
            print(made)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def _add_lrw(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    usual = CorpusSize()
    lrw = kinds.add_parser(
        "lrw", help="a corpus of many people and words in the layout of LRW; goes on where it stopped"
    )
    lrw.add_argument("out", type=Path, help="folder in which lipread_mp4 is made")
    lrw.add_argument("--words", type=int, default=usual.words, help=f"number of words (default {usual.words})")
    lrw.add_argument(
        "--clips", type=int, default=usual.clips, help=f"clips per word, all splits (default {usual.clips})"
    )
    lrw.add_argument("--people", type=int, default=usual.people, help=f"number of speakers (default {usual.people})")
    lrw.add_argument("--seed", type=int, default=usual.seed, help=f"who speaks, what and how (default {usual.seed})")
    lrw.add_argument("--processes", type=int, help="how many work side by side (default one for each core)")


def _make(arguments: argparse.Namespace) -> list[Path]:
    """Make what was asked for; the paths to name."""
    out = arguments.out
    if arguments.kind == "spoken":
        return [make_spoken_corpus(out, arguments.people, arguments.seconds, arguments.processes)]
    seed = arguments.seed
    if arguments.kind == "person":
        make_person_film(out, arguments.seconds, seed, progress=True)
        return [out]
    if arguments.kind == "corpus":
        return make_corpus(out, arguments.people, arguments.seconds, seed, progress=True)
    size = CorpusSize(arguments.words, arguments.clips, arguments.people, seed)
    return [make_lrw_corpus(out, size, arguments.processes, progress=True)]


if __name__ == "__main__":
    sys.exit(main())
