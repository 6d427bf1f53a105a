"""Output of instances in tests: a sink in a folder, and the bytes of a stream in one piece."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

__all__ = ["FileLogSink", "append_output", "read_stream"]

#: wall_ns, offset, epoch, kind, value: the records of a stream's index
_RECORD = struct.Struct("<QQIIQ")
_TIME, _EPOCH = 0, 1


class FileLogSink:
    """A ``LogSink`` over a folder; remembers which services grew."""

    def __init__(self, root: Path) -> None:
        self.root = root
        #: keys in the order in which ``grew`` was called
        self.grown: list[str] = []

    def directory(self, key: str) -> Path:
        path = self.root.joinpath(*key.split("/"))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def grew(self, key: str) -> None:
        self.grown.append(key)


def segments(directory: Path, stream: str) -> list[Path]:
    """The segment files of one stream, oldest first."""
    return sorted(directory.glob(f"{stream}.{'[0-9]' * 20}.log"))


def read_stream(directory: Path, stream: str) -> bytes:
    """Every byte of one stream that is still kept, in order."""
    return b"".join(path.read_bytes() for path in segments(directory, stream))


def append_output(directory: Path, stream: str, data: bytes, *, epoch: int) -> None:
    """Append output to a stream the way the log writer does: bytes to the segment, a record to its index.

    Blocks for the time of two small writes; it does not rotate.
    """
    existing = segments(directory, stream)
    path = existing[-1] if existing else directory / f"{stream}.{0:020d}.log"
    index = path.with_suffix(".idx")
    base = int(path.name.split(".")[1])
    end = base + (path.stat().st_size if existing else 0)
    wall = time.time_ns()
    known = _last_epoch(index)
    records = b"" if known == epoch else _RECORD.pack(wall, end, epoch, _EPOCH, 0)
    records += _RECORD.pack(wall, end, epoch, _TIME, 0)
    _append(index, records)
    _append(path, data)


def _last_epoch(index: Path) -> int | None:
    try:
        data = index.read_bytes()
    except FileNotFoundError:
        return None
    whole = len(data) // _RECORD.size
    return int(_RECORD.unpack_from(data, (whole - 1) * _RECORD.size)[2]) if whole else None


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
