"""A place in one stream from which one reads on: over segments, lives, gaps, and whatever happened to the files.

A cursor holds no file open and no bytes. That is what makes a slow follower cost nothing, and it is why retention,
truncation and removal are found out, and told as gaps, at the next look.
"""

from __future__ import annotations

import os
import stat
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from harness_core.runtime.keeper.segments import GAP, MAX_BASE, IndexRecord, Segment, list_segments
from harness_core.runtime.logs.index import Index, Mark, mark_at
from harness_core.runtime.logs.store import start_of

__all__ = ["MAX_CHUNK", "Chunk", "Cursor", "Gap", "read_bytes"]

MAX_CHUNK = 64 * 1024
#: nanoseconds after which a folder that changes has another time of change
_TICKS = 50_000_000
#: index records looked at in one go; more of them only end a chunk earlier
LOOKAHEAD = 512


class Gap(NamedTuple):
    """Output that cannot be had, between ``offset`` and ``next`` (the same for bytes that were never stored)."""

    offset: int
    next: int
    bytes: int
    why: str
    at: float
    epoch: int

    @property
    def sentence(self) -> str:
        """How much is missing, and why."""
        size = f"{self.bytes} bytes are" if self.bytes else "some bytes may be"
        return f"{size} missing at {self.offset}: {self.why}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of one life, at most ``MAX_CHUNK``, with the times at which their parts arrived."""

    offset: int
    epoch: int
    data: bytes
    #: (position within ``data``, wall time), ascending; the first one is at 0
    marks: tuple[tuple[int, float], ...]

    @property
    def at(self) -> float:
        return self.marks[0][1]

    @property
    def next(self) -> int:
        return self.offset + len(self.data)

    def cut(self, size: int) -> Chunk:
        """The first ``size`` bytes of it."""
        if size >= len(self.data):
            return self
        return Chunk(self.offset, self.epoch, self.data[:size], tuple(m for m in self.marks if m[0] < max(size, 1)))


class Cursor:
    """Reads one stream on from ``offset``. ``peek`` looks, ``advance`` goes on; both block for the disk."""

    def __init__(self, folder: str, stream: str, offset: int = 0) -> None:
        self.folder = folder
        self.stream = stream
        self.offset = offset
        #: the index record that comes next: base of its segment, number within; ``None`` before the first look
        self._base: int | None = None
        self._number = 0
        self._mark = Mark(0.0, 0)
        #: the records after the offset as far as looked at, and whether there are more behind them
        self._ahead: list[IndexRecord] = []
        self._more = False
        self._listed: tuple[list[Segment], int] = ([], 0)
        self._listed_at = -1

    def peek(self, limit: int = MAX_CHUNK, *, end: int | None = None) -> Chunk | Gap | None:
        """What comes next, without going there: at most ``limit`` bytes below offset ``end``, a gap, or nothing yet."""
        if end is not None and self.offset >= end:
            return None
        segments, cleared = self._listing()
        if not segments:
            return None
        lost = self._lost_before(segments, cleared)
        if lost is not None:
            return lost
        place = bisect_right(segments, self.offset, key=lambda segment: segment.base) - 1
        segment = segments[place]
        # the size first: a record is written before the bytes that it is about
        size = _size(segment)
        if size is None:
            return None  # removed at this moment; the next look finds out
        there = segment.base + size - self.offset
        if there <= 0 and place + 1 < len(segments):
            return self._gap(segments, segments[place + 1].base, "removed by somebody else")
        if there < 0:
            return self._beyond(segments, size)
        if place and self._base == segments[place - 1].base and (gap := self._pass_records(segments, place - 1)):
            return gap
        if gap := self._pass_records(segments, place):
            return gap
        stop = self.offset + min(limit, MAX_CHUNK, there if end is None else min(there, end - self.offset))
        return self._chunk(segment, stop)

    def advance(self, found: Chunk | Gap) -> None:
        """Go behind what ``peek`` found (or behind a part of it, see ``Chunk.cut``)."""
        if isinstance(found, Gap):
            if found.offset == found.next:
                self._number += 1
            else:
                self._base = None
        self.offset = found.next

    def _listing(self) -> tuple[list[Segment], int]:
        """The segments, and up to where the stream was cleared, as long as the folder has not changed: where hundreds
        of streams are followed, listing them takes most of the time."""
        try:
            changed = os.stat(self.folder).st_mtime_ns
        except FileNotFoundError:
            return [], 0
        if changed != self._listed_at:
            self._listed = list_segments(self.folder, self.stream), start_of(self.folder, self.stream)
            # file times go in ticks: another change may follow within the same one
            self._listed_at = changed if time.time_ns() - changed > _TICKS else -1
        return self._listed

    # ── what is not there ────────────────────────────────────────────────────────────────────────────────────────────

    def _lost_before(self, segments: list[Segment], cleared: int) -> Gap | None:
        first = segments[0].base
        start = max(first, cleared)
        if self.offset >= start:
            return None
        return self._gap(segments, start, "cleared" if cleared >= first else "removed by retention")

    def _beyond(self, segments: list[Segment], size: int) -> Gap | None:
        """The cursor is behind the end of the newest segment, which cannot be unless somebody had a hand in it."""
        with Index(segments[-1]) as index:
            known = index[len(index) - 1].offset if len(index) else 0
        if known > segments[-1].base + size:
            return None  # truncated: its writer will go on in a new segment, beyond this place
        if mark_at(segments[-1:], MAX_BASE).at <= self._mark.at:
            return None  # all of it is older than what was read here: the newest is gone, and its writer will go on
        start = segments[0].base
        return Gap(self.offset, start, 0, "the log was removed and begun anew", *mark_at(segments, start))

    def _gap(self, segments: list[Segment], next_: int, why: str) -> Gap:
        return Gap(self.offset, next_, next_ - self.offset, why, *mark_at(segments, next_))

    # ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────

    def _pass_records(self, segments: list[Segment], place: int) -> Gap | None:
        """Go over the index records of a segment up to the offset; stop at a dropped part."""
        segment = segments[place]
        with Index(segment) as index:
            if self._base != segment.base:
                self._base = segment.base
                self._mark = mark_at(segments[: place + 1], self.offset)
                self._number = bisect_left(index, self.offset, key=lambda record: record.offset)
            while True:
                self._ahead = index.slice(self._number, LOOKAHEAD)
                for record in self._ahead:
                    if record.offset > self.offset:
                        self._more = self._number + LOOKAHEAD < len(index)
                        self._ahead = index.slice(self._number, LOOKAHEAD)
                        return None
                    self._mark = Mark(record.wall_ns / 1e9, record.epoch)
                    if record.kind == GAP:
                        return Gap(self.offset, self.offset, record.value, _why(record), *self._mark)
                    self._number += 1
                if not self._ahead:
                    self._more = False
                    return None

    def _chunk(self, segment: Segment, stop: int) -> Chunk | None:
        """Read up to ``stop``, but not into another life, over a gap, or beyond the records that were looked at."""
        marks = [(0, self._mark.at)]
        for record in self._ahead:
            if record.offset >= stop:
                break
            if record.kind == GAP or record.epoch != self._mark.epoch:
                stop = record.offset
                break
            marks.append((record.offset - self.offset, record.wall_ns / 1e9))
        else:
            if self._more:
                stop = min(stop, self._ahead[-1].offset)
        data = read_bytes(segment, self.offset, stop - self.offset)
        if not data:
            return None
        return Chunk(self.offset, self._mark.epoch, data, tuple(mark for mark in marks if mark[0] < len(data)))


def read_bytes(segment: Segment, offset: int, size: int) -> bytes:
    """Bytes of one segment by logical offset; fewer, or none, where the file ends or is gone."""
    try:
        # never follows a link and never waits: whoever swaps the file for a pipe gets nothing
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, offset - segment.base)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _why(record: IndexRecord) -> str:
    return "dropped: the disk was full" if record.value else "their source was cut or replaced before they were read"


def _size(segment: Segment) -> int | None:
    try:
        found = os.stat(segment.path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
