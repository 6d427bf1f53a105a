"""The client's end of a WebSocket (RFC 6455) on the standard library alone.

It is as much of the protocol as our own door speaks: no extensions, one subprotocol. A library would do more, but its
import takes longer than a whole command does, and its reading thread would stand between a line and the terminal.
"""

from __future__ import annotations

import base64
import os
import select
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha1

__all__ = ["Refused", "WebSocket", "WebSocketLost"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_CHUNK = 1 << 16
_MAX_HEAD = 64 << 10
#: silence after which the peer is asked for a sign of life, and how long it may take to give one
_QUIET = 20.0
#: a peer that takes nothing for so long is lost
_SEND_DEADLINE = 30.0


class WebSocketLost(Exception):
    """The connection is over; ``code`` and ``reason`` are the peer's, 0 and "" when it said nothing."""

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(reason or "the connection was lost")
        self.code = code
        self.reason = reason


class Refused(Exception):
    """The peer answered the request for a WebSocket with something else; ``status`` is 0 for what is no HTTP."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body


class WebSocket:
    """An open connection. One thread receives; others may send and close meanwhile."""

    def __init__(self, sock: ssl.SSLSocket, unread: bytes, max_size: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._fd = sock.fileno()
        # OpenSSL's connections are not for two threads at once: nothing that waits is done under this lock
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._unread = bytearray(unread)
        self._max_size = max_size
        self._closed = False

    @classmethod
    def open(
        cls, sock: ssl.SSLSocket, host: str, path: str, headers: Mapping[str, str], *, protocol: str, max_size: int
    ) -> WebSocket:
        """Shake hands on a connection, within the socket's own timeout. Raises ``Refused`` or ``OSError``."""
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key.decode()}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {protocol}", *(f"{name}: {value}" for name, value in headers.items())]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += _some(sock)
            if len(data) > _MAX_HEAD:
                raise Refused(0, b"")
        status, answered = _head(bytes(data[:end]))
        rest = bytes(data[end + 4 :])
        if status != 101:
            raise Refused(status, _body(sock, rest, answered))
        accept = base64.b64encode(sha1(key + _GUID).digest())  # noqa: S324 - what the RFC asks for; protects nothing
        if answered.get(b"sec-websocket-accept") != accept:
            raise Refused(0, b"")
        return cls(sock, rest, max_size)

    def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message. Raises ``TimeoutError`` after ``timeout`` seconds, ``WebSocketLost`` at the end.

        Without a timeout it waits as long as the peer shows signs of life.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pieces: list[bytes] = []
        kind = size = 0
        while True:
            final, opcode, payload = self._frame(deadline, size)
            if opcode >= _CLOSE:
                self._control(opcode, payload)
                continue
            if (opcode == _CONTINUATION) != bool(pieces):
                raise self._broken()
            kind = opcode or kind
            pieces.append(payload)
            size += len(payload)
            if final:
                message = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                return message.decode() if kind == _TEXT else message

    def send(self, text: bytes) -> None:
        """Send a text message. Raises ``WebSocketLost``."""
        self._send(_TEXT, text)

    def close(self) -> None:
        """Say goodbye and leave. Idempotent; what is on its way is not waited for."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with suppress(OSError):  # gone, or busy with a message: the end of the connection says the same
                self._sock.send(_masked(_CLOSE, struct.pack("!H", 1000)))
            self._sock.close()

    def _frame(self, deadline: float | None, before: int) -> tuple[bool, int, bytes]:
        first, second = self._take(2, deadline)
        length = second & 0x7F
        if first & 0x70 or second & 0x80:  # extensions that nobody asked for; a server that masks
            raise self._broken()
        if length >= 126:
            wide = 2 if length == 126 else 8
            length = int.from_bytes(self._take(wide, deadline), "big")
        if before + length > self._max_size:
            raise self._broken()
        return bool(first & 0x80), first & 0x0F, self._take(length, deadline)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self.close()
            raise WebSocketLost(code, payload[2:].decode("utf-8", "replace"))
        elif opcode != _PONG:
            raise self._broken()

    def _broken(self) -> WebSocketLost:
        self.close()
        return WebSocketLost()

    def _take(self, count: int, deadline: float | None) -> bytes:
        unread = self._unread
        while len(unread) < count:
            self._fill(deadline)
        data = bytes(unread[:count])
        del unread[:count]
        return data

    def _fill(self, deadline: float | None) -> None:
        """Read some more, waiting for it. A peer that is quiet for long is asked whether it is there."""
        asked = False
        while True:
            wait_for = select.POLLIN
            with self._lock:
                if self._closed:
                    raise WebSocketLost
                try:
                    data = self._sock.recv(_CHUNK)
                except ssl.SSLWantReadError:
                    data = None
                except ssl.SSLWantWriteError:
                    data, wait_for = None, select.POLLOUT
                except OSError:
                    data = b""
            if data:
                self._unread += data
                return
            if data is not None:
                raise self._broken()
            left = _QUIET if deadline is None else min(_QUIET, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError
            if self._wait(wait_for, left) or (deadline is not None and time.monotonic() >= deadline):
                continue
            if asked:
                raise self._broken()
            self._send(_PING, b"")
            asked = True

    def _send(self, opcode: int, payload: bytes) -> None:
        data = memoryview(_masked(opcode, payload))
        deadline = time.monotonic() + _SEND_DEADLINE
        with self._sending:  # one message after the other, also where one does not fit at once
            while data:
                wait_for = select.POLLOUT
                with self._lock:
                    if self._closed:
                        raise WebSocketLost
                    try:
                        data = data[self._sock.send(data) :]
                        continue
                    except ssl.SSLWantWriteError:
                        pass
                    except ssl.SSLWantReadError:
                        wait_for = select.POLLIN
                    except OSError:
                        raise WebSocketLost from None
                left = deadline - time.monotonic()
                if left <= 0 or not self._wait(wait_for, left):
                    raise self._broken()

    def _wait(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, event)
        return bool(poll.poll(seconds * 1000))


def _masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame as a client sends it."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    mask = os.urandom(4)
    # one operation on a large number instead of one on each byte
    stream = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ stream).to_bytes(length, "big")


def _some(sock: ssl.SSLSocket) -> bytes:
    data = sock.recv(_CHUNK)
    if not data:
        raise ConnectionResetError("the daemon closed the connection")
    return data


def _head(data: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = data.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Refused(0, b"")
    pairs = (line.partition(b":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _body(sock: ssl.SSLSocket, data: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    length = headers.get(b"content-length", b"")
    wanted = min(int(length), _MAX_HEAD) if length.isdigit() else 0
    while len(data) < wanted:
        data += _some(sock)
    return data[:wanted]
