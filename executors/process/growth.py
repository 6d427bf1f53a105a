"""Passing on that output grew: at once when it was quiet, at most forty times a second for all services together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from harness_core.domain.executor import LogSink
from harness_core.runtime.keeper.client import KeeperLost, KeeperRefused
from harness_core.runtime.keeper.link import KeeperLink

__all__ = ["Growth"]

_PAUSE = 0.025


class Growth:
    """Asks the keeper to tell once when a service's output passes what is known, and asks again a moment later."""

    def __init__(self, link: KeeperLink, logs: LogSink) -> None:
        self._link = link
        self._logs = logs
        #: what is to be asked for next: key to the known ends, by stream
        self._due: dict[str, Mapping[str, int]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._ask())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def watch(self, key: str, ends: Mapping[str, int] | None = None) -> None:
        """Be told of a service's output from here on."""
        self._due[key] = ends or {}
        self._wake.set()

    def unwatch(self, key: str) -> None:
        self._due.pop(key, None)

    def grew(self, keys: Mapping[str, Mapping[str, int]]) -> None:
        """The keeper says so; it says it once."""
        for key, ends in keys.items():
            self._logs.grew(key)
            self.watch(key, ends)

    async def _ask(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            try:
                answer: dict[str, Any] = await self._link.request("watch", keys=due)
            except (KeeperLost, KeeperRefused):
                continue  # with the next keeper all services are watched anew
            self.grew(answer["keys"])
            await asyncio.sleep(_PAUSE)
