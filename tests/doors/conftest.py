"""Real doors over TLS on a free port, with a small table of operations that tests steer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from harness_core.client.locate import Endpoint
from harness_core.domain.protocol import OPERATIONS, Operation, Role
from harness_core.doors.doors import Doors
from harness_core.doors.limits import Limits
from harness_core.doors.table import Caller, Stream, Table


class Anything(TypedDict, total=False):
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    items: int = 3
    size: int = 0


_CREDENTIALS = {name: op for name, op in OPERATIONS.items() if name.startswith(("token.", "cert."))}
TEST_OPERATIONS = _CREDENTIALS | {
    op.name: op
    for op in (
        Operation("hello", Role.VIEWER, Echo, Anything, "greets"),
        Operation("echo", Role.VIEWER, Echo, Anything, "says it back"),
        Operation("gate", Role.VIEWER, Echo, Anything, "waits until the test opens the gate"),
        Operation("break", Role.VIEWER, Echo, Anything, "raises what no handler should"),
        Operation("count", Role.VIEWER, Count, Anything, "counts", item=Anything),
        Operation("flood", Role.LOGS, Count, Anything, "sends bytes", item=bytes),
        Operation("chat", Role.OPERATOR, Echo, Anything, "says back what is sent", item=Anything),
        Operation("change", Role.OPERATOR, Echo, Anything, "changes something", mutates=True),
    )
}


@dataclass
class House:
    """The doors, and what the handlers did."""

    doors: Doors
    state_dir: Path
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    #: names of handlers that run
    running: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    changes: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.doors.url.rpartition(":")[2])

    @property
    def token(self) -> str:
        return self.doors.tokens.local_path.read_text().strip()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, self.token, self.doors.certificates.ca_pem.decode())

    async def until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        """Wait for something that the doors do on their own."""
        async with asyncio.timeout(within):
            while not condition():
                await asyncio.sleep(0.005)


def table_of(house: Callable[[], House]) -> Table:
    """A table whose handlers report to the house."""
    table = Table(TEST_OPERATIONS)

    async def echo(request: Echo, caller: Caller) -> Any:
        return {"value": request.value, "caller": caller.name, "role": caller.role.name}

    async def gate(request: Echo, _caller: Caller) -> Any:
        house().running.append(f"gate {request.value}")
        try:
            await house().gate.wait()
        except asyncio.CancelledError:
            house().cancelled.append(f"gate {request.value}")
            raise
        return {"value": request.value}

    async def broken(request: Echo, _caller: Caller) -> Any:
        match request.value:
            case "exit":
                raise SystemExit(3)
            case "cancel":
                raise asyncio.CancelledError
            case "unserializable":
                return {"value": object()}
            case "surrogate":
                return {"value": "\udc80"}
        raise RuntimeError("secret detail")

    async def count(request: Count, _caller: Caller, stream: Stream) -> Any:
        house().running.append("count")
        try:
            for number in range(request.items):
                await stream.send({"value": number, "padding": "x" * request.size})
            if request.items == 0:
                await asyncio.Event().wait()
        except (asyncio.CancelledError, ConnectionError):  # the caller left: seen by the door, or by this send
            house().cancelled.append("count")
            raise
        return {"value": request.items}

    async def flood(request: Count, _caller: Caller, stream: Stream) -> Any:
        house().running.append("flood")
        try:
            for number in range(request.items):
                await stream.send_bytes({"number": number}, b"\x00" * request.size)
        except BaseException:
            house().cancelled.append("flood")
            raise
        return {"value": request.items}

    async def chat(_request: Echo, _caller: Caller, stream: Stream) -> Any:
        taken = 0
        async for item in stream.incoming():
            if item.get("wait"):
                await house().gate.wait()
            if item.get("end"):
                break
            taken += 1
            await stream.send(dict(item))
        return {"value": taken}

    async def change(request: Echo, _caller: Caller) -> Any:
        house().changes.append(request.value)
        return {"value": len(house().changes)}

    table.bind("hello", echo)
    table.bind("echo", echo)
    table.bind("gate", gate)
    table.bind("break", broken)
    table.bind("count", count)
    table.bind("flood", flood)
    table.bind("chat", chat)
    table.bind("change", change)
    return table


@asynccontextmanager
async def open_house(state_dir: Path, limits: Limits | None = None, **options: Any) -> AsyncIterator[House]:
    """A running house; ``options`` go to ``Doors``."""
    found: list[House] = []
    doors = Doors(state_dir, table_of(lambda: found[0]), port=options.pop("port", 0), limits=limits, **options)
    house = House(doors, state_dir)
    found.append(house)
    async with doors:
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path / "state") as opened:
        yield opened
