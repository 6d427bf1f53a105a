"""One open stream of a connection: numbered items out, a bounded queue of items in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from harness_core.domain.errors import Overloaded
from harness_core.domain.protocol import encode_binary
from harness_core.doors import rpc

__all__ = ["OpenStream"]

#: sends a frame (text or binary) when the peer can take it; raises ``ConnectionError`` when it is gone
SendFrame = Callable[[bytes, bool], Awaitable[None]]


class OpenStream:
    """The ``Stream`` that a handler is given. Items are numbered from 1, text and binary together."""

    def __init__(self, number: int, send_frame: SendFrame, incoming: int) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None
        #: the caller asked for the end
        self.cancelled = False
        self._send_frame = send_frame
        self._seq = 0
        self._incoming: asyncio.Queue[tuple[Mapping[str, Any], rpc.RequestId | None]] = asyncio.Queue(incoming)

    async def send(self, item: Mapping[str, Any]) -> None:
        self._seq += 1
        params = {"subscription": self.number, "seq": self._seq, "item": item}
        await self._send_frame(rpc.notification("stream.item", params), False)

    async def send_bytes(self, header: dict[str, Any], payload: bytes | memoryview) -> None:
        self._seq += 1
        head = {"subscription": self.number, "seq": self._seq, **header}
        await self._send_frame(encode_binary(head, payload), True)

    async def incoming(self) -> AsyncIterator[Mapping[str, Any]]:
        """What the caller sends. A send with an id is answered when the handler takes the item: that is the caller's
        signal to send more."""
        while True:
            item, request_id = await self._incoming.get()
            if request_id is not None:
                await self._send_frame(rpc.answer(request_id, {}), False)
            yield item

    def put(self, item: Mapping[str, Any], request_id: rpc.RequestId | None) -> None:
        """An item from the caller. Raises ``Overloaded`` when its handler is too far behind."""
        try:
            self._incoming.put_nowait((item, request_id))
        except asyncio.QueueFull:
            raise Overloaded(
                f"cannot send more to stream {self.number}: {self._incoming.maxsize} items wait to be taken",
                hint="send with an id and wait for the answers",
                data={"retry_after": 0.1},
            ) from None
