"""Where a row comes from: the run that made its video, the code that measured it."""

import hashlib
import json
import subprocess
from functools import cache
from pathlib import Path

from evaluation.run_files import PROVENANCE

REPOSITORY = Path(__file__).parents[1]


def run_of(path: str | Path) -> str:
    """The id of the run whose folder a file lies in, at any depth; empty if it lies in none.

    Args:
        path: A video.
    """
    for folder in Path(path).resolve().parents:
        if (folder / PROVENANCE).is_file():
            try:
                facts = json.loads((folder / PROVENANCE).read_text())
            except (OSError, ValueError):  # being written, or not ours: the folder's name is the run id anyway
                facts = {}
            return str(facts.get("run_id") or folder.name)
    return ""


@cache
def code_commit(repository: Path = REPOSITORY) -> str:
    """The commit of the code that runs, 12 digits; with `+` and 8 digits of a hash of what was changed since.

    Returns:
        Empty where there is no git or no repository.
    """
    commit = git_output(repository, "rev-parse", "HEAD")
    if commit is None:
        return ""
    difference = git_output(repository, "diff", "HEAD", "--", "*.py") or ""
    listed = git_output(repository, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py") or ""
    added = [repository / name for name in listed.split("\0") if name]
    content = difference.encode() + b"".join(path.read_bytes() for path in added if path.is_file())
    mark = f"+{hashlib.sha256(content + listed.encode()).hexdigest()[:8]}" if difference or added else ""
    return commit.strip()[:12] + mark


def git_output(repository: Path, *arguments: str) -> str | None:
    """What a git command prints; None where there is no git, no repository, or no answer within 20 s."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, text=True, errors="replace", timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
