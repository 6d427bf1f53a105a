"""Our end of a WebSocket against another implementation of the other end."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from harness_core.client import websocket
from harness_core.client.websocket import Refused, WebSocket, WebSocketLost

Handler = Callable[[ServerConnection], None]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def talking(
    authority: trustme.CA, handler: Handler, protocol: str = "harness.v1", size: int = 1 << 20
) -> Iterator[WebSocket]:
    """A connection to a server that answers with ``handler``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serve(
        handler, "127.0.0.1", 0, ssl=context, subprotocols=[Subprotocol("harness.v1")], compression=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            one = _open(authority, server.socket.getsockname()[1], protocol, size)
            try:
                yield one
            finally:
                one.close()
        finally:
            server.shutdown()
            thread.join()


def _open(authority: trustme.CA, port: int, protocol: str, size: int) -> WebSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="localhost")
    try:
        return WebSocket.open(sock, f"localhost:{port}", "/", {}, protocol=protocol, max_size=size)
    except BaseException:
        sock.close()
        raise


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_messages_of_all_lengths_both_ways(authority: trustme.CA, length: int) -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)
            connection.send(str(message).encode())

    with talking(authority, echo) as one:
        one.send(b"x" * length)
        assert one.receive(5) == "x" * length
        assert one.receive(5) == b"x" * length


def test_pieces_are_put_together_and_pings_answered_in_between(authority: trustme.CA) -> None:
    alive = threading.Event()

    def speak(connection: ServerConnection) -> None:
        if connection.ping().wait(5):
            alive.set()
        connection.send(["one ", "two ", "three"])

    with talking(authority, speak) as one:
        assert one.receive(5) == "one two three"
        assert alive.is_set()


def test_the_end_carries_code_and_reason(authority: trustme.CA) -> None:
    with talking(authority, lambda connection: connection.close(1008, "the token ended")) as one:
        with pytest.raises(WebSocketLost) as lost:
            one.receive(5)
        assert (lost.value.code, lost.value.reason) == (1008, "the token ended")
        with pytest.raises(WebSocketLost):
            one.send(b"too late")


def test_waiting_ends_in_time(authority: trustme.CA) -> None:
    with talking(authority, lambda connection: connection.recv(5) and None) as one:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            one.receive(0.05)
        assert time.monotonic() - began < 2
        one.send(b"done")


def test_a_peer_that_gives_no_sign_of_life_is_lost(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_QUIET", 0.05)
    quiet = threading.Event()

    def deaf(connection: ServerConnection) -> None:
        with connection.protocol_mutex:  # cannot even answer pings
            quiet.wait(5)

    with talking(authority, deaf) as one:
        try:
            with pytest.raises(WebSocketLost):
                one.receive()
        finally:
            quiet.set()


def test_a_quiet_peer_that_answers_is_waited_for(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_QUIET", 0.02)

    def late(connection: ServerConnection) -> None:
        with pytest.raises(TimeoutError):
            connection.recv(0.3)
        connection.send("at last")

    with talking(authority, late) as one:
        assert one.receive() == "at last"


def test_too_much_is_not_taken(authority: trustme.CA) -> None:
    much = lambda connection: connection.send("x" * 2000)  # noqa: E731 - a handler of one line
    with talking(authority, much, size=1000) as one, pytest.raises(WebSocketLost):
        one.receive(5)


def test_leaving_tells_the_peer(authority: trustme.CA) -> None:
    codes: list[int] = []

    def listen(connection: ServerConnection) -> None:
        try:
            connection.recv(5)
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else 0)

    with talking(authority, listen) as one:
        one.close()
        one.close()
    assert codes == [1000]


def test_a_server_that_refuses_is_heard_out(authority: trustme.CA) -> None:
    with pytest.raises(Refused) as refused, talking(authority, lambda _: None, protocol="other"):
        pass
    assert refused.value.status == 400
    assert b"subprotocol" in refused.value.body
