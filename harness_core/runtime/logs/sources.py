"""Several streams read side by side: stored output by its times, live output in fair rounds. Blocks for the disk."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from harness_core.runtime.logs.cursor import MAX_CHUNK, Chunk, Cursor, Gap

__all__ = ["Look", "Source", "heads", "look_round", "merge_stored"]

#: read ahead of the consumer at most
AHEAD = 256 * 1024
#: an unfinished line waits so long for its end
PATIENCE = 0.02
MOST_PIECES = 256


@dataclass(eq=False, slots=True)
class Source:
    """One stream that is followed."""

    key: str
    cursor: Cursor
    #: where the stored part ends that is told in the order of time
    stored_end: int
    #: the latest time seen, for the order: wall clocks go back, streams do not
    latest: float = 0.0
    #: an unfinished line at this offset has waited since
    unfinished: tuple[int, float] | None = None

    def peek(self, limit: int = MAX_CHUNK, end: int | None = None) -> Chunk | Gap | None:
        found = self.cursor.peek(limit, end=end)
        if found is not None:
            self.latest = max(self.latest, found.at)
        return found


@dataclass(slots=True)
class Look:
    """What one visit to the files found. The cursors have gone on behind it."""

    found: list[tuple[Source, Chunk | Gap]] = field(default_factory=list)
    #: bytes in all
    size: int = 0
    #: units that may have more
    again: set[str] = field(default_factory=set)
    #: units with a line that waits for its end
    unfinished: set[str] = field(default_factory=set)

    def add(self, source: Source, found: Chunk | Gap) -> None:
        """Take it, and go on behind it."""
        source.cursor.advance(found)
        source.unfinished = None
        self.found.append((source, found))
        self.size += len(found.data) if isinstance(found, Chunk) else 0


def heads(sources: list[Source]) -> list[tuple[float, int, Source]]:
    """The sources with stored output, as a heap by the time of what comes next."""
    heads = []
    for number, source in enumerate(sources):
        if source.peek(1, source.stored_end) is not None:
            heads.append((source.latest, number, source))
    heapify(heads)
    return heads


def merge_stored(heads: list[tuple[float, int, Source]]) -> Look:
    """Take from the heap what comes next in time, piece by piece, until there is enough for a while."""
    look = Look()
    while heads and look.size < AHEAD and len(look.found) < MOST_PIECES:
        _, number, source = heappop(heads)
        found = source.peek(MAX_CHUNK, source.stored_end)
        if isinstance(found, Chunk):
            # up to where another stream has something older, but never within a line
            found = _until(_whole_lines(found), heads[0][0] if heads else None)
        if found is None:
            continue
        look.add(source, found)
        if source.peek(1, source.stored_end) is not None:
            heappush(heads, (source.latest, number, source))
    return look


def look_round(sources: Iterable[Source]) -> Look:
    """One round: from each stream that has something at most one piece, in the order of their times.

    Those that were told of least recently are read first, so that nobody starves where there is more than fits.
    """
    look = Look()
    for source in sorted(sources, key=lambda source: source.latest):
        if look.size >= AHEAD:
            look.again.add(source.key)
            continue
        found = source.peek()
        if isinstance(found, Chunk):
            found = _whole_lines(found)
            if not _ripe(source, found):
                look.unfinished.add(source.key)
                continue
        if found is not None:
            look.add(source, found)
            look.again.add(source.key)
    look.found.sort(key=lambda one: one[0].latest)
    return look


def _until(chunk: Chunk, at: float | None) -> Chunk:
    """The lines of a chunk that began to arrive before wall time ``at``; at least one."""
    if at is None or chunk.marks[-1][1] <= at:
        return chunk
    later = next(place for place, when in chunk.marks if when > at)
    newline = chunk.data.find(b"\n", max(0, later - 1))
    return chunk if newline < 0 else chunk.cut(newline + 1)


def _whole_lines(chunk: Chunk) -> Chunk:
    """The chunk up to its last newline, or all of it when it has none."""
    return chunk.cut(chunk.data.rfind(b"\n") + 1 or len(chunk.data))


def _ripe(source: Source, chunk: Chunk) -> bool:
    """Whether to tell it now: an unfinished line waits a moment for its end, unless it is very long."""
    if chunk.data.endswith(b"\n") or len(chunk.data) == MAX_CHUNK:
        return True
    now = time.monotonic()
    if source.unfinished is None or source.unfinished[0] != chunk.offset:
        source.unfinished = (chunk.offset, now)
    return now - source.unfinished[1] >= PATIENCE
