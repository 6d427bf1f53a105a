"""Streams over the WebSocket: items as they come, a result at the end, and a way to send and to cancel.

One connection a stream, so that whoever stops reading holds up nothing else.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from harness_core.client import fast
from harness_core.client.endpoint import Endpoint
from harness_core.client.websocket import Refused, WebSocket, WebSocketLost
from harness_core.domain.errors import (
    DaemonUnreachable,
    HarnessError,
    NotAllowed,
    OperationFailed,
    TimedOut,
    error_from_wire,
)

__all__ = ["Stream"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_MESSAGE = 64 << 20
_OPEN_TIMEOUT = 10.0
_REQUEST_ID = 1
#: sends that may wait for the daemon to take them
_WINDOW = 8
_POLICY = 1008


class Stream(Generic[Item, Result]):
    """An open stream. Iterate it for its items: a mapping each, or ``(header, bytes)`` for binary ones.

    Opening raises what the daemon refused the request with. Iterating ends when the stream does, after which
    ``result`` is what it ended with; it raises the stream's error, or ``DaemonUnreachable`` when the connection is
    lost: nothing then is known about the operation, which goes on or ends as the daemon decides. Closing (``with``)
    before the end makes the daemon cancel what only served this stream. ``send`` and ``cancel`` may be called from
    another thread than the iterating one.
    """

    def __init__(self, endpoint: Endpoint, method: str, params: Mapping[str, Any] | None = None) -> None:
        self._endpoint = endpoint
        self._method = method
        self._ended = False
        self._cancelled = False
        self._result: Any = None
        self._window = threading.BoundedSemaphore(_WINDOW)
        self._next_id = _REQUEST_ID
        self._connection = _open(endpoint)
        try:
            self._subscription = self._subscribe(method, params)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Item]:
        while not self._ended:
            message = self._receive()
            if isinstance(message, bytes):
                yield _binary(message)
            elif (item := self._take(json.loads(message))) is not None:
                yield item

    @property
    def result(self) -> Result:
        """What the stream ended with. Reads on to the end when it is not there yet, passing over items."""
        for _ in self:
            pass
        return self._result  # type: ignore[no-any-return] # what the daemon sent, which the caller typed

    @property
    def cancelled(self) -> bool:
        """Whether it ended because ``cancel`` was called."""
        return self._cancelled

    def send(self, item: Mapping[str, Any], timeout: float = fast.DEFAULT_TIMEOUT) -> None:
        """Send an item into the stream. Waits while the daemon is behind, for which somebody must iterate.

        Raises ``TimedOut`` when the daemon takes nothing for ``timeout`` seconds.
        """
        if not self._window.acquire(timeout=timeout):
            raise TimedOut(f"cannot send to {self._method}: nothing was taken for {timeout:g} s")
        self._next_id += 1
        params = {"subscription": self._subscription, "item": dict(item)}
        self._transmit(fast.encoded(self._next_id, "stream.send", params))

    def cancel(self) -> None:
        """Ask the daemon to end the stream; iterating ends soon after, with what was on its way."""
        params = {"subscription": self._subscription}
        self._transmit(json.dumps({"jsonrpc": "2.0", "method": "stream.cancel", "params": params}).encode())

    def close(self) -> None:
        """Leave. Idempotent; not an error when the connection is gone."""
        self._ended = True
        self._connection.close()

    def __enter__(self) -> Stream[Item, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _subscribe(self, method: str, params: Mapping[str, Any] | None) -> int:
        self._transmit(fast.encoded(_REQUEST_ID, method, params))
        try:
            reply = json.loads(self._receive(fast.DEFAULT_TIMEOUT))
        except TimeoutError:
            raise TimedOut(f"cannot wait any longer for {method}: no answer in time") from None
        if "error" in reply:
            raise error_from_wire(reply["error"])
        return int(reply["result"]["subscription"])

    def _take(self, message: dict[str, Any]) -> Any:
        """An item, or ``None`` for messages that steer the stream."""
        params = message.get("params", {})
        if message.get("method") == "stream.item":
            return params["item"]
        if message.get("method") == "stream.end":
            self._ended = True
            self._connection.close()
            self._cancelled = bool(params.get("cancelled"))
            if "error" in params:
                raise error_from_wire(params["error"])
            self._result = params.get("result")
        elif message.get("id") is not None:
            self._window.release()
            if "error" in message:
                raise error_from_wire(message["error"])
        return None

    def _transmit(self, message: bytes) -> None:
        try:
            self._connection.send(message)
        except WebSocketLost as error:
            raise self._lost(error.code, error.reason) from None

    def _receive(self, timeout: float | None = None) -> str | bytes:
        try:
            # no deadline by default: silence is what a quiet service sounds like, and pings end a dead connection
            return self._connection.receive(timeout)
        except WebSocketLost as error:
            raise self._lost(error.code, error.reason) from None

    def _lost(self, code: int, reason: str) -> HarnessError:
        self._ended = True
        if code == _POLICY:
            return NotAllowed(f"cannot go on with {self._method}: {reason}", hint="ask for a new token")
        return DaemonUnreachable(
            f"cannot go on with {self._method}: the connection to {self._endpoint.url} was lost",
            hint="services go on without it; try again, or see: harness daemon status",
        )


def _open(endpoint: Endpoint) -> WebSocket:
    from harness_core.domain.frames import SUBPROTOCOL

    with fast.reaching(endpoint):
        sock = fast.connect(endpoint, time.monotonic() + _OPEN_TIMEOUT)
        try:
            sock.settimeout(_OPEN_TIMEOUT)
            return WebSocket.open(
                sock,
                fast.host_header(endpoint),
                "/ws",
                {"Authorization": f"Bearer {endpoint.token}"},
                protocol=SUBPROTOCOL,
                max_size=_MAX_MESSAGE,
            )
        except Refused as refused:
            sock.close()
            if not refused.status:
                raise fast.unreachable(endpoint, "what answers there is no harness daemon") from None
            raise _refusal(refused.status, refused.body) from None
        except BaseException:
            sock.close()
            raise


def _refusal(status: int, body: bytes) -> HarnessError:
    try:
        return error_from_wire(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return OperationFailed(f"cannot open a stream: the daemon answered {status}")


def _binary(message: bytes) -> Any:
    from harness_core.domain.frames import decode_binary

    header, payload = decode_binary(message)
    return header, bytes(payload)
