from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.spec import Check
from harness_core.domain.states import Endpoint, Exit
from harness_core.runtime.logs import LogStore
from harness_core.runtime.probes.base import Outcome, ProbeContext
from harness_core.runtime.probes.build import build

#: a server's way to treat one connection
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: starts a server on a free loopback port, which it returns
Serve = Callable[..., Awaitable[int]]
#: look once
Look = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    yield store
    await store.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Raw TCP servers, so that every kind of misbehaviour can be had; connections end with the test."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[Any]] = set()

    async def start(behave: Behaviour, **options: Any) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await behave(reader, writer)
            writer.transport.abort()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # closed transports leave the loop one turn later
    await asyncio.sleep(0)


@pytest.fixture
def look(logs: LogStore) -> Look:
    async def once(check: dict[str, Any], ports: dict[str, int] | None = None, **context: Any) -> Outcome:
        model = Check.model_validate(check)
        if ports is not None:
            context["endpoints"] = endpoints(**ports)
        return await build(model, model.timeout, "shop/api", 1, ProbeContext(**context), logs).look()

    return once


def endpoints(scheme: str = "http", **ports: int) -> dict[str, Endpoint]:
    return {name: Endpoint("127.0.0.1", port, scheme) for name, port in ports.items()}


class Session:
    """What an executor's ``exec`` returns: the command in its own group, which ``close`` ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, argv: Sequence[str]) -> Session:
        return cls(
            await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        )

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(65536):
            yield "stdout", data

    async def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def write_eof(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def resize(self, rows: int, columns: int) -> None:
        raise NotImplementedError

    async def signal(self, signum: int) -> None:
        raise NotImplementedError

    async def wait(self) -> Exit:
        code = await self._process.wait()
        return Exit(code=code) if code >= 0 else Exit(signal=-code)

    async def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def answering(head: str, body: bytes = b"") -> Behaviour:
    """Read one request, give this answer, hang up."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return behave


async def until(reached: Callable[[], object], within: float = 10.0) -> None:
    """Give the loop turns until a condition holds that nobody could announce."""
    async with asyncio.timeout(within):
        while not reached():
            await asyncio.sleep(0.001)


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing, ever."""
    await asyncio.Event().wait()
