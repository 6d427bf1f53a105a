"""uvicorn's WebSocket protocol with the bounds that it lacks: how often, in how many pieces, how long a message takes.

It is the one place that knows uvicorn's insides; everything else speaks ASGI.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from harness_core.doors.limits import Bucket, Limits

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent
    from websockets.frames import Frame

__all__ = ["websocket_protocol"]


def websocket_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol class for ``uvicorn.Config(ws=…)`` that enforces ``limits``."""
    return type("BoundedWebSocket", (_BoundedWebSocket,), {"limits": limits})


class _BoundedWebSocket(WebSocketsSansIOProtocol):
    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._budget = Bucket(self.limits.frames, self.limits.frames_burst, self.loop.time())
        self._throttle: asyncio.TimerHandle | None = None
        self._message: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # a message that has begun must end in time, also when nothing more comes at all
        if self.frames and self._message is None:
            self._message = self.loop.call_later(self.limits.message_time, self._refuse, "the message took too long")
        elif not self.frames and self._message is not None:
            self._message.cancel()
            self._message = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._throttle, self._message):
            if timer is not None:
                timer.cancel()
        self.app_state["arrival"].gone()
        super().connection_lost(exc)

    def handle_text(self, event: Frame) -> None:
        self._count()
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._count()
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= self.limits.fragments:
            self._refuse("the message came in too many pieces")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._count()
        super().handle_ping()

    async def receive(self) -> ASGIReceiveEvent:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if self._throttle is None:
                self.transport.resume_reading()
        return message

    def _count(self) -> None:
        """Read no more from a peer who sends too often until it has slowed down; its socket holds the rest."""
        wait = self._budget.take(self.loop.time())
        if wait and self._throttle is None and not self.transport.is_closing():
            self.transport.pause_reading()
            self._throttle = self.loop.call_later(max(wait, 0.05), self._go_on)

    def _go_on(self) -> None:
        self._throttle = None
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _refuse(self, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.frames = []
        self.conn.fail(1008, reason)
        self.handle_parser_exception()
