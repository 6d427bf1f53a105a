"""Who is connected: counts connections and requests of each token, and ends them when their token ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from harness_core.domain.errors import Overloaded
from harness_core.doors.arrivals import Arrival
from harness_core.doors.limits import Bucket, Limits
from harness_core.doors.tokens import Token

__all__ = ["Session", "Sessions"]

#: timers are set at most this far ahead and then set again, because wall clocks are changed
_LONGEST_TIMER = 3600.0


class Session:
    """One connection or request of a token, for as long as it lasts."""

    def __init__(self, token: Token, arrival: Arrival) -> None:
        self.token = token
        self.arrival = arrival
        #: ends it in its own manner; until it has one, the connection is dropped
        self.end: Callable[[], object] = arrival.drop
        self.timer: asyncio.TimerHandle | None = None


class Sessions:
    """All of them, and the budget of each token."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.time) -> None:
        self._limits = limits
        self._clock = clock
        self._open: dict[str, set[Session]] = {}
        self._budgets: dict[str, Bucket] = {}

    def __len__(self) -> int:
        return sum(len(sessions) for sessions in self._open.values())

    def enter(self, token: Token, arrival: Arrival) -> Session:
        """A new session. Raises ``Overloaded`` when the token has too many."""
        sessions = self._open.setdefault(token.id, set())
        limits = self._limits
        if len(sessions) >= (limits.local_connections if token.local else limits.connections_per_token):
            raise Overloaded(
                f"cannot open another connection: the token {token.name!r} has {len(sessions)} already",
                hint="close one, or use another token",
                data={"retry_after": 1.0},
            )
        session = Session(token, arrival)
        sessions.add(session)
        self._watch(session)
        return session

    def leave(self, session: Session) -> None:
        if session.timer is not None:
            session.timer.cancel()
        sessions = self._open.get(session.token.id, set())
        sessions.discard(session)
        if not sessions:
            self._open.pop(session.token.id, None)

    def spend(self, token: Token) -> float:
        """Count one request; 0.0 when it may go on, else how long to wait, in seconds."""
        now = asyncio.get_running_loop().time()
        budget = self._budgets.get(token.id)
        if budget is None:
            budget = self._budgets[token.id] = self._budget(token, now)
        return budget.take(now)

    def end_token(self, token_id: str) -> None:
        """End every session of a token that is no longer good."""
        self._budgets.pop(token_id, None)
        for session in list(self._open.get(token_id, ())):
            session.end()

    def _budget(self, token: Token, now: float) -> Bucket:
        limits = self._limits
        if token.local:
            return Bucket(limits.local_requests, limits.local_requests_burst, now)
        return Bucket(limits.requests, limits.requests_burst, now)

    def _watch(self, session: Session) -> None:
        if session.token.expires is None:
            return
        left = session.token.expires - self._clock()
        if left <= 0:
            session.end()
            return
        loop = asyncio.get_running_loop()
        session.timer = loop.call_later(min(left, _LONGEST_TIMER), self._watch, session)
