"""The keeper's ear: a Unix socket for the daemon, and for nobody of another user."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from .wire import MAX_LINE, decode, encode, peer, short_path

__all__ = ["Connection", "listen"]

#: a client that lets this much pile up does not read any more
_MAX_UNSENT = 16 << 20
_CHUNK = 1 << 16


def listen(directory: str) -> socket.socket:
    """Make the socket, mode 0600; one left by a dead keeper is replaced. Call it with the lock held."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd, path = short_path(directory)
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        listener.listen(64)
    finally:
        os.umask(mask)
        os.close(fd)
    listener.setblocking(False)
    return listener


class Connection:
    """One client. Bounded both ways: too long a line, or not reading what is sent, ends it."""

    def __init__(self, sock: socket.socket, handle: Callable[[Connection, dict[str, Any]], dict[str, Any]]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._handle = handle
        self._unread = bytearray()
        self._unsent = bytearray()
        self.closed = False
        #: what this client wants to be told of, once each: key to the ends it knows, by stream
        self.watches: dict[str, dict[str, int]] = {}

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def wants_write(self) -> bool:
        return bool(self._unsent)

    def allowed(self) -> bool:
        """The same user, or root."""
        return peer(self._sock)[1] in (0, os.geteuid())

    def readable(self) -> None:
        """Take what came and answer every whole request."""
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._unread += data
        *lines, rest = self._unread.split(b"\n") if b"\n" in data else [self._unread]
        self._unread = rest
        for line in lines:
            self._request(line)
        if len(self._unread) > MAX_LINE:
            self.close()

    def writable(self) -> None:
        """Send what the socket takes now."""
        if self.closed or not self._unsent:
            return
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del self._unsent[:sent]

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message and send what goes at once."""
        if self.closed:
            return
        self._unsent += encode(message)
        self.writable()
        if len(self._unsent) > _MAX_UNSENT:
            self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._sock.close()

    def _request(self, line: bytes | bytearray) -> None:
        try:
            request = decode(line)
        except ValueError:
            self.close()  # whoever speaks something else is not the daemon
            return
        answer = self._handle(self, request)
        self.send({"id": request.get("id"), **answer})
