from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from harness_core.domain.errors import Conflict
from harness_core.runtime import ports
from harness_core.runtime.ports import FIRST, LAST, Holder, choose, holder, is_free


def listener(address: str = "127.0.0.1", port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    return server


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(listener()) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::"),
    ],
)
def test_a_listener_on_any_address_is_seen(family: socket.AddressFamily, address: str) -> None:
    try:
        server = listener(address, family=family)
    except OSError:
        pytest.skip("this machine has no IPv6; enable it on the loopback interface")
    with closing(server):
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_connections_that_linger_do_not_count() -> None:
    with closing(listener()) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first lingers, and it is the server's
        client.close()
    assert is_free(port)


def test_looking_does_not_listen(unused_tcp_port: int) -> None:
    assert is_free(unused_tcp_port)
    assert holder(unused_tcp_port) is None


def test_the_choice_is_the_same_every_time_and_within_the_range() -> None:
    first = choose("shop", "api", "http")
    assert choose("shop", "api", "http") == first
    assert FIRST <= first <= LAST
    others = {choose("shop", "api", "admin"), choose("shop", "web", "http"), choose("shop-2", "api", "http")}
    assert first not in others


def test_what_is_promised_to_others_or_in_use_is_stepped_over() -> None:
    first = choose("shop", "api", "http")
    second = choose("shop", "api", "http", {first})
    assert second != first
    with closing(listener(port=first)):
        assert choose("shop", "api", "http") == second


def test_the_range_wraps_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: port == FIRST)
    assert choose("shop", "api", "http") == FIRST


def test_no_port_left_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="all from 20000 to 32767 are taken"):
        choose("shop", "api", "http", range(FIRST, LAST + 1))


def test_the_holder_of_a_port_is_named(taken: int) -> None:
    found = holder(taken)
    assert found is not None
    assert found.pid == os.getpid()
    assert found.address == "127.0.0.1"
    name = psutil.Process().name()
    assert str(found) == f"pid {os.getpid()} ({name})"
    assert found.sentence == f"port {taken} is taken by pid {os.getpid()} ({name})"


def test_another_process_is_named_too(unused_tcp_port: int) -> None:
    program = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
        "print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(unused_tcp_port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        found = holder(unused_tcp_port)
        child.send_signal(signal.SIGKILL)
    assert found is not None
    assert found.pid == child.pid
    assert found.command.startswith("python")
    assert holder(unused_tcp_port) is None


def test_a_holder_is_told_as_far_as_it_is_known() -> None:
    assert str(Holder(80)) == "a process that we may not look at"
    assert str(Holder(80, user="www")) == "user www"
    assert str(Holder(80, 812)) == "pid 812"
    assert str(Holder(80, 812, "nginx", "no-such-user")) == "pid 812 (nginx) of user no-such-user"


def test_a_port_that_only_root_may_bind_counts_as_taken_only_if_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unprivileged(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "permission denied")

    with closing(listener()) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(ports.socket, "socket", Unprivileged)
        assert not is_free(port)
    assert is_free(port)
