"""The whole of it: a request over TLS, a stream, an orderly end."""

from __future__ import annotations

import asyncio

from harness_core.client import fast
from harness_core.client.stream import Stream

from .conftest import House


async def test_a_request_is_answered(house: House) -> None:
    answer = await asyncio.to_thread(fast.call, house.endpoint, "echo", {"value": [1, "é"]})
    assert answer == {"value": [1, "é"], "caller": "local", "role": "ADMIN"}


async def test_a_stream_has_items_and_a_result(house: House) -> None:
    def read() -> tuple[list[int], int]:
        with Stream(house.endpoint, "count", {"items": 5}) as stream:
            return [item["value"] for item in stream], stream.result["value"]

    assert await asyncio.to_thread(read) == ([0, 1, 2, 3, 4], 5)
