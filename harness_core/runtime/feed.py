"""Telling everybody what happened without a queue for anybody: a ring of recent events and cursors into it.

A follower keeps the sequence number of the last event that it has seen. One that is slower than the ring reads on from
the journal; one that is slower than the journal's retention is told so by the gap in the numbers.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import islice

from harness_core.domain.events import Event
from harness_core.domain.store import Journal

__all__ = ["Feed"]

_RING = 4096
_PAGE = 1000


class Feed:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._ring: deque[Event] = deque(maxlen=_RING)
        self.seq = journal.last_seq()
        #: the ring holds every event after this one
        self._before = self.seq
        self._news = asyncio.Event()

    def publish(self, events: Sequence[Event]) -> None:
        """Make stored events visible; also called without any, when only the snapshot changed."""
        for event in events:
            if len(self._ring) == _RING:
                self._before = self._ring[0].seq
            self._ring.append(event)
            self.seq = event.seq
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Return true at the next publication, false when ``timeout`` seconds passed without one."""
        news = self._news
        try:
            async with asyncio.timeout(timeout):
                await news.wait()
        except TimeoutError:
            return False
        return True

    async def after(self, seq: int) -> list[Event]:
        """Events after ``seq``, at most a page of them, from memory where it reaches that far back."""
        if seq >= self.seq:
            return []
        if seq >= self._before:
            start = bisect_right(self._ring, seq, key=lambda event: event.seq)
            return list(islice(self._ring, start, start + _PAGE))
        return await asyncio.to_thread(self._journal.events, after=seq, limit=_PAGE)
