"""Make embedded data: ``python -m datamodules.synthetic person OUT.mp4 --seconds 45 --seed 0``."""

import argparse
import sys
from pathlib import Path

from datamodules.synthetic.corpus import make_corpus
from datamodules.synthetic.film import make_person_film
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
    arguments = parser.parse_args()
    try:
        if arguments.kind == "person":
            make_person_film(arguments.out, arguments.seconds, arguments.seed, progress=True)
            print(arguments.out)
        else:
            for path in make_corpus(arguments.out, arguments.people, arguments.seconds, arguments.seed, progress=True):
                print(path)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
