"""What is kept of each service's newest life beside the engine: how far its output was read, and how it ended.

The engine forgets a container that is removed; its end has to be told all the same, to this daemon and to the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness_core.domain.executor import Marker
from harness_core.domain.states import Exit

__all__ = ["Mark", "Record", "Records"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in one stream of a container, said in both tongues: ours, and the engine's.

    Everything before the offset in our log is what the engine has up to the ``count``-th record of this ``stamp``.
    """

    offset: int = 0
    #: the engine's time of the last record, as it writes it; empty before the first
    stamp: str = ""
    #: how many records of that very stamp there were, the last one included
    count: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    epoch: int
    container: str
    marks: dict[str, Mark] = field(default_factory=dict)
    #: wall clock minus the clock that nobody sets, when the marks were taken, in nanoseconds
    clock: int = 0
    exit: Exit | None = None


class Records:
    """A folder with a file for each service. Blocks for as long as the disk does; files are replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, marker: Marker) -> Record | None:
        """The record of this very life."""
        try:
            value = json.loads(self._path(marker.key).read_bytes())
            record = _record(value)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if value["key"] == marker.key and record.epoch == marker.epoch else None

    def of(self, marker: Marker, container: str) -> Record:
        """The record to go on with: this life's, or how far an earlier life of the same container was read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads(self._path(marker.key).read_bytes())
            record = _record(value)
            if value["key"] == marker.key and record.container == container and record.epoch <= marker.epoch:
                return record if record.epoch == marker.epoch else replace(record, epoch=marker.epoch, exit=None)
        return Record(marker.epoch, container)

    def write(self, marker: Marker, record: Record) -> None:
        """Replace it; the record of an older life goes."""
        exit_ = record.exit
        value = {
            "key": marker.key,
            "epoch": record.epoch,
            "container": record.container,
            "marks": {stream: [mark.offset, mark.stamp, mark.count] for stream, mark in record.marks.items()},
            "clock": record.clock,
            "exit": None if exit_ is None else [exit_.code, exit_.signal, exit_.oom, exit_.at, exit_.note],
        }
        path = self._path(marker.key)
        fresh = path.with_suffix(".new")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(value, file)
        fresh.replace(path)

    def forget(self, marker: Marker) -> None:
        """Drop what is kept of a service up to this life."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(self._path(marker.key).read_bytes())["epoch"] <= marker.epoch:
                self._path(marker.key).unlink()

    def _path(self, key: str) -> Path:
        # a digest: names may be as long as a file's, and hold what a file's may not
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _record(value: dict[str, Any]) -> Record:
    marks = {str(stream): Mark(int(o), str(s), int(c)) for stream, (o, s, c) in value["marks"].items()}
    exit_ = value["exit"]
    return Record(
        int(value["epoch"]),
        str(value["container"]),
        marks,
        int(value["clock"]),
        None if exit_ is None else Exit(*exit_),
    )
