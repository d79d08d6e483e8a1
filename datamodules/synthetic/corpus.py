"""Short films of many embedded people, for what needs more than one person: identity features, the general mapping."""

from pathlib import Path

from datamodules.synthetic.claim import claim
from datamodules.synthetic.film import make_person_film
from media.errors import InputError


def make_corpus(
    folder: str | Path, people: int = 8, seconds: float = 4.0, seed: int = 1000, progress: bool = False
) -> list[Path]:
    """Film several people, each saying something else.

    Films that are already there are kept, so an interrupted call continues where it stopped, and people may be added
    later.

    Args:
        folder: Where to write `person_<seed>.mp4` and `.npz`.
        people: How many.
        seconds: Length of each film.
        seed: Of the first person; the next ones have the following seeds.
        progress: Whether to show bars.

    Returns:
        The videos.

    Raises:
        InputError: Fewer than one person, a folder with films of another corpus or length, or a film cannot be made.
    """
    if people < 1:
        raise InputError(f"people is {people}: a corpus has at least one person")
    folder = Path(folder)
    claim(folder, {"kind": "films", "seconds": float(seconds)}, occupied=any(folder.glob("person_*")))
    paths = [folder / f"person_{seed + k:04d}.mp4" for k in range(people)]
    for k, path in enumerate(paths):
        if not (path.exists() and path.with_suffix(".npz").exists()):
            make_person_film(path, seconds, seed + k, progress)
    return paths
