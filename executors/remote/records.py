"""What is kept here of each life on another machine: the way to it, where its output begins in our log, how it ended.

A record is written before the machine is asked to start anything, so that a daemon that dies in between leaves word of
where to look.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executors.remote.route import Route
from harness_core.domain.executor import Marker
from harness_core.domain.states import Exit

__all__ = ["Record", "Records"]


@dataclass(frozen=True, slots=True)
class Record:
    route: Route
    #: by stream: the offset in our log at which the first byte of this life's output stands
    begun: Mapping[str, int]
    #: how much of the log is kept
    kept: Mapping[str, int]
    #: port and scheme by name
    ports: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    exit: Exit | None = None


class Records:
    """A file for each life, in a folder for each service. Blocks for the disk; files are replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, marker: Marker) -> Record | None:
        try:
            return _record(json.loads(self._path(marker).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, marker: Marker, record: Record) -> None:
        """Raises ``OSError``."""
        end = record.exit
        value = {
            "route": record.route.to_data(),
            "begun": dict(record.begun),
            "kept": dict(record.kept),
            "ports": {name: list(port) for name, port in record.ports.items()},
            "exit": None if end is None else [end.code, end.signal, end.at, end.note],
        }
        path = self._path(marker)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def remove(self, marker: Marker) -> None:
        self._path(marker).unlink(missing_ok=True)

    def before(self, marker: Marker) -> list[Marker]:
        """The earlier lives of the service of which there is word, the oldest first."""
        epochs = []
        with contextlib.suppress(OSError):
            epochs = [int(path.stem) for path in self._path(marker).parent.glob("*.json") if path.stem.isdecimal()]
        return [Marker(marker.stack, marker.name, epoch) for epoch in sorted(epochs) if epoch < marker.epoch]

    def forget(self, marker: Marker) -> None:
        """Drop what is kept of a service up to this life."""
        for one in (*self.before(marker), marker):
            self.remove(one)
        with contextlib.suppress(OSError):
            if not any(self._path(marker).parent.glob("*.json")):
                shutil.rmtree(self._path(marker).parent)

    def _path(self, marker: Marker) -> Path:
        return self._folder / marker.stack / marker.name / f"{marker.epoch}.json"


def _record(value: Any) -> Record:
    end = value["exit"]
    return Record(
        Route.from_data(value["route"]),
        {str(stream): int(offset) for stream, offset in value["begun"].items()},
        {str(name): int(number) for name, number in value["kept"].items()},
        {str(name): (int(port), str(scheme)) for name, (port, scheme) in value["ports"].items()},
        None if end is None else Exit(code=end[0], signal=end[1], at=end[2], note=end[3]),
    )
