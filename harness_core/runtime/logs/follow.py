"""Reading on: stored output first, in the order of its times, then what comes, as it comes.

A follower is a handful of cursors. It has no queue: it reads as much as its consumer took, so one that is slow or
stuck costs a few hundred kilobytes and nobody else anything. What retention took away before it got there is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from harness_core.domain.errors import UsageError
from harness_core.runtime.logs.cursor import MAX_CHUNK, Chunk, Cursor, Gap
from harness_core.runtime.logs.lines import time_of
from harness_core.runtime.logs.matcher import PatternError
from harness_core.runtime.logs.ranges import Span, tail_start
from harness_core.runtime.logs.reader import DEADLINE, Collector, Query, spans
from harness_core.runtime.logs.store import LogStore

__all__ = ["Follower", "Frame"]

#: read ahead of the consumer at most
AHEAD = 256 * 1024
#: followed units are looked at this often even when nobody says that they grew
POLL = 1.0
#: an unfinished line waits so long for its end
PATIENCE = 0.02
#: while output keeps coming in small pieces, they are gathered so long
GATHER = 0.002
SMALL = 16 * 1024


class Frame(NamedTuple):
    """A piece of one stream: whole lines where possible, at most 64 KiB.

    ``header`` has ``service`` ("stack/name"), ``stream``, ``epoch``, ``at`` (wall time of the first byte), ``offset``
    and ``next``, from which a later follower resumes (as ``cursors["stack/name:stream"]``). ``marks`` is there when
    later parts came later: [position within the payload, wall time] each. A frame without payload and with ``gap``
    says in a sentence what is missing, and how much in ``bytes``.
    """

    header: dict[str, Any]
    payload: bytes


@dataclass(eq=False, slots=True)
class _Source:
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
class _Look:
    """What one visit to the files found."""

    frames: list[tuple[_Source, Chunk | Gap]] = field(default_factory=list)
    size: int = 0
    #: units that may have more
    again: set[str] = field(default_factory=set)
    #: seconds until an unfinished line has waited long enough
    wait: float | None = None

    def add(self, source: _Source, found: Chunk | Gap) -> None:
        source.cursor.advance(found)
        source.unfinished = None
        self.frames.append((source, found))
        self.size += len(found.data) if isinstance(found, Chunk) else 0


class Follower:
    """Follows the streams of several units, fairly. Iterate ``frames()`` once, and close it (``aclosing``)."""

    def __init__(
        self,
        logs: LogStore,
        keys: Mapping[str, int | None],
        query: Query,
        *,
        cursors: Mapping[str, int] | None = None,
        live: bool = True,
    ) -> None:
        """``keys`` are units with their present life, ``None`` where it is not known. Without ``live`` it ends where
        the stored output ended when it began. ``cursors`` are where to resume; ``query.tail`` is for streams without.
        """
        self._logs = logs
        self._keys = dict(keys)
        self._query = query
        self._resume = dict(cursors or {})
        self._live = live
        self._sources: dict[str, list[_Source]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        #: what was told to be missing, in sentences, the newest last
        self.gaps: list[str] = []

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Stored output, then live output for as long as it is asked for.

        Raises ``UsageError`` for a pattern or a stream that makes no sense.
        """
        unwatch = [self._logs.watch(key, partial(self._grew, key)) for key in self._keys] if self._live else []
        try:
            for key, present in self._keys.items():
                self._sources[key] = await self._open(key, present)
            async for frame in self._stored():
                yield frame
            if self._live:
                async for frame in self._coming():
                    yield frame
        finally:
            for end in unwatch:
                end()

    # ── where to begin ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _open(self, key: str, present: int | None) -> list[_Source]:
        sources = []
        for span in await self._logs.in_thread(spans, self._logs, key, self._query, present):
            start = self._resume.get(f"{key}:{span.stream}")
            if start is None:
                start = await self._tail_start(key, span)
            sources.append(_Source(key, Cursor(span.folder, span.stream, max(0, start)), span.end))
        return sources

    async def _tail_start(self, key: str, span: Span) -> int:
        if self._query.tail is None:
            return span.start
        if self._query.grep is None:
            return await self._logs.in_thread(tail_start, span, self._query.tail)
        # it is the matching lines that are counted
        found = Collector(key, span, self._query.tail)
        await found.collect(self._logs, self._query, time.monotonic() + DEADLINE)
        lines = found.ordered()
        return lines[0].line.offset if lines else span.end

    # ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _stored(self) -> AsyncGenerator[Frame, None]:
        sources = [source for of_key in self._sources.values() for source in of_key]
        heads = await self._logs.in_thread(_heads, sources)
        while heads:
            look = await self._logs.in_thread(_merge, heads)
            async for frame in self._framed(look.frames):
                yield frame

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _coming(self) -> AsyncGenerator[Frame, None]:
        self._dirty = set(self._keys)
        busy_since = float("-inf")
        while True:
            if self._dirty:
                keys, self._dirty = self._dirty, set()
                look = await self._logs.in_thread(self._look, keys)
                async for frame in self._framed(look.frames):
                    yield frame
                self._dirty |= look.again
                if look.frames:
                    now = time.monotonic()
                    if look.size < SMALL and now - busy_since < 2 * GATHER:
                        await asyncio.sleep(GATHER)
                    busy_since = time.monotonic()
                    continue
                if look.wait is not None:
                    await self._sleep(look.wait)
                    self._dirty |= {key for key in keys if any(s.unfinished for s in self._sources[key])}
                    continue
            if not self._dirty and not await self._sleep(POLL):
                self._dirty = set(self._keys)

    async def _sleep(self, seconds: float) -> bool:
        """Wait until output grew, which gives true, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _grew(self, key: str) -> None:
        self._dirty.add(key)
        self._wake.set()

    def _look(self, keys: Iterable[str]) -> _Look:
        """One round: from each stream that has something at most one piece, in the order of their times."""
        look = _Look()
        heads = [source for key in keys for source in self._sources[key] if source.peek(1) is not None]
        heads.sort(key=lambda source: source.latest)
        for source in heads:
            look.again.add(source.key)
            if look.size >= AHEAD:
                continue
            found = source.peek()
            if isinstance(found, Chunk):
                found = _whole_lines(found)
                if found.data[-1] != 10 and len(found.data) < MAX_CHUNK and (wait := _wait(source, found)) > 0:
                    look.again.discard(source.key)
                    look.wait = wait if look.wait is None else min(wait, look.wait)
                    continue
            if found is not None:
                look.add(source, found)
        return look

    # ── how it is told ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _framed(self, found: Iterable[tuple[_Source, Chunk | Gap]]) -> AsyncGenerator[Frame, None]:
        for source, part in found:
            if isinstance(part, Gap):
                yield self._gap(source, part)
            elif frame := await self._frame(source, part):
                yield frame

    def _gap(self, source: _Source, gap: Gap) -> Frame:
        sentence = f"{source.key} {source.cursor.stream}: {gap.bytes} bytes are missing: {gap.why}"
        if len(self.gaps) < 100:
            self.gaps.append(sentence)
        header = _header(source, gap.offset, gap.next, gap.epoch, gap.at)
        return Frame({**header, "gap": sentence, "bytes": gap.bytes}, b"")

    async def _frame(self, source: _Source, chunk: Chunk) -> Frame | None:
        header = _header(source, chunk.offset, chunk.next, chunk.epoch, chunk.at)
        marks, payload = list(chunk.marks), chunk.data
        if self._query.grep is not None:
            marks, payload = await self._matching(chunk, self._query.grep)
            if not payload:
                return None
            header["at"] = marks[0][1]
        if len(marks) > 1:
            header["marks"] = marks[1:]
        return Frame(header, payload)

    async def _matching(self, chunk: Chunk, pattern: str) -> tuple[list[tuple[int, float]], bytes]:
        """The lines of a chunk that match, put together, with the times of each."""
        lines = _split(chunk.data)
        try:
            places = await self._logs.matcher.search(pattern, [line.rstrip(b"\n") for line in lines])
        except PatternError as error:
            raise UsageError(f"cannot search the output: {error}") from None
        chosen, marks, payload, at = set(places), list[tuple[int, float]](), bytearray(), 0
        for number, line in enumerate(lines):
            if number in chosen:
                marks.append((len(payload), time_of(chunk, at)))
                payload += line
            at += len(line)
        return marks, bytes(payload)


def _header(source: _Source, offset: int, next_: int, epoch: int, at: float) -> dict[str, Any]:
    return {
        "service": source.key,
        "stream": source.cursor.stream,
        "epoch": epoch,
        "at": at,
        "offset": offset,
        "next": next_,
    }


def _heads(sources: list[_Source]) -> list[tuple[float, int, _Source]]:
    """The sources with stored output, as a heap by the time of what comes next."""
    heads = []
    for number, source in enumerate(sources):
        if source.peek(1, source.stored_end) is not None:
            heads.append((source.latest, number, source))
    heapify(heads)
    return heads


def _merge(heads: list[tuple[float, int, _Source]]) -> _Look:
    """Take from the heap what comes next in time, piece by piece, until there is enough for a while."""
    look = _Look()
    while heads and look.size < AHEAD and len(look.frames) < 256:
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


def _wait(source: _Source, chunk: Chunk) -> float:
    """How much longer an unfinished line shall wait for its end."""
    now = time.monotonic()
    if source.unfinished is None or source.unfinished[0] != chunk.offset:
        source.unfinished = (chunk.offset, now)
    return source.unfinished[1] + PATIENCE - now


def _split(data: bytes) -> list[bytes]:
    """The lines with their newlines; the last one may have none."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
