"""Many at once: followers that stop reading, two hundred who come back, a thousand who say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from harness_core.client import resume, trust
from harness_core.client.api import Client
from harness_core.client.endpoint import Endpoint
from harness_core.domain.errors import HarnessError
from harness_core.domain.protocol import decode_binary
from tests.faults.lab import Lab, until

pytestmark = pytest.mark.e2e

EACH = 50
KEY = "s/ticker:stdout"
#: one tells the time a hundred times a second, to those who listen; the other writes more than anybody's buffers hold
TICKER = "import sys, time\\nwhile True: print(time.monotonic_ns(), 'x' * 80, flush=True); time.sleep(0.01)\\n"
SERVICES = f"""
services:
  ticker: {{target: {{type: process, binary: python3, args: [-c, "{TICKER}"]}}}}
  flood: {{target: {{type: process, shell: 'while :; do head -c 2000000 /dev/zero; sleep 0.1; done'}}}}
"""


def request(name: str) -> str:
    params = {"names": [name], "tail": 0, "follow": True}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "logs.follow", "params": params})


@dataclass
class Follower:
    """One that reads all it is sent, and notes how old it was and where it stood in the stream."""

    ages: list[float] = field(default_factory=list)
    first: int | None = None
    data: bytearray = field(default_factory=bytearray)

    async def follow(self, client: ClientConnection) -> None:
        await client.send(request("ticker"))
        with contextlib.suppress(ConnectionClosed):
            async for message in client:
                if isinstance(message, bytes):
                    self._take(message)

    def _take(self, message: bytes) -> None:
        header, payload = decode_binary(message)
        now = time.monotonic_ns()
        if self.first is None:
            self.first = int(header["offset"])
        assert header["offset"] == self.first + len(self.data), "nothing is left out and nothing comes twice"
        self.data += payload
        newest = bytes(payload).rpartition(b"\n")[0].rpartition(b"\n")[2].partition(b" ")[0]
        if newest.isdigit():
            self.ages.append((now - int(newest)) / 1e9)


def websocket(endpoint: Endpoint) -> Any:
    return connect(
        f"wss://{endpoint.host}:{endpoint.port}/ws",
        ssl=trust.tls_context(endpoint),
        subprotocols=[Subprotocol("harness.v1")],
        additional_headers={"Authorization": f"Bearer {endpoint.token}"},
        compression=None,
        proxy=None,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
    )


def stuck(endpoint: Endpoint) -> ssl.SSLSocket:
    """A follower that reads nothing after its first answer, with the little room that a kernel gives at least."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(10)
    plain.connect((endpoint.host, endpoint.port))
    sock = trust.tls_context(endpoint).wrap_socket(plain, server_hostname=endpoint.host)
    head = (
        f"GET /ws HTTP/1.1\r\nHost: {endpoint.host}:{endpoint.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: harness.v1\r\nAuthorization: Bearer {endpoint.token}\r\n\r\n"
    )
    sock.sendall(head.encode())
    assert b" 101 " in sock.recv(4096)
    sock.sendall(Frame(Opcode.TEXT, request("flood").encode()).serialize(mask=True))
    return sock


def p99(ages: list[float]) -> float:
    return statistics.quantiles(ages, n=100)[98]


@contextlib.contextmanager
def closing_all(sockets: list[Any]) -> Iterator[list[Any]]:
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.timeout(120)
async def test_fifty_that_stop_reading_beside_fifty_healthy_ones(lab: Lab) -> None:
    lab.stack(SERVICES)
    lab.boot()
    lab.start()
    endpoint = lab.client.endpoint
    daemon = psutil.Process(lab.card()["pid"])
    followers = [Follower() for _ in range(EACH)]
    async with contextlib.AsyncExitStack() as stack:
        tasks = [
            asyncio.create_task(one.follow(await stack.enter_async_context(websocket(endpoint)))) for one in followers
        ]
        await heard(followers, 50)  # all are there, and past their first breath
        for one in followers:
            one.ages.clear()
        await heard(followers, 200)
        alone = p99([age for one in followers for age in one.ages])
        resident = daemon.memory_info().rss
        for one in followers:
            one.ages.clear()
        with closing_all(await asyncio.to_thread(lambda: [stuck(endpoint) for _ in range(EACH)])):
            began, most = time.monotonic(), resident
            while (connections := await asyncio.to_thread(connections_of, lab)) > EACH + 1:
                most = max(most, daemon.memory_info().rss)
                assert time.monotonic() - began < 30, f"{connections} connections are still open"
                await asyncio.sleep(0.1)
            dropped = time.monotonic() - began
        beside = p99([age for one in followers for age in one.ages])
        await asyncio.to_thread(lab.stop)
        stored = lab.output("ticker")
        async with asyncio.timeout(20):
            while any((one.first or 0) + len(one.data) < len(stored) for one in followers):
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(
        f"p99 alone {alone * 1e3:.1f} ms, beside {EACH} stuck {beside * 1e3:.1f} ms; "
        f"dropped after {dropped:.1f} s; memory +{(most - resident) / 2**20:.1f} MiB"
    )
    assert all(stored[one.first :] == one.data for one in followers), "what arrived is what is stored"
    assert most - resident <= 64 << 20
    assert dropped <= 10
    # below this a busy machine's scheduler is measured, not the daemon
    assert beside <= 2 * max(alone, 0.05)
    assert resumed(lab.client, len(stored) // 2) == stored[len(stored) // 2 :]


async def heard(followers: list[Follower], times: int) -> None:
    """Until each has heard the ticker so many times."""
    async with asyncio.timeout(30):
        while any(len(one.ages) < times for one in followers):
            await asyncio.sleep(0.05)


def connections_of(lab: Lab) -> int:
    return int(lab.client.call("daemon.status")["connections"])


def resumed(client: Client, offset: int) -> bytes:
    """What a follower gets that comes back with the place it had reached."""
    data = bytearray()
    with client.stream("logs.follow", {"names": ["ticker"], "tail": None, "cursors": {KEY: offset}}) as stream:
        for header, payload in stream:
            assert header["offset"] == offset + len(data)
            data += payload
    return bytes(data)


# ── two hundred who come back ────────────────────────────────────────────────────────────────────────────────────────


class Watcher(threading.Thread):
    """Follows the journal through the death of its daemon, until it has seen an event that says so."""

    def __init__(self, client: Client, last: str) -> None:
        super().__init__()
        self._client, self._last = client, last
        self.seen: list[int] = []
        self.ended: str = ""

    def run(self) -> None:
        try:
            for event in resume.follow(self._client, "events.follow", {"after": 0}):
                self.seen.append(int(event["seq"]))
                if event["service"] == self._last and event["type"] == "started":
                    return
        except HarnessError as error:
            self.ended = str(error)


@pytest.mark.timeout(120)
def test_two_hundred_followers_of_a_daemon_that_was_killed_all_come_back(lab: Lab) -> None:
    lab.stack(
        "services:\n"
        "  before: {target: {type: process, shell: exec sleep 1000}}\n"
        "  after: {target: {type: process, shell: exec sleep 1000}, enabled: false}\n"
    )
    lab.boot()
    lab.start()
    watchers = [Watcher(lab.client, "s/after") for _ in range(200)]
    for watcher in watchers:
        # the first connection of a follower has to succeed, and a crowd that nobody knows yet is thinned out
        watcher.start()
        until(lambda watcher=watcher: watcher.seen or watcher.ended, "it to follow")  # type: ignore[misc]
    assert {watcher.ended for watcher in watchers} == {""}
    lab.kill()
    lab.boot()
    began = time.monotonic()
    until(lambda: connections_of(lab) > 200, "all to have come back", 30)
    took = time.monotonic() - began
    with lab.client.service_start(names=["after"]) as stream:
        assert stream.result["ok"]
    for watcher in watchers:
        watcher.join(30)
    print(f"200 were back after {took:.1f} s")
    assert {watcher.ended for watcher in watchers} == {""}
    assert took <= 10
    whole = [event["seq"] for event in lab.told()]
    for watcher in watchers:
        assert watcher.seen == whole[: len(watcher.seen)], "every event once, in order, over both daemons"


# ── a thousand who say nothing ───────────────────────────────────────────────────────────────────────────────────────


def idle(endpoint: Endpoint, *, tls: bool) -> socket.socket:
    plain = socket.create_connection((endpoint.host, endpoint.port), timeout=10)
    if not tls:
        return plain
    with contextlib.suppress(OSError):
        # it may be pushed out in the middle: that is what is meant to happen
        return trust.tls_context(endpoint).wrap_socket(plain, server_hostname=endpoint.host)
    return plain


@pytest.mark.timeout(120)
def test_a_thousand_idle_connections_keep_nobody_out(lab: Lab) -> None:
    lab.boot()
    endpoint = lab.client.endpoint
    times = []
    with closing_all([]) as crowd:
        for number in range(1000):
            crowd.append(idle(endpoint, tls=number % 2 == 0))
            if number % 10 == 9:
                began = time.monotonic()
                assert lab.client.call("hello")["role"] == "admin"
                times.append(time.monotonic() - began)
        process = psutil.Process(lab.card()["pid"])
        assert process.num_fds() < 200, "they were pushed out, not kept"
    print(f"100 requests among 1000 idle connections: p99 {p99(times) * 1e3:.0f} ms")
    assert p99(times) < 1.0
