"""How a door says no before a request has reached its operation: a JSON body, also in place of a handshake."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope, Send

from harness_core.domain.errors import HarnessError
from harness_core.doors import rpc

__all__ = ["SECURITY_HEADERS", "refuse", "respond"]

SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


async def refuse(
    scope: Scope, send: Send, status: int, error: HarnessError, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with ``{"error": …}`` and end the connection, so that nobody can go on guessing on it for free."""
    extra = {"connection": "close", **(headers or {})}
    await respond(scope, send, status, rpc.refusal(None, error), extra)


async def respond(scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """One JSON answer; for a WebSocket that was not accepted, in place of its handshake."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *SECURITY_HEADERS]
    fields += [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    await send({"type": f"{kind}.start", "status": status, "headers": fields})
    await send({"type": f"{kind}.body", "body": body})
