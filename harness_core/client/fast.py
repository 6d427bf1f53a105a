"""One request, one answer, over TLS with the standard library alone: the way of every command that needs no stream."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness_core.client import trust
from harness_core.client.endpoint import Endpoint
from harness_core.domain.errors import (
    DaemonUnreachable,
    HarnessError,
    Overloaded,
    TimedOut,
    UsageError,
    error_from_wire,
)

__all__ = [
    "DEFAULT_TIMEOUT",
    "call",
    "connect",
    "encoded",
    "host_header",
    "reaching",
    "unreachable",
    "with_authority",
]

DEFAULT_TIMEOUT = 30.0
_CONNECT_TIMEOUT = 5.0
_MAX_REQUEST = 1 << 20
_MAX_ANSWER = 64 << 20


def call(
    endpoint: Endpoint, method: str, params: Mapping[str, Any] | None = None, timeout: float = DEFAULT_TIMEOUT
) -> Any:
    """Ask for ``method`` and return its result. ``timeout`` seconds are for all of it.

    Raises what the daemon answered, ``DaemonUnreachable`` when nobody answers, ``NotAllowed`` when who answers cannot
    be trusted, ``TimedOut`` when the answer does not come in time. A daemon that is overloaded is asked again.
    """
    body = encoded(1, method, params)
    deadline = time.monotonic() + timeout
    while True:
        try:
            return _ask(endpoint, method, body, deadline)
        except Overloaded as error:
            wait = float(error.data.get("retry_after", 1.0))
            if time.monotonic() + wait >= deadline:
                raise
            time.sleep(wait)


def encoded(request_id: int, method: str, params: Mapping[str, Any] | None) -> bytes:
    """A request as it goes over the wire. Raises ``UsageError`` when it is larger than a daemon reads."""
    message = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params or {})}
    try:
        body = json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # arguments and file names may be no valid Unicode; escaped they pass
        body = json.dumps(message).encode()
    if len(body) > _MAX_REQUEST:
        raise UsageError(
            f"cannot {method}: the request has {len(body)} bytes, and a daemon reads at most {_MAX_REQUEST}"
        )
    return body


def _ask(endpoint: Endpoint, method: str, body: bytes, deadline: float) -> Any:
    with reaching(endpoint), connect(endpoint, deadline) as sock:
        sock.sendall(_head(endpoint, len(body)) + body)
        try:
            status, answer = _read_answer(sock, deadline)
        except TimeoutError:
            raise TimedOut(
                f"cannot wait any longer for {method}: no answer in time",
                hint="the daemon goes on with it; see harness status",
            ) from None
    return _result(endpoint, status, answer)


@contextmanager
def reaching(endpoint: Endpoint) -> Iterator[None]:
    """What goes wrong on the way to the daemon, as our errors: ``NotAllowed`` or ``DaemonUnreachable``."""
    try:
        yield
    except TimeoutError:
        raise unreachable(endpoint, "it does not answer in time") from None
    except ssl.SSLError as error:
        raise trust.tls_error(endpoint, error) from None
    except OSError as error:
        raise unreachable(endpoint, (error.strerror or str(error)).lower()) from None


def connect(endpoint: Endpoint, deadline: float) -> ssl.SSLSocket:
    """A verified connection. Proxies of the environment are not for us: the host is known, the certificate pinned."""
    endpoint = with_authority(endpoint, _left(deadline))
    try:
        return _handshake(endpoint, deadline)
    except ssl.SSLCertVerificationError as error:
        if not trust.is_outdated(endpoint, error):
            raise
    from harness_core.client import contexts  # the rare case: the daemon serves new names under its old key

    return _handshake(contexts.refresh(endpoint, min(_CONNECT_TIMEOUT, _left(deadline))), deadline)


def with_authority(endpoint: Endpoint, timeout: float) -> Endpoint:
    """The endpoint with its authority's certificate, fetched and compared with the pin where it is not known yet."""
    return endpoint if endpoint.ca else trust.authority_of(endpoint, min(_CONNECT_TIMEOUT, timeout))


def _handshake(endpoint: Endpoint, deadline: float) -> ssl.SSLSocket:
    context = trust.tls_context(endpoint)
    host = trust.ascii_host(endpoint.host)
    timeout = min(_CONNECT_TIMEOUT, _left(deadline))
    plain = socket.create_connection((host, endpoint.port), timeout)  # type: ignore[arg-type] # bytes are taken as well
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def host_header(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"


def _head(endpoint: Endpoint, length: int) -> bytes:
    return (
        f"POST /rpc HTTP/1.1\r\nHost: {host_header(endpoint)}\r\nAuthorization: Bearer {endpoint.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def _read_answer(sock: ssl.SSLSocket, deadline: float) -> tuple[int, bytes]:
    """Status and body of an HTTP answer with a content length. Raises ``ConnectionError`` when it is cut short."""
    data = bytearray()
    body_at = length = -1
    while body_at < 0 or len(data) < body_at + length:
        sock.settimeout(_left(deadline))
        piece = sock.recv(1 << 18)
        if not piece:
            raise ConnectionResetError("the daemon closed the connection")
        data += piece
        if body_at < 0 and (end := data.find(b"\r\n\r\n")) >= 0:
            body_at, length = end + 4, _content_length(bytes(data[:end]))
        if len(data) > _MAX_ANSWER:
            raise ConnectionAbortedError("the answer is too large")
    try:
        status = int(data[9:12])
    except ValueError:
        raise ConnectionAbortedError("the answer is not HTTP") from None
    return status, bytes(data[body_at : body_at + length])


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    raise ConnectionAbortedError("the answer has no length")


def _result(endpoint: Endpoint, status: int, answer: bytes) -> Any:
    try:
        reply = json.loads(answer)
    except ValueError:
        reply = None
    if not isinstance(reply, dict) or ("result" not in reply and not isinstance(reply.get("error"), dict)):
        raise HarnessError(
            f"cannot understand what {endpoint.url} answered (HTTP {status})",
            hint="is it a harness daemon of this version?",
        )
    if "error" in reply:
        raise error_from_wire(reply["error"])
    return reply["result"]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def unreachable(endpoint: Endpoint, why: str) -> DaemonUnreachable:
    """Nobody answers there; services go on, and the next step depends on whose daemon it is."""
    hint = "harness daemon start" if endpoint.state_dir else "is it running, and may this machine connect to it?"
    return DaemonUnreachable(f"cannot reach the daemon at {endpoint.url}: {why}", hint=hint)
