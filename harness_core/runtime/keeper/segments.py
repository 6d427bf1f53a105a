"""The log format: raw bytes in append-only segments, with a sparse index of times, lives and gaps beside each.

One folder per service holds, for each stream (``stdout``, ``stderr``; a tty has ``stdout`` only)::

    stdout.fifo                          what the service writes to
    stdout.00000000000000000000.log      a segment: the stream's bytes from that logical offset on
    stdout.00000000000000000000.idx      its index: fixed records, see ``IndexRecord``

A stream's logical offsets run over the service's whole life, all epochs included, and never go back: the end of a
segment is its base plus its size. Where the next base is larger than that, or the first base is larger than a
cursor, bytes were lost to retention or to somebody's hand, and a reader says so. The keeper is the only writer; its
position is the file's size, so that it may be killed between any two system calls.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "EPOCH",
    "GAP",
    "MAX_BASE",
    "RECORD",
    "STREAMS",
    "TIME",
    "IndexRecord",
    "Segment",
    "end_of",
    "fifo_name",
    "index_path",
    "list_segments",
    "read_index",
    "segment_name",
]

STREAMS = ("stdout", "stderr")

#: kinds of index records
TIME, EPOCH, GAP = 0, 1, 2

#: wall_ns, offset, epoch, kind, value; little-endian, 32 bytes
RECORD = struct.Struct("<QQIIQ")

#: no stream gets so far; a file that says so is not ours, and its offsets are none that the kernel takes
MAX_BASE = 1 << 62

_SEGMENT = re.compile(r"([a-z]+)\.(\d{20})\.log")


class IndexRecord(NamedTuple):
    """One record of an index, true from ``offset`` on until the next record.

    ``TIME``: the bytes from ``offset`` on arrived at ``wall_ns``. It is written before them, so one with nothing
    behind it, or several with one offset, are ordinary: the last one counts. ``EPOCH``: the life ``epoch`` begins
    here; a life that wrote nothing has none. ``GAP``: ``value`` bytes that came here were dropped; dropped bytes have
    no offsets, and several gaps at one offset add up; 0 means that nobody knows how many. ``epoch`` is always the life
    that was current. Wall time may jump; offsets and the order of records do not.
    """

    wall_ns: int
    offset: int
    epoch: int
    kind: int
    value: int


class Segment(NamedTuple):
    """One segment file; ``base`` is the logical offset of its first byte."""

    path: str
    stream: str
    base: int


def fifo_name(stream: str) -> str:
    """The file name of a stream's FIFO."""
    return f"{stream}.fifo"


def segment_name(stream: str, base: int) -> str:
    """The file name of the segment that begins at ``base``."""
    return f"{stream}.{base:020d}.log"


def index_path(segment: str) -> str:
    """The path of the index that belongs to the segment at path ``segment``."""
    return segment.removesuffix(".log") + ".idx"


def list_segments(directory: str, stream: str) -> list[Segment]:
    """The segments of a stream, oldest first; none when the folder is missing."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        match = _SEGMENT.fullmatch(name)
        if match is not None and match[1] == stream and int(match[2]) <= MAX_BASE:
            found.append(Segment(os.path.join(directory, name), stream, int(match[2])))
    return sorted(found, key=lambda segment: segment.base)


def end_of(segment: Segment) -> int:
    """The logical offset behind the last byte of a segment; its base when the file is gone."""
    try:
        return segment.base + os.stat(segment.path).st_size
    except FileNotFoundError:
        return segment.base


def read_index(path: str) -> Iterator[IndexRecord]:
    """The records of one index file in the order of writing; a torn last one and a missing file are ignored."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return
    whole = len(data) - len(data) % RECORD.size
    for fields in RECORD.iter_unpack(memoryview(data)[:whole]):
        yield IndexRecord(*fields)
