"""Answers in SQLite: what was acknowledged is on the disk, whatever happens to the server."""

import secrets
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from evaluation.user_study.ballot import Answers
from media.errors import InputError

MOST_PARTICIPANTS = 10_000  # ours: a bound on what a flood of visits can write; no study of this kind comes near it
MAY_LEAVE = timedelta(hours=1)  # ours: after it somebody without any vote may lose the place to somebody new
_TOKEN_BYTES = 16  # 128 bits cannot be guessed
_SCHEMA = """
CREATE TABLE IF NOT EXISTS participants (token TEXT PRIMARY KEY, started TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
    token TEXT NOT NULL REFERENCES participants ON DELETE CASCADE,
    trial TEXT NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (token, trial, question)
) WITHOUT ROWID;
"""


class FullError(RuntimeError):
    """No further participant is taken."""


@dataclass(frozen=True)
class Vote:
    """One answer.

    Attributes:
        token: The participant's.
        trial: Name of the trial.
        question: Key of the question.
        answer: Names of the videos, or one step of the scale.
    """

    token: str
    trial: str
    question: str
    answer: tuple[str, ...]


class Votes:
    """The votes of a study, open for writing; may be used by many threads.

    Args:
        path: The SQLite file; made when missing.

    Raises:
        InputError: If it cannot be opened or is something else.
    """

    def __init__(self, path: Path):
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")  # in WAL the default may lose the last ones
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot hold votes ({error}); check the folder, or move it away.") from None

    def enter(self) -> str:
        """A new participant's token.

        When all places are taken, those who have not voted within `MAY_LEAVE` of their start lose theirs.

        Raises:
            FullError: There are still `MOST_PARTICIPANTS`.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with self._lock, self._connection:
            if self._count() >= MOST_PARTICIPANTS:
                self._connection.execute(
                    "DELETE FROM participants WHERE started < ? AND token NOT IN (SELECT token FROM votes)",
                    (_text(datetime.now(UTC) - MAY_LEAVE),),
                )
                if self._count() >= MOST_PARTICIPANTS:
                    raise FullError
            self._connection.execute("INSERT INTO participants VALUES (?, ?)", (token, _now()))
        return token

    def _count(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM participants").fetchone()
        return int(count)

    def knows(self, token: str) -> bool:
        """Whether a participant has this token."""
        with self._lock:
            found = self._connection.execute("SELECT 1 FROM participants WHERE token = ?", (token,)).fetchone()
        return found is not None

    def cast(self, token: str, trial: str, answers: Answers) -> None:
        """Store the answers of one page; they are on the disk when this returns. Later answers replace earlier ones.

        Raises:
            sqlite3.Error: They could not be stored.
        """
        time = _now()
        rows = [(token, trial, question, " ".join(answer), time) for question, answer in answers.items()]
        with self._lock, self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?, ?)", rows)

    def of(self, token: str) -> dict[str, Answers]:
        """All answers of a participant: trial -> question -> answer."""
        with self._lock:
            rows = self._connection.execute("SELECT trial, question, answer FROM votes WHERE token = ?", (token,))
            found: dict[str, Answers] = {}
            for trial, question, answer in rows:
                found.setdefault(trial, {})[question] = tuple(answer.split(" "))
        return found

    def close(self) -> None:
        """Close the file; nothing is left to be written."""
        self._connection.close()


def read_votes(path: Path) -> list[Vote]:
    """All votes of a study, also while it is being served.

    Raises:
        InputError: If there are none yet or the file is damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; nobody has taken part yet.")
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            rows = connection.execute("SELECT token, trial, question, answer FROM votes ORDER BY 1, 2, 3").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it from a copy.") from None
    return [Vote(token, trial, question, tuple(answer.split(" "))) for token, trial, question, answer in rows]


def _now() -> str:
    return _text(datetime.now(UTC))


def _text(time: datetime) -> str:
    """A time in UTC as it is stored; the order of texts is that of times."""
    return time.isoformat(timespec="seconds")
