"""The socket: addresses and ports, strangers who only hold connections open, and the end."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from harness_core.client import fast, trust
from harness_core.domain.errors import Conflict, HarnessError
from harness_core.doors import listener
from harness_core.doors.limits import Limits
from harness_core.doors.listener import bind

from .conftest import House, open_house
from .wire import ask, exchange, http, request, tls, websocket


def taken() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(1)
    return sock


async def test_an_explicit_port_that_is_taken_names_its_holder(tmp_path: Path) -> None:
    with taken() as sock:
        port = sock.getsockname()[1]
        with pytest.raises(Conflict, match=rf"127\.0\.0\.1:{port}: .*pid \d+") as caught:
            async with open_house(tmp_path / "state", port=port):
                pass
    assert caught.value.data["holders"]


def test_the_default_port_gives_way_to_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken() as sock:
        monkeypatch.setattr(listener, "DEFAULT_PORT", sock.getsockname()[1])
        with bind("127.0.0.1", None) as found:
            assert found.getsockname()[1] not in (0, sock.getsockname()[1])


def test_the_default_port_is_used_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with taken() as sock:
        port = sock.getsockname()[1]
    monkeypatch.setattr(listener, "DEFAULT_PORT", port)
    with bind("127.0.0.1", None) as found:
        assert found.getsockname() == ("127.0.0.1", port)


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(HarnessError, match=r"cannot listen on 192\.0\.2\.1:9443"):
        bind("192.0.2.1", None)


def test_accepted_sockets_have_a_deadline_of_the_kernel() -> None:
    with socket.socket() as sock:
        listener._set_options(sock, 10.0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_ipv6_loopback(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", host="::1") as house:
        assert house.doors.url == f"https://[::1]:{house.port}"
        endpoint = house.endpoint._replace(host="::1")
        assert await asyncio.to_thread(fast.call, endpoint, "echo", {"value": 1})


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x00" * 1000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_who_does_not_speak_tls_is_turned_away(house: House, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(said)
    async with asyncio.timeout(3):
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
    writer.transport.abort()
    assert b"HTTP" not in answer
    assert "value" in await asyncio.to_thread(fast.call, house.endpoint, "echo")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2])
async def test_older_tls_is_refused(house: House, version: ssl.TLSVersion) -> None:
    context = trust.tls_context(house.endpoint)
    context.minimum_version = context.maximum_version = version
    # the alert may be lost in the reset that follows it
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", house.port, ssl=context, server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 33_000,
        b"GET /healthz HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (n, b"v" * 100) for n in range(400)),
        b"NONSENSE\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n Folded: x\r\n\x00: y\r\n\r\n",
    ],
)
async def test_malformed_http_is_refused(house: House, sent: bytes) -> None:
    assert (await exchange(house, sent)).startswith(b"HTTP/1.1 400")


async def test_bodies_that_are_too_large_too_slow_or_of_another_kind(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(message_time=0.2)) as house:
        big = {"Content-Length": None, "Transfer-Encoding": "chunked"}
        chunks = (b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n") * 20 + b"0\r\n\r\n"
        assert (await http(house, chunks, headers=big))[0] == 413
        assert (await http(house, b'{"jsonrpc"', headers={"Content-Length": "500"}))[0] == 408
        for kind in ("text/plain", "application/x-www-form-urlencoded", "", None):
            assert (await http(house, request("echo"), headers={"Content-Type": kind}))[0] == 415


async def test_a_stream_cannot_be_had_by_post(house: House) -> None:
    _, _, body = await http(house, request("count"))
    assert "WebSocket" in body["error"]["data"]["hint"]


async def test_whoever_hangs_up_during_a_post_has_the_handler_cancelled(house: House) -> None:
    async with tls(house) as (_, writer):
        body = json.dumps(request("gate", value="post")).encode()
        writer.write(
            b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {house.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await house.until(lambda: bool(house.running))
    await house.until(lambda: house.cancelled == ["gate post"])


async def test_two_hundred_idle_tls_connections_harm_nobody(house: House) -> None:
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(tls(house)) for _ in range(200)]
        loop = asyncio.get_running_loop()
        for _ in range(20):
            began = loop.time()
            assert "value" in await asyncio.to_thread(fast.call, house.endpoint, "echo")
            assert loop.time() - began < 1.0
        dropped = [reader for reader, _ in idle if reader.at_eof() or reader.exception()]
        assert len(dropped) >= 200 - Limits().waiting
        await house.until(lambda: house.doors.connections == 0)


async def test_two_hundred_connections_that_never_begin_tls_harm_nobody(house: House) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", house.port)
            stack.callback(writer.transport.abort)
        for _ in range(20):
            assert "value" in await asyncio.to_thread(fast.call, house.endpoint, "echo")


async def test_whoever_says_nothing_is_dropped_after_the_deadline(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(greeting=0.2)) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.transport.abort()
        assert await exchange(house, b"", within=2) == b""
        assert await exchange(house, b"POST /rpc HTTP/1.1\r\nHost: 127.0", within=2) == b""
        # a public page does not buy more time
        answer = await exchange(house, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", within=2)
        assert answer.startswith(b"HTTP/1.1 200")


async def test_an_admitted_connection_outlives_that_deadline(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(greeting=0.2)) as house, websocket(house) as client:
        await ask(client, request("count", items=0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.wait_closed(), 0.4)


async def test_closing_tells_websockets_to_come_back_and_is_quick(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients:
        async with open_house(tmp_path / "state") as house:
            client = await clients.enter_async_context(websocket(house))
            await ask(client, request("count", items=0))
            idle = await clients.enter_async_context(tls(house))
            assert house.doors.connections == 1
            began = loop.time()
        assert loop.time() - began < 2.0
        await client.wait_closed()
        assert client.close_code == 1012
        assert house.cancelled == ["count"]
        assert await idle[0].read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", house.port)


async def test_closing_answers_what_is_about_to_be_answered(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as house:
        answer = asyncio.create_task(http(house, request("gate", value="late")))
        await house.until(lambda: bool(house.running))
        asyncio.get_running_loop().call_later(0.1, house.gate.set)
    status, _, body = await answer
    assert (status, body["result"]) == (200, {"value": "late"})


async def test_closing_does_not_wait_for_a_peer_that_takes_nothing(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients:
        async with open_house(tmp_path / "state") as house:
            client = await clients.enter_async_context(websocket(house, max_queue=1))
            await client.send(json.dumps(request("flood", items=1_000_000, size=60_000)))
            await house.until(lambda: house.running == ["flood"])
            began = loop.time()
        assert loop.time() - began < 2.5
        assert house.cancelled == ["flood"]
        client.transport.abort()


async def test_opening_twice_in_one_state_directory_keeps_the_credentials(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as first:
        endpoint = first.endpoint
    async with open_house(tmp_path / "state") as second:
        assert second.token == endpoint.token
        assert second.endpoint.ca == endpoint.ca
        assert "value" in await asyncio.to_thread(fast.call, endpoint._replace(port=second.port), "echo")
