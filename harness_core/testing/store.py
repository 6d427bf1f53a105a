"""Stores without a disk: one that remembers, and one that fails when told to.

Both keep the contract of ``harness_core.domain.store.Store`` to the letter (the same tests run over them and over the
SQLite store), so an engine that lives with these lives with the real one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from harness_core.domain.events import Event
from harness_core.domain.store import Batch, RecordKey, Store, StoreError

__all__ = ["FailingStore", "MemoryStore"]


def selected(event: Event, services: Sequence[str] | None, types: Sequence[str] | None, since: float | None) -> bool:
    """Whether a journal query with these filters means ``event``: the rule in one place, without SQL."""
    if services is not None and event.service not in services and event.service.split("/", 1)[0] not in services:
        return False
    if types is not None and event.type.value not in types:
        return False
    return since is None or event.at >= since


class MemoryStore:
    """A store in memory. Give the same object to a second engine to simulate a restart of the daemon.

    Values pass through JSON, as on a real disk: what is not JSON is refused with ``TypeError``, and nothing that the
    caller changes later reaches what is stored.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[RecordKey, str] = {}
        self._events: dict[int, str] = {}
        self._damaged: list[str] = []
        #: how many batches were committed, for tests that count writes
        self.commits = 0

    def load(self) -> dict[RecordKey, dict[str, Any]]:
        with self._lock:
            return {key: json.loads(value) for key, value in self._records.items()}

    @property
    def damaged(self) -> list[str]:
        """Empty, unless the test has put sentences there."""
        return self._damaged

    def commit(self, batch: Batch) -> None:
        records = {
            key: None if value is None else json.dumps(dict(value), allow_nan=False)
            for key, value in batch.records.items()
        }
        events = {event.seq: json.dumps(event.to_json(), allow_nan=False) for event in batch.events}
        with self._lock:
            for key, text in records.items():
                if text is None:
                    self._records.pop(key, None)
                else:
                    self._records[key] = text
            for seq, body in events.items():
                self._events.setdefault(seq, body)
            self.commits += 1

    def close(self) -> None:
        """Does nothing: what was stored stays, as on a disk."""

    def events(
        self,
        *,
        after: int = 0,
        services: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        since: float | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Event]:
        with self._lock:
            bodies = [self._events[seq] for seq in sorted(self._events) if seq > after]
        found = [event for event in map(_decode, bodies) if selected(event, services, types, since)]
        if limit <= 0:
            return []
        return found[-limit:] if newest else found[:limit]

    def last_seq(self) -> int:
        with self._lock:
            return max(self._events, default=0)

    def first_seq(self) -> int:
        with self._lock:
            return min(self._events, default=0)


def _decode(body: str) -> Event:
    return Event.from_json(json.loads(body))


class FailingStore:
    """A store whose ``at``-th commit (counted from 1), and the ``times - 1`` that follow, raise ``StoreError``.

    ``takes_effect`` is the treacherous half of a failed commit: the data is stored and the caller is told that it is
    not, as happens when the disk fails while flushing. ``times=None`` fails for ever, until ``heal``.
    """

    def __init__(
        self,
        inner: Store | None = None,
        *,
        at: int = 1,
        times: int | None = 1,
        takes_effect: bool = False,
        message: str = "cannot write the registry: the disk is full",
    ) -> None:
        self.inner: Store = MemoryStore() if inner is None else inner
        self._first = at
        self._times = times
        self._takes_effect = takes_effect
        self._message = message
        #: commits asked for so far, failed ones included
        self.attempts = 0

    def heal(self) -> None:
        """From now on every commit succeeds."""
        self._times = 0

    def commit(self, batch: Batch) -> None:
        self.attempts += 1
        fails = self.attempts >= self._first and (self._times is None or self.attempts < self._first + self._times)
        if not fails or self._takes_effect:
            self.inner.commit(batch)
        if fails:
            raise StoreError(self._message, hint="free some space; it goes on by itself")

    def load(self) -> dict[RecordKey, dict[str, Any]]:
        return self.inner.load()

    @property
    def damaged(self) -> list[str]:
        return self.inner.damaged

    def close(self) -> None:
        self.inner.close()

    def events(
        self,
        *,
        after: int = 0,
        services: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        since: float | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Event]:
        return self.inner.events(after=after, services=services, types=types, since=since, limit=limit, newest=newest)

    def last_seq(self) -> int:
        return self.inner.last_seq()

    def first_seq(self) -> int:
        return self.inner.first_seq()
