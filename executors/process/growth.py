"""Passing on that output grew, to those who wait for it: at once when it was quiet, a few times in a hundredth of a
second at most for all services together, and not at all where nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from harness_core.domain.executor import LogSink
from harness_core.runtime.keeper.client import KeeperLost, KeeperRefused
from harness_core.runtime.keeper.link import KeeperLink

__all__ = ["Growth"]

#: between two questions; what grows meanwhile is told together
_PAUSE = 0.002


class Growth:
    """Asks the keeper to tell once when a service's output passes what is known, and again while somebody waits."""

    def __init__(self, link: KeeperLink, logs: LogSink) -> None:
        self._link = link
        self._logs = logs
        #: the last known ends of every service, by stream; the keeper is asked about those that somebody waits for
        self._known: dict[str, Mapping[str, int]] = {}
        #: what is to be asked for next
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        logs.on_awaited(self._awaited)

    def open(self) -> None:
        self._task = asyncio.create_task(self._ask())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def watch(self, key: str) -> None:
        """Pass on what a service writes from now on; also called for each when there is a new keeper."""
        self._known.setdefault(key, {})
        self._awaited(key)

    def unwatch(self, key: str) -> None:
        self._known.pop(key, None)
        self._due.discard(key)

    def grew(self, keys: Mapping[str, Mapping[str, int]]) -> None:
        """The keeper says so; it says it once."""
        for key, ends in keys.items():
            if key in self._known:
                self._known[key] = ends
            self._logs.grew(key)
            self._awaited(key)

    def _awaited(self, key: str) -> None:
        if key in self._known and self._logs.awaited(key):
            self._due.add(key)
            self._wake.set()

    async def _ask(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, set()
            try:
                answer: dict[str, Any] = await self._link.request("watch", keys={key: self._known[key] for key in due})
            except (KeeperLost, KeeperRefused):
                continue  # with the next keeper all services are watched anew
            self.grew(answer["keys"])
            await asyncio.sleep(_PAUSE)
