"""What the keeper remembers of an instance: one small file each, appended to three times in its life.

``instances/<stack>/<name>/<epoch>`` holds JSON lines: the intent before the spawn, the identity after it, the exit
after the end. A line is one write within a page reserved beforehand, so being killed leaves whole lines and a full
disk cannot keep an exit from being recorded. No file is ever rewritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any

from .failpoints import failpoint

__all__ = ["KEPT", "KEY", "Record", "Records"]

#: stack/name; plain names only, since they become folders
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}")
_RESERVED = 4096
#: past lives kept per service, for a daemon that was away
KEPT = 8


class Record:
    """One instance's file, merged: ``facts`` holds the keys of all its lines, which end at ``end``."""

    __slots__ = ("_owed", "end", "facts", "path")

    def __init__(self, path: str, facts: dict[str, Any], end: int) -> None:
        self.path = path
        self.facts = facts
        self.end = end
        #: what could not be written, and is written with the next line
        self._owed: dict[str, Any] = {}

    @classmethod
    def read(cls, path: str) -> Record | None:
        """Read a file; ``None`` when it holds nothing whole."""
        facts: dict[str, Any] = {}
        try:
            with open(path, "rb") as file:
                data = file.read().rstrip(b"\0")
        except FileNotFoundError:
            return None
        for line in data.split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:  # torn, or the empty rest
                continue
            if isinstance(entry, dict):
                facts.update(entry)
        return cls(path, facts, len(data)) if "key" in facts and "epoch" in facts else None

    @classmethod
    def create(cls, path: str, facts: dict[str, Any]) -> Record:
        """Write the first line of a new file. Raises ``OSError`` when there is no room for a life's story."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            fd = os.open(path, flags, 0o600)
        try:
            line = json.dumps(facts).encode() + b"\n"
            failpoint("keeper.record.created")
            os.posix_fallocate(fd, 0, len(line) + _RESERVED)
            failpoint("keeper.record.reserved")
            os.pwrite(fd, line, 0)
        finally:
            os.close(fd)
        return cls(path, facts, len(line))

    def add(self, facts: dict[str, Any]) -> None:
        """Write one more line. After an ``OSError`` it is remembered, and goes to the disk with the next one."""
        self.facts.update(facts)
        self._owed.update(facts)
        line = json.dumps(self._owed).encode() + b"\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.pwrite(fd, line, self.end)
            self.end += len(line)
        finally:
            os.close(fd)
        self._owed = {}

    def delete(self) -> None:
        failpoint("keeper.record.delete")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class Records:
    """All instances' files under one folder."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, key: str, epoch: int) -> str:
        return os.path.join(self._directory, key, str(epoch))

    def read_all(self) -> list[Record]:
        """Every readable record, by key and epoch."""
        found = []
        for folder, _, names in os.walk(self._directory):
            for name in names:
                record = Record.read(os.path.join(folder, name)) if name.isdigit() else None
                if record is not None:
                    found.append(record)
        return sorted(found, key=lambda record: (str(record.facts["key"]), int(record.facts["epoch"])))

    def prune(self, key: str) -> None:
        """Drop a service's oldest lives beyond the last few."""
        folder = os.path.join(self._directory, key)
        epochs = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
        for epoch in epochs[:-KEPT]:
            os.unlink(self.path(key, epoch))

    def forget(self, key: str) -> None:
        """Drop all that is known of a service."""
        folder = os.path.join(self._directory, key)
        try:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)
        except FileNotFoundError:
            pass
