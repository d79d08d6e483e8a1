"""Which videos of two folders belong together: those of equal names."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from media.endings import VIDEO_ENDINGS
from media.errors import InputError

_log = logging.getLogger(__name__)


def matched_videos(reference: Path, generated: Path) -> dict[str, tuple[Path, Path]]:
    """The pairs to score of two folders.

    Names are paths below the folder without ending. A generated video in deeper folders than its partner
    (`audio/clip1` for `clip1`) is a pair of its own. Videos without partner are logged as warnings.

    Args:
        reference: Folder of real videos.
        generated: Folder of videos to score.

    Returns:
        Row name -> (real, generated), sorted by name.

    Raises:
        InputError: No name matches, or a name is there twice.
    """
    real, made = _videos(reference), _videos(generated)
    pairs: dict[str, tuple[Path, Path]] = {}
    for name, path in made.items():
        parts = name.split("/")
        tails = ("/".join(parts[first:]) for first in range(len(parts)))
        partner = next((real[tail] for tail in tails if tail in real), None)
        if partner is None:
            _log.warning(f"{path}: no video of this name in {reference}; not scored")
        elif partner != path:
            pairs[name] = (partner, path)
    for path in sorted(set(real.values()) - {partner for partner, _ in pairs.values()}):
        _log.warning(f"{path}: no video of this name in {generated}; not scored")
    if not pairs:
        raise InputError(
            f"no video in {generated} ({len(made)} found) has the name of one in {reference} ({len(real)} found); "
            "give equal names to what belongs together"
        )
    return dict(sorted(pairs.items()))


def _videos(folder: Path) -> dict[str, Path]:
    """Videos below a folder by name: the path below it without ending."""

    def visible() -> Iterator[Path]:
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in VIDEO_ENDINGS and path.is_file() and not hidden:
                yield path

    named = [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in visible()]
    twice = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise InputError(f"{folder} holds several videos named {twice[0]}, with different endings; keep one of them")
    return dict(named)
