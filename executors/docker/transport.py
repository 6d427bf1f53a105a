"""Answers of the engine that have no end: events, logs, commands. As asyncio streams: following costs no thread.

An exchange has a connection of its own. It is asked for in HTTP/1.0, to which the engine answers with plain bytes up to
the end of the connection: a log of a million lines would otherwise come as a million chunks, each to be parsed. That an
answer ended and that it was cut look alike here; whoever reads one must ask the engine what it was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from executors.docker.address import Address

__all__ = ["Exchange", "open_exchange", "query"]

_HEAD = 64 * 1024
#: of an answer that is a refusal, how much of its text is read
_TEXT = 64 * 1024
_CHUNK = 256 * 1024


@dataclass(slots=True)
class Exchange:
    """One request and its answer, of which the head has been read."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self, most: int = _CHUNK) -> bytes:
        """What has come next, at least one byte; empty at the end. Raises ``OSError`` when the connection broke."""
        return await self.reader.read(most)

    async def _rest(self) -> bytes:
        data = await self.reader.read(_TEXT)
        while len(data) < _TEXT and (more := await self.reader.read(_TEXT)):
            data += more
        return data

    async def json(self, key: str) -> Any:
        """One value of a short answer. Raises ``OSError`` when the answer is none."""
        try:
            return json.loads(await self._rest())[key]
        except (ValueError, KeyError, TypeError):
            raise ConnectionError(f"the engine's answer has no {key}") from None

    async def text(self) -> str:
        """The rest of a short answer, as the sentence that the engine says when it refuses."""
        data = await self._rest()
        try:
            return str(json.loads(data)["message"])
        except (ValueError, KeyError, TypeError):
            return data.decode("utf-8", "replace").strip()

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def write_eof(self) -> None:
        """Say that no more will be written; the answer goes on."""
        if self.writer.can_write_eof():
            self.writer.write_eof()

    def close(self) -> None:
        """Hang up; nothing that waits for it needs to be awaited."""
        self.writer.transport.abort()


async def open_exchange(
    address: Address,
    method: str,
    path: str,
    body: Any = None,
    *,
    upgrade: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """Ask, and return when the head of the answer is there. The caller sets the deadline, and closes.

    With ``upgrade`` the connection becomes a pipe in both directions, as for the streams of a command. Raises
    ``OSError`` when the engine cannot be reached or does not speak HTTP.
    """
    reader, writer = await _connect(address)
    try:
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.{int(upgrade)}", "Host: docker", f"Content-Length: {len(data)}"]
        if body is not None:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if upgrade:
            lines += ["Connection: Upgrade", "Upgrade: tcp"]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ConnectionResetError("the engine hung up") from None
        return Exchange(*_head(head), reader, writer)
    except BaseException:
        writer.transport.abort()
        raise


def query(**values: Any) -> str:
    """``?a=1&b=2``; objects are written as JSON, booleans as 0 and 1, and ``None`` is left out."""
    given = {name: _plain(value) for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.socket is not None:
        return await asyncio.open_unix_connection(address.socket, limit=_HEAD)
    return await asyncio.open_connection(address.host, address.port, ssl=address.tls(), limit=_HEAD)


def _head(data: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = data.decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise ConnectionError(f"what answers there is no Docker engine: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines if line)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
