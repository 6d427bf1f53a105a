"""One WebSocket: many requests at once, streams both ways, bounds on everything, a clean end from either side."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.types import Receive, Scope, Send

from harness_core.domain.errors import HarnessError, NotFound, Overloaded, UsageError
from harness_core.domain.protocol import SUBPROTOCOL
from harness_core.doors import rpc
from harness_core.doors.dispatch import Dispatch
from harness_core.doors.limits import Limits
from harness_core.doors.refusals import refuse
from harness_core.doors.rpc import Call, Malformed
from harness_core.doors.sessions import Session, Sessions
from harness_core.doors.streams import OpenStream
from harness_core.doors.table import Prepared

__all__ = ["WebSocketDoor"]

_log = logging.getLogger("harness.doors")

#: close codes (RFC 6455): the credential ended
POLICY = 1008
#: after we said goodbye, a peer has this long to say it back
_FAREWELL = 0.5


class WebSocketDoor:
    """The ASGI endpoint of ``/ws``."""

    def __init__(self, dispatch: Dispatch, sessions: Sessions, limits: Limits) -> None:
        self._dispatch = dispatch
        self._sessions = sessions
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if SUBPROTOCOL not in scope["subprotocols"]:
            error = UsageError(f"cannot open a WebSocket without the subprotocol {SUBPROTOCOL}")
            await refuse(scope, send, 400, error)
            return
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        await _Connection(self._dispatch, self._sessions, self._limits, scope["state"]["session"], send).serve(receive)


class _Connection:
    def __init__(self, dispatch: Dispatch, sessions: Sessions, limits: Limits, session: Session, send: Send) -> None:
        self._dispatch = dispatch
        self._sessions = sessions
        self._limits = limits
        self._session = session
        self._asgi_send = send
        self._sending = asyncio.Lock()
        self._requests: dict[rpc.RequestId, asyncio.Task[None]] = {}
        self._streams: dict[int, OpenStream] = {}
        self._numbers = 0
        self._farewell: asyncio.Task[None] | None = None
        session.end = self._say_goodbye

    async def serve(self, receive: Receive) -> None:
        """Until either side leaves; then every handler is cancelled and has ended."""
        try:
            while (message := await receive())["type"] == "websocket.receive":
                try:
                    await self._take(message)
                except ConnectionError:
                    break
        finally:
            await self._end_all()

    async def _take(self, message: Any) -> None:
        request_id: rpc.RequestId | None = None
        try:
            if (text := message.get("text")) is None:
                raise Malformed("binary messages are not served")
            call = rpc.decode(text)
            request_id = call.id
            if call.method.startswith("stream."):
                self._steer(call)
            else:
                self._begin(call)
        except HarnessError as error:
            if isinstance(error, Malformed):
                request_id = error.request_id
            await self._send(rpc.refusal(request_id, error), False)

    def _begin(self, call: Call) -> None:
        """Start a request of its own; the reader goes on at once."""
        if call.id is None:
            raise Malformed("a request needs an id")
        if call.id in self._requests:
            raise Malformed(f"the id {call.id!r} is still in use", request_id=call.id)
        if len(self._requests) >= self._limits.in_flight:
            raise _too_many("requests at once", self._limits.in_flight)
        if wait := self._sessions.spend(self._session.token):
            raise _too_many("requests a second", int(self._limits.requests), wait)
        prepared = self._dispatch.prepare(self._session, call.method, call.params)
        if not prepared.operation.streams:
            self._requests[call.id] = asyncio.create_task(self._unary(call.id, call, prepared))
            return
        if len(self._streams) >= self._limits.subscriptions:
            raise _too_many("streams", self._limits.subscriptions)
        self._numbers += 1
        stream = OpenStream(self._numbers, self._send, self._limits.incoming)
        self._streams[stream.number] = stream
        stream.task = asyncio.create_task(self._stream(call.id, call, prepared, stream))

    def _steer(self, call: Call) -> None:
        """What concerns a stream that is open."""
        params = call.params or {}
        number = params.get("subscription")
        stream = self._streams.get(number) if isinstance(number, int) else None
        if call.method == "stream.cancel":
            if stream is not None and stream.task is not None and not stream.cancelled:
                stream.cancelled = True
                stream.task.cancel()
        elif call.method == "stream.send":
            item = params.get("item")
            if not isinstance(item, dict):
                raise UsageError('cannot stream.send: "item" must be an object')
            if stream is None:
                raise NotFound(f"cannot stream.send: no stream {number!r} is open")
            stream.put(item, call.id)
        else:
            raise NotFound(f"no operation is called {call.method!r}")

    async def _unary(self, request_id: rpc.RequestId, call: Call, prepared: Prepared) -> None:
        try:
            try:
                reply = rpc.answer(request_id, await self._dispatch.run(self._session, prepared, call.params))
            except HarnessError as error:
                reply = rpc.refusal(request_id, error)
            await self._send(reply, False)
        except ConnectionError:
            pass  # the peer left; the reader sees it too
        finally:
            del self._requests[request_id]

    async def _stream(self, request_id: rpc.RequestId, call: Call, prepared: Prepared, stream: OpenStream) -> None:
        end: dict[str, Any] = {"subscription": stream.number}
        try:
            await self._send(rpc.answer(request_id, {"subscription": stream.number}), False)
            try:
                end["result"] = await self._dispatch.run(self._session, prepared, call.params, stream)
            except HarnessError as error:
                end["error"] = error.to_wire()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not stream.cancelled or task is None or task.uncancel():
                    raise
                end |= {"result": None, "cancelled": True}
            await self._send(self._encoded_end(end), False)
        except ConnectionError:
            pass  # as above
        finally:
            del self._streams[stream.number]

    @staticmethod
    def _encoded_end(end: dict[str, Any]) -> bytes:
        try:
            return rpc.notification("stream.end", end)
        except HarnessError as error:
            return rpc.notification("stream.end", {"subscription": end["subscription"], "error": error.to_wire()})

    async def _send(self, data: bytes, binary: bool) -> None:
        """One frame, when the peer can take it. Raises ``ConnectionError`` when it left or takes nothing any more."""
        message: dict[str, Any] = {"type": "websocket.send"}
        message |= {"bytes": data} if binary else {"text": data.decode()}
        arrival = self._session.arrival
        async with self._sending:
            while True:
                unsent = arrival.unsent()
                try:
                    # uvicorn waits for the peer before it writes, so a send that was given up has written nothing
                    async with asyncio.timeout(self._limits.write_deadline):
                        await self._asgi_send(message)
                    # a send that need not wait does not let others run: nor the news that the peer is gone
                    await asyncio.sleep(0)
                    return
                except TimeoutError:
                    if arrival.unsent() < unsent:
                        continue  # slow, but alive
                    _log.info("%s dropped: it took nothing for %g s", arrival.source, self._limits.write_deadline)
                    arrival.drop()
                    raise ConnectionAbortedError("the peer takes nothing") from None
                except (OSError, RuntimeError) as error:
                    # uvicorn's two ways to say that the connection is closed or closing
                    raise ConnectionResetError("the peer left") from error

    def _say_goodbye(self) -> None:
        """The token ended: close within a second, whether the peer listens or not."""
        asyncio.get_running_loop().call_later(_FAREWELL, self._session.arrival.drop)
        if self._farewell is None:
            self._farewell = asyncio.create_task(self._close(POLICY, "the token is no longer valid"))

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(_FAREWELL), self._sending:
                await self._asgi_send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError, TimeoutError):
            pass  # it is dropped anyway

    async def _end_all(self) -> None:
        tasks = [*self._requests.values(), *(stream.task for stream in self._streams.values() if stream.task)]
        for task in tasks:
            task.cancel()
        if self._farewell is not None:
            tasks.append(self._farewell)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.error("a request ended badly", exc_info=outcome)


def _too_many(what: str, most: int, wait: float = 0.1) -> Overloaded:
    return Overloaded(f"cannot take more than {most} {what}", data={"retry_after": round(wait, 3)})
