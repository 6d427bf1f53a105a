"""The one connection to a machine: opened when somebody needs it, checked for the right key, and missed in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import asyncssh

from executors.remote.lost import LinkLost
from executors.remote.route import Route
from executors.remote.shell import Shell
from executors.remote.trust import KeySeen, explain, trusted

__all__ = ["Link"]

_CONNECT = 10.0
#: a dead link is told after 5 + 3 × 5 s
_ALIVE_EVERY, _ALIVE_MISSES = 5.0, 3
#: after a failed attempt the next waits so long, twice as long each time
_AGAIN, _AGAIN_MOST = 0.5, 10.0
#: an account is not locked by us: so many refusals, then a pause
_REFUSALS, _PAUSE = 3, 600.0


class Link:
    """``before`` is the machine on the way; ``on_lost`` hears when what was open is open no more."""

    def __init__(self, route: Route, before: Link | None, instance: str, on_lost: Callable[[str], None]) -> None:
        self.route = route
        self._before = before
        self._instance = instance
        self._on_lost = on_lost
        self._connection: asyncssh.SSHClientConnection | None = None
        self._shell: Shell | None = None
        self._opening: asyncio.Task[Shell] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._trouble: LinkLost | None = None
        self._not_before = 0.0
        self._pause = _AGAIN
        self._refused = 0
        #: what the machine said of itself: boot id, whether it has ``setsid``, where runs are kept
        self.boot, self.setsid, self.root = "", False, ""

    @property
    def name(self) -> str:
        return self.route.name

    async def shell(self) -> Shell:
        """The shell there. Raises ``LinkLost``; soon after a failed attempt with that one's reason."""
        if self._shell is not None and not self._shell.lost:
            return self._shell
        if self._opening is None:
            if self._trouble is not None and time.monotonic() < self._not_before:
                raise LinkLost(self._trouble.reason, hint=self._trouble.hint, permanent=self._trouble.permanent)
            self._opening = asyncio.create_task(self._open(), name=f"connect {self.name}")
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    async def connection(self) -> asyncssh.SSHClientConnection:
        """For channels beside the shell. Raises ``LinkLost``."""
        await self.shell()
        assert self._connection is not None, "a shell has a connection"
        return self._connection

    async def close(self) -> None:
        """Hang up; everything there lives on."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._hang_up()

    async def _hang_up(self) -> None:
        shell, connection = self._shell, self._connection
        self._shell = self._connection = None
        if shell is not None:
            shell.close()
            await shell.closed()
        if connection is not None:
            connection.abort()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONNECT):
                    await connection.wait_closed()

    async def _open(self) -> Shell:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._hang_up()
        connection = await self._connect()
        try:
            shell, words = await Shell.open(connection, self.name, self._instance)
        except BaseException:
            connection.abort()
            raise
        _, self.boot, setsid, self.root = words.split(" ", 3)
        self.setsid = setsid == "yes"
        self._connection, self._shell = connection, shell
        self._watcher = asyncio.create_task(self._watch(connection, shell), name=f"watch {self.name}")
        return shell

    async def _connect(self) -> asyncssh.SSHClientConnection:
        seen = KeySeen()
        options: dict[str, Any] = {
            **self.route.options,
            "client_factory": lambda: seen,
            "keepalive_interval": _ALIVE_EVERY,
            "keepalive_count_max": _ALIVE_MISSES,
            # nobody is there to be asked for a password
            "preferred_auth": "publickey",
        }
        if self._before is not None:
            options["tunnel"] = await self._before.connection()
        try:
            async with asyncio.timeout(_CONNECT):
                options["known_hosts"] = await asyncio.to_thread(trusted, options, self.route.known_hosts)
                return await asyncssh.connect(**options)
        except (asyncssh.Error, OSError, ValueError) as error:
            raise await explain(self.name, error, options, seen) from None

    def _opened(self, task: asyncio.Task[Shell]) -> None:
        self._opening = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            self._trouble, self._pause, self._refused = None, _AGAIN, 0
            return
        if isinstance(error, LinkLost):
            self._trouble = error
            self._refused += error.refused
            self._pause = min(self._pause * 2, _AGAIN_MOST)
            wait = _PAUSE if self._refused >= _REFUSALS else self._pause
            self._not_before = time.monotonic() + wait

    async def _watch(self, connection: asyncssh.SSHClientConnection, shell: Shell) -> None:
        await connection.wait_closed()
        reason = shell.lost or f"the connection to {self.name} is lost"
        shell.close()
        self._on_lost(reason)
