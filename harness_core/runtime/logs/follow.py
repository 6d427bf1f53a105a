"""Reading on: stored output first, in the order of its times, then what comes, as it comes.

A follower is a handful of cursors. It has no queue: it reads as much as its consumer took, so one that is slow or
stuck costs a few hundred kilobytes and nobody else anything. What retention took away before it got there is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

from harness_core.runtime.logs.cursor import Cursor
from harness_core.runtime.logs.frames import Frame, Framer
from harness_core.runtime.logs.ranges import Span, tail_start
from harness_core.runtime.logs.reader import DEADLINE, Collector, Query, spans
from harness_core.runtime.logs.sources import PATIENCE, Look, Source, heads, look_round, merge_stored
from harness_core.runtime.logs.store import LogStore

__all__ = ["Follower"]

#: followed units are looked at this often even when nobody says that they grew
POLL = 1.0
#: while output keeps coming in small pieces, they are gathered so long
GATHER = 0.002
SMALL = 16 * 1024


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
        self._framer = Framer(logs.matcher, query.grep)
        self._sources: dict[str, list[Source]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()

    @property
    def gaps(self) -> list[str]:
        """What was told to be missing so far, in sentences."""
        return self._framer.gaps

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Stored output, then live output for as long as it is asked for.

        Raises ``UsageError`` for a pattern or a stream that makes no sense.
        """
        unwatch = [self._logs.watch(key, partial(self._grew, key)) for key in self._keys] if self._live else []
        try:
            for key, present in self._keys.items():
                self._sources[key] = await self._open(key, present)
            async with aclosing(self._looks()) as looks:
                async for look in looks:
                    for source, found in look.found:
                        if frame := await self._framer.frame(source.key, source.cursor.stream, found):
                            yield frame
        finally:
            for end in unwatch:
                end()

    # ── where to begin ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _open(self, key: str, present: int | None) -> list[Source]:
        sources = []
        for span in await self._logs.in_thread(spans, self._logs, key, self._query, present):
            start = self._resume.get(f"{key}:{span.stream}")
            if start is None:
                start = await self._tail_start(key, span)
            sources.append(Source(key, Cursor(span.folder, span.stream, max(0, start)), span.end))
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

    # ── what there is ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _looks(self) -> AsyncGenerator[Look, None]:
        stored = [source for sources in self._sources.values() for source in sources]
        waiting = await self._logs.in_thread(heads, stored)
        while waiting:
            yield await self._logs.in_thread(merge_stored, waiting)
        if self._live:
            async with aclosing(self._coming()) as coming:
                async for look in coming:
                    yield look

    async def _coming(self) -> AsyncGenerator[Look, None]:
        unfinished: set[str] = set()
        last = float("-inf")
        self._dirty = set(self._keys)
        while True:
            keys, self._dirty = self._dirty | unfinished, set()
            self._wake.clear()
            look = await self._logs.in_thread(look_round, [source for key in keys for source in self._sources[key]])
            self._dirty |= look.again
            unfinished = look.unfinished
            if look.found:
                yield look
                if look.size < SMALL and time.monotonic() - last < 2 * GATHER:
                    await asyncio.sleep(GATHER)
                last = time.monotonic()
            elif not self._dirty and not await self._grown(PATIENCE if unfinished else POLL) and not unfinished:
                self._dirty = set(self._keys)

    async def _grown(self, within: float) -> bool:
        """Whether output grew within so many seconds; returns as soon as it does."""
        try:
            async with asyncio.timeout(within):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _grew(self, key: str) -> None:
        self._dirty.add(key)
        self._wake.set()
