"""Finding places in a stream by time, by life and by offset, with a few small reads and nothing loaded whole."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Self

from harness_core.runtime.keeper.segments import RECORD, IndexRecord, Segment, index_path

__all__ = ["GRAIN", "Index", "Mark", "first_offset", "last_epoch", "mark_at"]

#: records are at most this far apart while bytes flow, so times are this exact
GRAIN = 0.05


class Mark(NamedTuple):
    """When bytes arrived, and in which life."""

    at: float
    epoch: int


class Index:
    """One index file as a sequence of records that are read when they are asked for. A missing file is empty."""

    def __init__(self, segment: Segment) -> None:
        self._fd = -1
        self._length = 0
        with suppress(OSError):
            self._fd = os.open(index_path(segment.path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            self._length = os.fstat(self._fd).st_size // RECORD.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> IndexRecord:
        if found := self.slice(place, 1):
            return found[0]
        raise IndexError(place)

    def slice(self, start: int, count: int) -> list[IndexRecord]:
        """Up to ``count`` records from ``start`` on; a torn last one is left out."""
        count = min(count, self._length - start)
        if count <= 0:
            return []
        data = os.pread(self._fd, count * RECORD.size, start * RECORD.size)
        return [IndexRecord(*fields) for fields in RECORD.iter_unpack(data[: len(data) - len(data) % RECORD.size])]


def mark_at(segments: list[Segment], offset: int) -> Mark:
    """Time and life of the byte at ``offset``; where no index tells, the file's time and life 0."""
    place = bisect_right(segments, offset, key=lambda segment: segment.base) - 1
    for segment in reversed(segments[: place + 1]):
        with Index(segment) as index:
            if number := bisect_right(index, offset, key=lambda record: record.offset):
                record = index[number - 1]
                return Mark(record.wall_ns / 1e9, record.epoch)
    if place < 0:
        return Mark(0.0, 0)
    with suppress(OSError):
        return Mark(os.stat(segments[place].path).st_mtime, 0)
    return Mark(0.0, 0)


def first_offset(segments: list[Segment], reached: Callable[[IndexRecord], bool]) -> int | None:
    """The offset of the first record for which ``reached`` holds, which must go on to hold for all later ones.

    ``None`` when there is no such record. After jumps of the wall clock a search by time finds one of the places.
    """
    indexed = [segment for segment in segments if _first(segment) is not None]
    place = bisect_left(indexed, True, key=lambda segment: (first := _first(segment)) is not None and reached(first))
    # it is the first record of segment ``place``, or lies within the segment before it
    for segment in indexed[max(0, place - 1) : place + 1]:
        with Index(segment) as index:
            number = bisect_left(index, True, key=reached)
            if number < len(index):
                return index[number].offset
    return None


def _first(segment: Segment) -> IndexRecord | None:
    with Index(segment) as index:
        return index[0] if len(index) else None


def last_epoch(segments: list[Segment], before: int | None = None) -> int | None:
    """The newest life that the stream's index knows, or the newest one earlier than ``before``."""
    for segment in reversed(segments):
        with Index(segment) as index:
            number = len(index)
            if before is not None:
                number = bisect_left(index, before, key=lambda record: record.epoch)
            if number:
                return index[number - 1].epoch
    return None
