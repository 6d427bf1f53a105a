"""Connections that have not shown a credential yet: few, short-lived, and never in the way of those who have one.

When there are too many, the one that has waited longest goes. Somebody with a credential needs a few milliseconds from
connecting to showing it, so a crowd that only holds connections open pushes out its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from harness_core.doors.limits import Limits, is_loopback

__all__ = ["Arrival", "Arrivals"]


class Connection(Protocol):
    """What is needed of an open connection here."""

    def cut(self) -> None: ...

    def unsent(self) -> int: ...


class Arrival:
    """One connection, from being accepted to its end. Requests find it as ``scope["state"]["arrival"]``."""

    def __init__(self, source: str, arrivals: Arrivals) -> None:
        self.source = source
        self.admitted = False
        self._arrivals = arrivals
        self._drop: Callable[[], object] = lambda: None
        self._deadline: asyncio.TimerHandle | None = None
        self._connection: Connection | None = None

    def shaking_hands(self, cancel: Callable[[], object]) -> None:
        """The TLS handshake runs and can be ended by ``cancel``; it has a deadline of its own."""
        self._drop = cancel

    def connected(self, connection: Connection, deadline: float) -> None:
        """The handshake is done; a credential must come within ``deadline`` seconds."""
        self._connection = connection
        self._drop = connection.cut
        self._deadline = asyncio.get_running_loop().call_later(deadline, self.drop)

    def admit(self) -> None:
        """A credential was shown: from now on other limits hold. May be called again."""
        self.admitted = True
        self._wait_no_more()

    def gone(self) -> None:
        """The connection ended."""
        self._wait_no_more()
        self._arrivals.ended(self)

    def drop(self) -> None:
        """End the connection at once, whatever is still to be written."""
        self._wait_no_more()
        self._drop()

    def unsent(self) -> int:
        """Bytes that wait for the peer to take them."""
        return self._connection.unsent() if self._connection is not None else 0

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._arrivals.waits_no_more(self)


class Arrivals:
    """All connections: those that wait to be admitted, oldest first, and those that were."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[Arrival, None] = {}
        self._open: set[Arrival] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def inside(self) -> int:
        """Connections that were admitted and are still open."""
        return sum(arrival.admitted for arrival in self._open)

    def enter(self, source: str) -> Arrival:
        """A new connection; makes room for it where necessary."""
        if not is_loopback(source):
            same = [arrival for arrival in self._waiting if arrival.source == source]
            if len(same) >= self._limits.waiting_per_source:
                same[0].drop()
        if len(self._waiting) >= self._limits.waiting:
            next(iter(self._waiting)).drop()
        arrival = Arrival(source, self)
        self._waiting[arrival] = None
        self._open.add(arrival)
        self._empty.clear()
        return arrival

    def waits_no_more(self, arrival: Arrival) -> None:
        self._waiting.pop(arrival, None)

    def ended(self, arrival: Arrival) -> None:
        self._open.discard(arrival)
        if not self._open:
            self._empty.set()

    def drop(self, *, all: bool) -> None:
        """Drop those that wait, or ``all`` of them."""
        for arrival in list(self._open if all else self._waiting):
            arrival.drop()

    async def wait_empty(self, timeout: float) -> bool:
        """Wait until no connection is open, at most ``timeout`` seconds; whether that is so."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
