"""Speaking to the doors byte by byte, for what no honest client would send."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from harness_core.client import trust

from .conftest import House


@asynccontextmanager
async def tls(house: House) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection that has said nothing yet."""
    context = trust.tls_context(house.endpoint)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context, server_hostname="127.0.0.1")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(house: House, request: bytes, within: float = 8.0) -> bytes:
    """Send bytes over TLS and read all that comes until the doors close."""
    async with asyncio.timeout(within), tls(house) as (reader, writer):
        writer.write(request)
        try:
            return await reader.read()
        except (ConnectionError, ssl.SSLError):
            return b""


async def http(
    house: House,
    body: Any = None,
    *,
    method: str = "POST",
    path: str = "/rpc",
    headers: Mapping[str, str | None] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of one HTTP request; ``headers`` replace the honest ones, ``None`` leaves one out."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields: dict[str, str | None] = {
        "Host": f"127.0.0.1:{house.port}",
        "Authorization": f"Bearer {house.token}",
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        "Connection": "close",
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    answer = await exchange(house, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
    start, _, content = answer.partition(b"\r\n\r\n")
    lines = start.decode().split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), found, json.loads(content) if content.startswith(b"{") else content


def request(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


@asynccontextmanager
async def websocket(house: House, token: str | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the doors, with the local token unless another is given."""
    arguments: dict[str, Any] = {
        "ssl": trust.tls_context(house.endpoint),
        "subprotocols": [Subprotocol("harness.v1")],
        "additional_headers": {"Authorization": f"Bearer {token or house.token}"},
        "compression": None,
        "proxy": None,
        "close_timeout": 1,
        "ping_interval": None,
        **options,
    }
    async with connect(f"wss://127.0.0.1:{house.port}/ws", **arguments) as socket:
        yield socket


async def ask(socket: ClientConnection, message: Any) -> Any:
    """Send one message, text as it is, and read one answer."""
    await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
    async with asyncio.timeout(5):
        return json.loads(await socket.recv())
