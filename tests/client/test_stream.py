"""Streams from the client's side: items, results, sending, cancelling, and how they end before their time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from harness_core.client.stream import Stream
from harness_core.domain.errors import DaemonUnreachable, NotAllowed, NotFound, UsageError
from harness_core.domain.protocol import Role
from tests.doors.conftest import House, open_house

Answer = TypeVar("Answer")


async def away(work: Callable[[], Answer]) -> Answer:
    """The client blocks, so it runs in a thread beside the doors."""
    return await asyncio.to_thread(work)


async def test_items_and_result(house: House) -> None:
    def work() -> tuple[list[int], Any]:
        with Stream[Any, Any](house.endpoint, "count", {"items": 3}) as stream:
            return [item["value"] for item in stream], stream.result

    assert await away(work) == ([0, 1, 2], {"value": 3})


async def test_the_result_alone(house: House) -> None:
    def work() -> Any:
        with Stream[Any, Any](house.endpoint, "count", {"items": 3}) as stream:
            return stream.result

    assert await away(work) == {"value": 3}


async def test_bytes(house: House) -> None:
    def work() -> list[tuple[dict[str, Any], bytes]]:
        with Stream[Any, Any](house.endpoint, "flood", {"items": 2, "size": 100_000}) as stream:
            return list(stream)

    frames = await away(work)
    assert [(header["number"], len(payload)) for header, payload in frames] == [(0, 100_000), (1, 100_000)]


async def test_a_refused_request_raises_what_was_answered(house: House) -> None:
    with pytest.raises(NotFound):
        await away(lambda: Stream(house.endpoint, "nothing"))
    with pytest.raises(UsageError):
        await away(lambda: Stream(house.endpoint, "count", {"items": "x"}))


async def test_a_refused_connection_raises_what_was_answered(house: House) -> None:
    with pytest.raises(NotAllowed, match="token is not valid"):
        await away(lambda: Stream(house.endpoint._replace(token="hns_aaaaaaaa_" + "a" * 43), "count"))
    with pytest.raises(NotAllowed, match="not the daemon you know"):
        await away(lambda: Stream(house.endpoint._replace(ca="", pin="B" * 43 + "="), "count"))


async def test_nobody_listens(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as house:
        endpoint = house.endpoint
    with pytest.raises(DaemonUnreachable, match="connection refused"):
        await away(lambda: Stream(endpoint, "count"))


async def test_much_can_be_sent_while_somebody_reads(house: House) -> None:
    def work() -> tuple[list[int], Any]:
        with Stream[Any, Any](house.endpoint, "chat") as stream:

            def send() -> None:
                for number in range(50):
                    stream.send({"value": number})
                stream.send({"end": True})

            sender = threading.Thread(target=send)
            sender.start()
            values = [item["value"] for item in stream]
            sender.join()
            return values, stream.result

    assert await away(work) == (list(range(50)), {"value": 50})


async def test_cancelling_ends_it_in_order(house: House) -> None:
    def work() -> tuple[list[Any], bool]:
        with Stream[Any, Any](house.endpoint, "count", {"items": 0}) as stream:
            stream.cancel()
            return list(stream), stream.cancelled

    assert await away(work) == ([], True)
    assert house.cancelled == ["count"] or house.running == []


async def test_leaving_cancels_the_handler(house: House) -> None:
    def work() -> None:
        with Stream[Any, Any](house.endpoint, "count", {"items": 100_000, "size": 10_000}) as stream:
            next(iter(stream))

    await away(work)
    await house.until(lambda: house.cancelled == ["count"])


async def test_a_daemon_that_goes_away_is_told(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as house:
        endpoint = house.endpoint

        def work() -> None:
            with Stream[Any, Any](endpoint, "count", {"items": 0}) as stream:
                list(stream)

        task = asyncio.create_task(away(work))
        await house.until(lambda: house.running == ["count"])
    with pytest.raises(DaemonUnreachable, match="was lost"):
        await task


async def test_a_revoked_token_is_told(house: House) -> None:
    _, credential = house.doors.tokens.create("x", Role.LOGS, 60, "test")

    def work() -> None:
        with Stream[Any, Any](house.endpoint._replace(token=credential), "count", {"items": 0}) as stream:
            list(stream)

    task = asyncio.create_task(away(work))
    await house.until(lambda: house.running == ["count"])
    (token,) = house.doors.tokens.revoke("x")
    house.doors._sessions.end_token(token.id)
    with pytest.raises(NotAllowed, match="no longer valid"):
        await task


async def test_opening_never_loses_the_first_message(house: House) -> None:
    """A session ticket that arrived while the request went out made OpenSSL swallow it, about once in 300."""

    def work() -> int:
        values = []
        for _ in range(60):
            with Stream[Any, Any](house.endpoint, "count", {"items": 1}) as stream:
                values.append(stream.result["value"])
        return sum(values)

    assert house.doors.certificates.context.num_tickets == 0
    assert await asyncio.gather(away(work), away(work)) == [60, 60]
