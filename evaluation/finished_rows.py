"""Finished rows on disk, so that a crash loses none: one line each, appended at once, read back by the same command."""

import json
import os
from pathlib import Path
from typing import Any

from media.errors import InputError, reason


class NotKeptError(InputError):
    """A finished row could not be written; nothing is wrong with what was scored."""


class FinishedRows:
    """What was scored already, by key.

    Several processes may append to one file: every line is written by one call that appends. A line that was cut off by
    a crash is left out when reading.

    Args:
        path: The file; None keeps nothing.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self._records: dict[str, dict[str, Any]] = {}
        if path is None or not path.is_file():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                self._records[entry["key"]] = entry["record"]
            except (ValueError, KeyError, TypeError):
                continue

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key, or None."""
        return self._records.get(key)

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Keep a record.

        Args:
            key: What it is the result of.
            record: Of JSON's types; nan is allowed.

        Raises:
            NotKeptError: The file cannot be written.
        """
        self._records[key] = record
        if self.path is None:
            return
        # a line of its own whatever stood before: after a crash that may be half a line
        line = "\n" + json.dumps({"key": key, "record": record}) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise NotKeptError(
                f"{self.path}: cannot be written ({reason(error)}); free space, or change --out."
            ) from None

    def remove(self) -> None:
        """Delete the file: everything is in the table."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
