"""One request over the standard library alone: what it brings back, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from harness_core.client import fast
from harness_core.client.locate import Endpoint
from harness_core.domain.errors import (
    DaemonUnreachable,
    HarnessError,
    InternalError,
    NotFound,
    Overloaded,
    TimedOut,
    UsageError,
)
from harness_core.doors.limits import Limits
from tests.doors.conftest import House, open_house


async def call(endpoint: Endpoint, method: str, timeout: float = 5.0, **params: Any) -> Any:
    return await asyncio.to_thread(fast.call, endpoint, method, params, timeout)


async def test_answers_of_every_size(house: House) -> None:
    for size in (0, 1, 1000, 500_000):
        assert (await call(house.endpoint, "echo", value="é" * (size // 2)))["value"] == "é" * (size // 2)


async def test_text_that_is_no_unicode_passes_and_what_is_too_large_is_said_to_be(house: House) -> None:
    assert (await call(house.endpoint, "echo", value=[1]))["value"] == [1]
    with pytest.raises(HarnessError, match="not JSON"):
        await call(house.endpoint, "echo", value="\udc80")
    with pytest.raises(UsageError, match="at most 1048576"):
        await call(house.endpoint, "echo", value="x" * (1 << 20))


async def test_errors_come_back_as_what_they_are(house: House) -> None:
    with pytest.raises(NotFound, match="no operation is called 'nothing'"):
        await call(house.endpoint, "nothing")
    with pytest.raises(InternalError) as caught:
        await call(house.endpoint, "break")
    assert caught.value.data["request"] in caught.value.hint


async def test_an_answer_that_does_not_come_in_time(house: House) -> None:
    with pytest.raises(TimedOut, match="no answer in time"):
        await call(house.endpoint, "gate", timeout=0.3)
    await house.until(lambda: bool(house.cancelled))


async def test_an_overloaded_daemon_is_asked_again(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(local_requests=20.0, local_requests_burst=1.0)) as house:
        for number in range(4):
            assert (await call(house.endpoint, "echo", value=number))["value"] == number
    async with open_house(tmp_path / "slow", Limits(local_requests=0.01, local_requests_burst=1.0)) as house:
        await call(house.endpoint, "echo")
        with pytest.raises(Overloaded):
            await call(house.endpoint, "echo")


def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        endpoint = Endpoint("127.0.0.1", sock.getsockname()[1], "t", trustme.CA().cert_pem.bytes().decode())
        with pytest.raises(DaemonUnreachable, match="connection refused"):
            fast.call(endpoint, "hello")


def test_a_host_that_cannot_be_found() -> None:
    endpoint = Endpoint("nowhere.invalid", 9443, "t", trustme.CA().cert_pem.bytes().decode())
    with pytest.raises(DaemonUnreachable, match=r"cannot reach the daemon at https://nowhere\.invalid:9443"):
        fast.call(endpoint, "hello")


async def test_proxies_of_the_environment_are_passed_by(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await call(house.endpoint, "echo", value=1))["value"] == 1


@contextmanager
def impostor(answer: bytes, *, tls: bool = True) -> Iterator[Endpoint]:
    """A server with a certificate that the endpoint trusts, which says ``answer`` to whatever it is asked."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            plain, _ = listener.accept()
            with plain:
                if not tls:
                    plain.recv(65536)
                    plain.sendall(answer)
                    return
                with context.wrap_socket(plain, server_side=True) as sock:
                    sock.recv(65536)
                    sock.sendall(answer)
        except OSError:
            pass  # the client left as soon as it had seen enough

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", listener.getsockname()[1], "t", authority.cert_pem.bytes().decode())
    finally:
        with socket.socket() as knock:
            knock.connect_ex(listener.getsockname())
        listener.close()
        thread.join(5)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{", "no length"),
        (b"220 mail.example ESMTP\r\nContent-Length: 0\r\n\r\n", "cannot"),
        (OK % (2, b"{}"), "cannot understand"),
        (OK % (2, b"[]"), "cannot understand"),
        (OK % (4, b"\xff\xfe{}"), "cannot understand"),
        (OK % (12, b'{"error": 5}'), "cannot understand"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 5\r\n\r\nhello", "HTTP 502"),
    ],
)
def test_answers_that_make_no_sense(answer: bytes, said: str) -> None:
    with impostor(answer) as endpoint, pytest.raises(HarnessError, match=said):
        fast.call(endpoint, "hello", timeout=5)


def test_something_that_does_not_speak_tls() -> None:
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with impostor(answer, tls=False) as endpoint, pytest.raises(DaemonUnreachable, match="does not speak TLS"):
        fast.call(endpoint, "hello", timeout=5)


def test_an_error_of_a_newer_daemon_is_still_told() -> None:
    body = b'{"error": {"code": -1, "message": "cannot fly", "data": {"code": "wings", "hint": "walk"}}}'
    with impostor(OK % (len(body), body)) as endpoint, pytest.raises(HarnessError, match="cannot fly") as caught:
        fast.call(endpoint, "hello", timeout=5)
    assert caught.value.hint == "walk"


def test_the_short_way_imports_nothing_heavy() -> None:
    program = "import sys, harness_core.client.fast, harness_core.client.locate\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "websockets", "asyncio", "dataclasses", "inspect", "pathlib", "subprocess", "email", "http"}
    assert heavy.isdisjoint(done.stdout.split())
