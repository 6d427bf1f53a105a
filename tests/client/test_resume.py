"""Following through restarts: every item once, none left out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.client import resume
from harness_core.client.api import Client
from harness_core.domain.errors import DaemonUnreachable, Overloaded
from tests.doors.conftest import House, open_house


class Scripted:
    """A client whose streams are given: a list of items, which end by ``None`` (in order) or by an exception."""

    def __init__(self, *streams: Any) -> None:
        self._streams = iter(streams)
        self.asked: list[dict[str, Any]] = []
        self.relocated = 0

    def relocate(self) -> None:
        self.relocated += 1

    def stream(self, _method: str, params: dict[str, Any]) -> Any:
        self.asked.append({key: dict(value) if isinstance(value, dict) else value for key, value in params.items()})
        found = next(self._streams)
        if isinstance(found, Exception):
            raise found
        return Script(found)


class Script:
    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            yield item


LOST = DaemonUnreachable("lost")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(resume, "_LONGEST_PAUSE", 0.002)


def follow(client: Scripted, method: str, params: dict[str, Any] | None = None, **options: Any) -> list[Any]:
    return list(resume.follow(client, method, params, **options))  # type: ignore[arg-type] # the parts that are used


def test_events_go_on_after_the_last_one_seen() -> None:
    client = Scripted([{"seq": 4}, {"seq": 5}, LOST], LOST, Overloaded("x"), [{"seq": 5}, {"seq": 6}])
    told: list[Exception] = []
    items = follow(client, "events.follow", {"newest": True, "names": ["db"]}, on_lost=told.append)
    assert [item["seq"] for item in items] == [4, 5, 6]
    assert client.asked[-1] == {"after": 5, "names": ["db"]}
    assert told == [LOST]
    assert client.relocated == 3


def test_a_snapshot_is_passed_on_also_a_second_time() -> None:
    first, second = {"seq": 7, "snapshot": {}}, {"seq": 7, "snapshot": {}}
    client = Scripted(
        [first, {"seq": 8, "event": {}}, LOST], [second, {"seq": 8, "event": {}}, {"seq": 9, "event": {}}]
    )
    assert [item["seq"] for item in follow(client, "status.follow")] == [7, 8, 7, 9]


def frame(offset: int, payload: bytes, **more: Any) -> tuple[dict[str, Any], bytes]:
    return {"service": "shop/db", "stream": "stdout", "offset": offset, **more}, payload


def test_log_bytes_go_on_at_their_offset() -> None:
    client = Scripted(
        [frame(0, b"one\n"), frame(4, b"two\n"), frame(8, b"x", next=20), LOST],
        [frame(8, b"x", next=20), frame(20, b"three\n"), ({"service": "shop/db", "note": 1}, b"")],
    )
    items = follow(client, "logs.follow", {"tail": None, "cursors": {"shop/api:stdout": 3}})
    assert [payload for _, payload in items] == [b"one\n", b"two\n", b"x", b"three\n", b""]
    assert client.asked[1] == {"tail": None, "cursors": {"shop/api:stdout": 3, "shop/db:stdout": 20}}


def test_the_first_connection_must_succeed() -> None:
    with pytest.raises(DaemonUnreachable):
        follow(Scripted(LOST), "events.follow")


def test_patience_ends() -> None:
    with pytest.raises(DaemonUnreachable):
        follow(Scripted([LOST], *[LOST] * 10_000), "events.follow", patience=0.02)


async def test_a_daemon_that_comes_back_elsewhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(resume._PROGRESS, "count", _Everything)
    where: list[House] = []
    client: list[Client] = []
    taken: list[Any] = []

    def work() -> None:
        client.append(Client(lambda: where[-1].endpoint))
        for item in resume.follow(client[0], "count", {"items": 0}):
            taken.append(item)

    async with open_house(tmp_path / "state") as first:
        where.append(first)
        task = asyncio.create_task(asyncio.to_thread(work))
        await first.until(lambda: first.running == ["count"])
    async with open_house(tmp_path / "state") as second:
        where.append(second)
        await second.until(lambda: second.running == ["count"])
        monkeypatch.setattr(resume, "_reopen", _give_up)
    with pytest.raises(DaemonUnreachable):
        await task


class _Everything:
    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def take(self, item: Any) -> Any:
        return item


def _give_up(*_: object) -> None:
    raise DaemonUnreachable("enough")
