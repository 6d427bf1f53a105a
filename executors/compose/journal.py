"""What of a project's output is stored, and what is about to be: one small file, replaced as a whole."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from harness_core.runtime.keeper.segments import STREAMS

__all__ = ["Journal", "Marks"]

#: by container and stream: the engine's time of the last record that is stored, and how many there were of it
Marks = dict[str, dict[str, tuple[str, int]]]


@dataclass(slots=True)
class Journal:
    """What is stored, and what was about to be. The file is replaced as a whole."""

    path: Path
    epoch: int
    marks: Marks = field(default_factory=dict)
    #: wall clock minus the clock that nobody sets, when the marks were taken
    clock: int = 0
    #: where in our log the last bytes began, and those bytes
    offsets: dict[str, int] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, epoch: int) -> Journal:
        """The newest one, be it of an earlier life; an empty one of ``epoch`` where there is none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            head, _, rest = path.read_bytes().partition(b"\n")
            value = json.loads(head)
            marks = {
                str(container): {str(stream): (str(mark[0]), int(mark[1])) for stream, mark in streams.items()}
                for container, streams in value["marks"].items()
            }
            offsets = {stream: int(value["offsets"][stream]) for stream in STREAMS}
            first = int(value["sizes"][0])
            data = dict(zip(STREAMS, (rest[:first], rest[first:]), strict=True))
            return cls(path, int(value["epoch"]), marks, int(value["clock"]), offsets, data)
        return cls(path, epoch)

    def write(self) -> None:
        """Raises ``OSError`` on a full disk."""
        first, second = (self.data.get(stream, b"") for stream in STREAMS)
        head = {
            "epoch": self.epoch,
            "marks": self.marks,
            "clock": self.clock,
            "offsets": self.offsets,
            "sizes": [len(first), len(second)],
        }
        fresh = self.path.with_suffix(".log.new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.writelines((json.dumps(head).encode(), b"\n", first, second))
        fresh.replace(self.path)
