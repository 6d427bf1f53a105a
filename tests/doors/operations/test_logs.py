from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import NotFound, UsageError
from harness_core.domain.protocol import OPERATIONS, Role
from harness_core.doors.operations.logs import bind
from harness_core.doors.table import Caller, Table
from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.writer import SegmentWriter

CALLER = Caller("test", Role.ADMIN)


class Frames:
    """A caller who listens."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, Any], bytes]] = []
        self.changed = asyncio.Event()

    async def send(self, item: Mapping[str, Any]) -> None:
        raise AssertionError("output comes as bytes")

    async def send_bytes(self, header: dict[str, Any], payload: bytes | memoryview) -> None:
        json.dumps(header)
        self.got.append((header, bytes(payload)))
        self.changed.set()

    async def incoming(self) -> AsyncIterator[Mapping[str, Any]]:
        for nothing in list[Mapping[str, Any]]():
            yield nothing

    @property
    def text(self) -> bytes:
        return b"".join(payload for _, payload in self.got)


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    for key in ("shop/api", "shop/db"):
        with SegmentWriter(store.directory(key), "stdout") as stdout:
            for epoch in (1, 2):
                stdout.begin(epoch)
                stdout.append(b"%s one %d\n%s two %d\n" % (key.encode(), epoch, key.encode(), epoch))
    yield store
    await store.close()


@pytest.fixture
def table(logs: LogStore) -> Table:
    def select(request: Any) -> list[str]:
        units = ["shop/api", "shop/db"]
        if unknown := [name for name in request.names if f"shop/{name}" not in units]:
            raise NotFound(f"there is no unit {unknown[0]}")
        return [f"shop/{name}" for name in request.names] or units

    table = Table({name: op for name, op in OPERATIONS.items() if name.startswith("logs")})
    bind(table, logs, select)
    table.check()
    return table


async def test_stored_lines_as_text(table: Table, logs: LogStore) -> None:
    with SegmentWriter(logs.directory("shop/api"), "stdout") as stdout:
        stdout.append(b"caf\xc3\xa9 \xff\x00\n")
    result = await table.call("logs", {"names": ["api"], "tail": 2}, CALLER)
    assert [(line["service"], line["stream"], line["epoch"], line["text"]) for line in result["lines"]] == [
        ("shop/api", "stdout", 2, "shop/api two 2"),
        ("shop/api", "stdout", 2, "café \\xff\x00"),
    ]
    assert result["gaps"] == []
    json.dumps(result)


async def test_all_units_the_earlier_life_and_a_pattern(table: Table) -> None:
    result = await table.call("logs", {"previous": True, "grep": "o.e"}, CALLER)
    assert sorted(line["text"] for line in result["lines"]) == ["shop/api one 1", "shop/db one 1"]


async def test_following_what_is_stored_ends(table: Table) -> None:
    frames = Frames()
    result = await table.call("logs.follow", {"names": ["db"], "tail": None}, CALLER, frames)
    assert result == {"lines": [], "gaps": []}
    assert frames.text == b"shop/db one 1\nshop/db two 1\nshop/db one 2\nshop/db two 2\n"


async def test_following_and_resuming(table: Table, logs: LogStore) -> None:
    frames = Frames()
    following = asyncio.create_task(
        table.call("logs.follow", {"names": ["db"], "tail": 1, "follow": True}, CALLER, frames)
    )
    await frames.changed.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert frames.text == b"shop/db two 2\n"
    with SegmentWriter(logs.directory("shop/db"), "stdout") as stdout:
        stdout.append(b"three\n")
    cursors = {f"{header['service']}:{header['stream']}": header["next"] for header, _ in frames.got}
    more = Frames()
    await table.call("logs.follow", {"names": ["db"], "cursors": cursors}, CALLER, more)
    assert more.text == b"three\n"


async def test_clearing(table: Table) -> None:
    result = await table.call("logs.clear", {"names": ["api"]}, CALLER)
    assert result == {"ok": True, "message": "dropped 60 bytes of output of shop/api"}
    assert (await table.call("logs", {"names": ["api"]}, CALLER))["lines"] == []
    assert len((await table.call("logs", {"names": ["db"]}, CALLER))["lines"]) == 4
    assert (await table.call("logs.clear", {}, CALLER))["message"].endswith("of output of 2 units")


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"names": ["nobody"]}, NotFound, "no unit nobody"),
        ({"tail": -1}, UsageError, "negative"),
        ({"grep": "("}, UsageError, "cannot be read"),
        ({"stream": "stdin"}, UsageError, "no stream 'stdin'"),
        ({"follow": True, "previous": True}, UsageError, "cannot follow an earlier life"),
        ({"follow": True, "until": 1.0}, UsageError, "cannot follow output up to a time"),
    ],
)
async def test_requests_that_make_no_sense(
    table: Table, params: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await table.call("logs.follow", params, CALLER, Frames())


async def test_a_caller_who_stops_taking_is_waited_for_not_buffered_for(table: Table, logs: LogStore) -> None:
    class Stuck(Frames):
        async def send_bytes(self, header: dict[str, Any], payload: bytes | memoryview) -> None:
            await super().send_bytes(header, payload)
            await asyncio.Event().wait()

    stuck = Stuck()
    following = asyncio.create_task(table.call("logs.follow", {"follow": True, "tail": None}, CALLER, stuck))
    await stuck.changed.wait()
    with SegmentWriter(logs.directory("shop/db"), "stdout", grew=lambda: logs.grew("shop/db")) as stdout:
        for _ in range(100):
            stdout.append(b"x" * 1000 + b"\n")
    await asyncio.sleep(0)
    assert len(stuck.got) == 1
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
