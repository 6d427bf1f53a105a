"""Hostile peers at a real daemon: each is turned away in its own manner, and whoever has a credential is served beside.

What needs a door of its own (floods by other addresses, shortened deadlines) is tried in ``tests/doors``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.frames import Close, Frame, Opcode

from harness_core.client import fast, trust
from harness_core.client.endpoint import Endpoint
from harness_core.domain.errors import NotAllowed
from harness_core.domain.protocol import Role
from harness_core.doors.certificates import make_authority
from tests.access.conftest import Guarded

pytestmark = pytest.mark.e2e


@pytest.fixture
def endpoint(guarded: Guarded) -> Endpoint:
    return guarded.lab.client.endpoint


@contextlib.contextmanager
def secured(endpoint: Endpoint, timeout: float = 15.0) -> Iterator[ssl.SSLSocket]:
    plain = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout)
    with plain, trust.tls_context(endpoint).wrap_socket(plain, server_hostname=endpoint.host) as sock:
        yield sock


def everything(sock: socket.socket) -> bytes:
    """What comes until the other side closes."""
    found = bytearray()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := sock.recv(65536):
            found += data
    return bytes(found)


def headers(endpoint: Endpoint, **changed: str) -> str:
    fields = {"Host": f"{endpoint.host}:{endpoint.port}", "Authorization": f"Bearer {endpoint.token}"} | {
        name.replace("_", "-"): value for name, value in changed.items()
    }
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items())


def status_of(endpoint: Endpoint, head: str, path: str = "/rpc") -> int:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello"}).encode()
    request = f"POST {path} HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with secured(endpoint) as sock:
        sock.sendall(f"{request}Connection: close\r\n\r\n".encode() + body)
        answer = everything(sock)
    return int(answer.split()[1])


@contextlib.contextmanager
def websocket(endpoint: Endpoint) -> Iterator[ssl.SSLSocket]:
    with secured(endpoint) as sock:
        upgrade = headers(
            endpoint,
            Upgrade="websocket",
            Connection="Upgrade",
            Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Protocol="harness.v1",
        )
        sock.sendall(f"GET /ws HTTP/1.1\r\n{upgrade}\r\n".encode())
        assert b" 101 " in sock.recv(4096)
        yield sock


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def close_code(data: bytes) -> int:
    """Of the close frame that the daemon ended with."""
    place = data.rindex(b"\x88")
    return Close.parse(data[place + 2 : place + 2 + data[place + 1]]).code


@contextlib.contextmanager
def served_meanwhile(guarded: Guarded) -> Iterator[None]:
    """Somebody with a credential asks all the time, and is answered within a second."""
    client, ended, times = guarded.client(Role.VIEWER), threading.Event(), list[float]()

    def ask() -> None:
        while not ended.is_set() or not times:
            began = time.monotonic()
            client.call("hello")
            times.append(time.monotonic() - began)
            ended.wait(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert max(times) < 1.0, times


def test_who_does_not_speak_tls_gets_nothing(endpoint: Endpoint) -> None:
    for said in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x00" * 4096, b"SSH-2.0-x\r\n"):
        with socket.create_connection((endpoint.host, endpoint.port), timeout=10) as sock:
            sock.sendall(said)
            assert b"HTTP/1" not in everything(sock)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_tls_is_refused(endpoint: Endpoint) -> None:
    context = trust.tls_context(endpoint)
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with socket.create_connection((endpoint.host, endpoint.port), timeout=10) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname=endpoint.host)


def test_a_client_of_another_authority_sends_no_token(endpoint: Endpoint, guarded: Guarded) -> None:
    other = endpoint._replace(ca=make_authority(["127.0.0.1"], datetime.now(UTC)).certificate_pem.decode())
    with pytest.raises(NotAllowed):
        fast.call(other, "hello")
    pinned = guarded.client(Role.VIEWER).endpoint
    with pytest.raises(NotAllowed, match="not the daemon you know"):
        fast.call(pinned._replace(pin="A" * 43 + "="), "hello")


def test_foreign_names_and_foreign_pages(endpoint: Endpoint) -> None:
    port = endpoint.port
    assert status_of(endpoint, headers(endpoint)) == 200
    assert status_of(endpoint, headers(endpoint, Origin=f"https://127.0.0.1:{port}")) == 200
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "[::1]evil",
        "localhost\x7f",
    ):
        assert status_of(endpoint, headers(endpoint, Host=host)) in (400, 421), host
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port}", "https://127.0.0.1:1", "file://"):
        assert status_of(endpoint, headers(endpoint, Origin=origin)) == 403, origin
        assert status_of(endpoint, headers(endpoint, Origin=origin), "/ws") == 403, origin


@pytest.mark.parametrize("kind", ["nothing", "half a handshake", "slow headers", "slow upgrade"])
def test_whoever_dawdles_is_dropped_within_seconds(guarded: Guarded, endpoint: Endpoint, kind: str) -> None:
    with served_meanwhile(guarded), contextlib.ExitStack() as stack:
        if kind in ("nothing", "half a handshake"):
            sock: socket.socket = stack.enter_context(
                socket.create_connection((endpoint.host, endpoint.port), timeout=10)
            )
            sock.sendall(b"" if kind == "nothing" else b"\x16\x03\x01\x02\x00\x01")
        else:
            sock = stack.enter_context(secured(endpoint))
        sock.settimeout(0.5)
        began = time.monotonic()
        drip = iter(
            f"GET /{'ws' if kind == 'slow upgrade' else ''} HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ".encode() + b"x" * 99
        )
        while not _is_closed(sock, bytes([next(drip)]) if kind.startswith("slow") else b""):
            assert time.monotonic() - began < 8, "still open"
        assert time.monotonic() - began < 8


def _is_closed(sock: socket.socket, send: bytes) -> bool:
    try:
        if send:
            sock.sendall(send)
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def floods() -> dict[str, tuple[Callable[[ssl.SSLSocket], None], int | None]]:
    """What is sent, and the code that the connection is closed with; ``None`` where it lives on, only slower."""
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello"}).encode()

    def pings(sock: ssl.SSLSocket) -> None:
        sock.sendall(frame(Opcode.PING, b"") * 5000)

    def tiny(sock: ssl.SSLSocket) -> None:
        sock.sendall(frame(Opcode.TEXT, b"x") * 5000)

    def fragments(sock: ssl.SSLSocket) -> None:
        sock.sendall(frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.CONT, b"", fin=False) * 2000)

    def oversize(sock: ssl.SSLSocket) -> None:
        sock.sendall(frame(Opcode.TEXT, b"x" * (2 << 20)))

    def bomb(sock: ssl.SSLSocket) -> None:
        # the bit that says "compressed", which was never agreed on
        data = bytearray(frame(Opcode.TEXT, call))
        data[0] |= 0x40
        sock.sendall(data)

    return {
        "pings": (pings, None),
        "tiny frames": (tiny, None),
        "fragments": (fragments, 1008),
        "oversize": (oversize, 1009),
        "compressed": (bomb, 1002),
    }


@pytest.mark.parametrize("kind", sorted(floods()))
def test_floods_end_or_slow_down_only_who_sends_them(guarded: Guarded, endpoint: Endpoint, kind: str) -> None:
    send, code = floods()[kind]
    with served_meanwhile(guarded), websocket(endpoint) as sock:
        sock.settimeout(8)
        with contextlib.suppress(OSError):
            send(sock)
        if code is not None:
            assert close_code(everything(sock)) == code
        else:
            sock.settimeout(1)
            with contextlib.suppress(TimeoutError):
                assert sock.recv(65536), "it lives on"


NESTED: list[Any] = [
    b"[" * 100_000,
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"names":' + b"[" * 900 + b"]" * 900 + b"}}",
    b'{"jsonrpc":"2.0","id":' + b"9" * 10_000 + b',"method":"hello"}',
    b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"names":["\\ud800"]}}',
    b'{"jsonrpc":"2.0","id":1,"method":"status","params":{"names":NaN}}',
    b"\xff\xfe{}",
]


@pytest.mark.parametrize("number", range(len(NESTED)))
def test_strange_json_gets_a_typed_error(endpoint: Endpoint, number: int) -> None:
    body = NESTED[number]
    head = f"POST /rpc HTTP/1.1\r\n{headers(endpoint)}Content-Type: application/json\r\nConnection: close\r\n"
    with secured(endpoint) as sock:
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = everything(sock)
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] in (-32700, -32600, -32602, -32005), error
    assert error["data"]["code"] in ("usage", "not-found")
    assert "Traceback" not in str(error)


def test_the_daemon_is_as_it_was(guarded: Guarded) -> None:
    log = guarded.lab.daemon_log()
    assert "Traceback" not in log, log[-3000:]
    assert guarded.lab.row("web")["phase"] == "running"
