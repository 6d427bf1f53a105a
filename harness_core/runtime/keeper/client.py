"""The daemon's side of the keeper's protocol: one connection, requests answered by id, events handed on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from typing import Any

from harness_core.runtime.keeper.wire import MAX_LINE, decode, encode, peer, short_path

__all__ = ["KeeperClient", "KeeperLost", "KeeperRefused"]

#: a list of thousands of instances is the longest answer
_MAX_ANSWER = 2 * MAX_LINE


class KeeperLost(Exception):
    """The connection is gone or the keeper does not answer; whether the request was done is unknown."""


class KeeperRefused(Exception):
    """The keeper could not do it; ``data`` holds ``code``, and ``errno`` and ``stage`` where they apply."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(str(data.get("message", "the keeper gave no reason")))
        self.data = data


class KeeperClient:
    """A connection to a keeper. ``on_event`` gets what it says unasked; ``lost`` is done once it is over."""

    def __init__(self, sock: socket.socket, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._sock = sock
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: of the process that listens, as the kernel knows it
        self.pid = peer(sock)[0]

    @classmethod
    async def connect(cls, directory: str, on_event: Callable[[dict[str, Any]], None]) -> KeeperClient:
        """Connect to the keeper of a directory. Raises ``OSError`` when none listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            fd, path = short_path(directory)
            try:
                await asyncio.get_running_loop().sock_connect(sock, path)
            finally:
                os.close(fd)
            client = cls(sock, on_event)
            reader, client._writer = await asyncio.open_unix_connection(sock=sock, limit=_MAX_ANSWER)
        except BaseException:
            sock.close()
            raise
        client._task = asyncio.create_task(client._read(reader))
        return client

    async def request(self, op: str, *, timeout: float = 5.0, **arguments: Any) -> dict[str, Any]:
        """Ask and wait for the answer. Raises ``KeeperRefused`` or ``KeeperLost`` (also when it takes too long)."""
        if self._writer is None or self.lost.done():
            raise KeeperLost("the keeper is gone")
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(encode({"id": number, "op": op, **arguments}))
            async with asyncio.timeout(timeout):
                await self._writer.drain()
                result = await answer
        except (TimeoutError, OSError) as error:
            raise KeeperLost(f"the keeper did not answer {op} within {timeout:g} s") from error
        finally:
            self._waiting.pop(number, None)
        if "error" in result:
            raise KeeperRefused(result["error"])
        return result

    async def close(self) -> None:
        """Hang up; the keeper and its services go on."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                message = decode(line)
                if "event" in message:
                    self._on_event(message)
                    continue
                waiting = self._waiting.get(message.get("id", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except (OSError, ValueError):
            pass  # cut, or not a keeper's words: the connection is over either way
        finally:
            self._end()

    def _end(self) -> None:
        assert self._writer is not None, "reading begins after connecting"
        self._writer.transport.abort()
        if not self.lost.done():
            self.lost.set_result(None)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(KeeperLost("the keeper went away before it answered"))
