"""Time for tests: it stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

__all__ = ["ManualClock"]


class ManualClock:
    """A clock with two faces, monotonic and wall, that move only by ``advance``.

    It stands in wherever the runtime takes a clock: ``monotonic`` is what deadlines are measured with, ``wall`` is what
    people read. ``sleep_until`` lets code under test wait for it without a real second passing.
    """

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Seconds that only grow; their zero means nothing."""
        return self._monotonic

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both faces, and wake who slept until then, the earliest first.

        Woken tasks run when the event loop gets its turn, not inside this call.
        """
        if seconds < 0:
            raise ValueError("monotonic time does not go back; use set_wall for a wall clock that was changed")
        self._monotonic += seconds
        self._wall += seconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic:
            _, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)

    def set_wall(self, wall: float) -> None:
        """Change the wall clock alone, as an administrator or a time server does; nothing wakes."""
        self._wall = wall

    async def sleep_until(self, when: float) -> None:
        """Return once ``monotonic()`` has reached ``when``. Cancelling it forgets the sleeper."""
        if when <= self._monotonic:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, next(self._order), sleeper))
        await sleeper

    async def sleep(self, seconds: float) -> None:
        """Return once ``seconds`` have passed on this clock."""
        await self.sleep_until(self._monotonic + seconds)

    @property
    def next_wake(self) -> float | None:
        """When the earliest sleeper wants to wake; ``None`` when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None
