"""Chunks of bytes made lines: each with its place, its time and its life, and none longer than 64 KiB."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness_core.runtime.logs.cursor import Chunk, Gap

__all__ = ["MAX_LINE", "Line", "split_lines", "time_of"]

MAX_LINE = 64 * 1024


class Line(NamedTuple):
    """One line without its newline. ``partial``: it goes on in the next one, or its end was not written yet."""

    offset: int
    at: float
    epoch: int
    data: bytes
    partial: bool


def split_lines(found: Iterable[Chunk | Gap]) -> Iterator[Line | Gap]:
    """The lines of consecutive chunks. A gap, another life, the end, or 64 KiB without a newline end a line too.

    A line has the time and the place of its first byte. Every byte but the newlines is in exactly one line.
    """
    head: Line | None = None
    rest = bytearray()

    def finished(partial: bool) -> Line:
        nonlocal head
        assert head is not None
        line = head._replace(data=bytes(rest), partial=partial)
        rest.clear()
        head = None
        return line

    for chunk in found:
        if head is not None and (isinstance(chunk, Gap) or chunk.epoch != head.epoch):
            yield finished(True)
        if isinstance(chunk, Gap):
            yield chunk
            continue
        at = 0
        while at < len(chunk.data):
            newline = chunk.data.find(b"\n", at)
            end = len(chunk.data) if newline < 0 else newline
            if head is None:
                head = Line(chunk.offset + at, time_of(chunk, at), chunk.epoch, b"", False)
            taken = min(end, at + MAX_LINE - len(rest))
            rest += chunk.data[at:taken]
            at = taken
            if taken == newline:
                yield finished(False)
                at += 1
            elif len(rest) == MAX_LINE:
                yield finished(True)
    if head is not None:
        yield finished(True)


def time_of(chunk: Chunk, place: int) -> float:
    """When the byte at ``place`` within the chunk arrived."""
    return chunk.marks[bisect_right(chunk.marks, place, key=lambda mark: mark[0]) - 1][1]
