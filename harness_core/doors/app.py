"""What is served where: the routes with the role that each needs, and the endpoints that are not a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from harness_core.domain.errors import HarnessError, TimedOut, UsageError
from harness_core.domain.protocol import Role
from harness_core.doors import rpc
from harness_core.doors.access import Entrances
from harness_core.doors.connection import WebSocketDoor
from harness_core.doors.dispatch import Dispatch
from harness_core.doors.limits import Limits
from harness_core.doors.refusals import refuse, respond
from harness_core.doors.rpc import Malformed
from harness_core.doors.sessions import Session, Sessions

__all__ = ["AUTHORITY_PATH", "make_app", "standard_entrances"]

#: where a client that knows only the pin gets the authority's certificate, to compare it with the pin
AUTHORITY_PATH = "/.well-known/harness-ca"


def standard_entrances(
    dispatch: Dispatch, sessions: Sessions, limits: Limits, authority: Callable[[], bytes]
) -> Entrances:
    """The routes that every daemon has."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def certificate(_request: Request) -> Response:
        return Response(authority(), media_type="application/x-pem-file")

    entrances = Entrances()
    entrances.add(WebSocketRoute("/ws", WebSocketDoor(dispatch, sessions, limits)), Role.VIEWER)
    entrances.add(Route("/rpc", PostDoor(dispatch, limits), methods=["POST"]), Role.VIEWER)
    entrances.add(Route("/healthz", healthz), None)
    entrances.add(Route(AUTHORITY_PATH, certificate), None)
    return entrances


def make_app(entrances: Entrances) -> Starlette:
    """The application behind the access chain. Raises ``ValueError`` when a route declares no role."""
    app = Starlette(routes=entrances.routes)
    entrances.check(app.router.routes)
    return app


class PostDoor:
    """The ASGI endpoint of ``/rpc``: one request, one answer, for those who need no stream."""

    def __init__(self, dispatch: Dispatch, limits: Limits) -> None:
        self._dispatch = dispatch
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if kind.partition(b";")[0].strip().lower() != b"application/json":
            # what a form on a foreign page could send is refused before it is read
            await refuse(scope, send, 415, UsageError("cannot read the request: send application/json"))
            return
        try:
            async with asyncio.timeout(self._limits.message_time):
                body = await self._body(receive)
        except TimeoutError:
            await refuse(scope, send, 408, TimedOut("cannot read the request: it took too long to arrive"))
            return
        if body is None:
            most = self._limits.message_bytes
            await refuse(scope, send, 413, UsageError(f"cannot read the request: it is larger than {most} bytes"))
            return
        reply = await self._answer_or_leave(scope["state"]["session"], body, receive)
        if reply is not None:
            await respond(scope, send, 200, reply)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; ``None`` when it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""  # nobody will read the answer
            body += message.get("body", b"")
            if len(body) > self._limits.message_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _answer_or_leave(self, session: Session, body: bytes, receive: Receive) -> bytes | None:
        """The answer; ``None`` when the peer left first, in which case the handler was cancelled."""
        work = asyncio.create_task(self._answer(session, body))
        left = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            for task in (work, left):
                task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    async def _answer(self, session: Session, body: bytes) -> bytes:
        request_id: rpc.RequestId | None = None
        try:
            call = rpc.decode(body)
            request_id = call.id
            if request_id is None:
                raise Malformed("a request needs an id")
            prepared = self._dispatch.prepare(session, call.method, call.params)
            return rpc.answer(request_id, await self._dispatch.run(session, prepared, call.params))
        except Malformed as error:
            return rpc.refusal(error.request_id, error)
        except HarnessError as error:
            return rpc.refusal(request_id, error)
