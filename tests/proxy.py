"""A proxy in front of a Unix socket, to freeze, cut and refuse what passes through it while the server itself lives."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from pathlib import Path
from socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket

__all__ = ["Proxy"]


class Proxy:
    """Passes bytes on in a thread of its own, until ``close``."""

    def __init__(self, path: Path, server: Path) -> None:
        self.path = path
        self.server = server
        #: connections that were made through it so far
        self.accepted = 0
        self._frozen = False
        self._peers: dict[socket, socket] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._orders: list[str] = []
        self._done = threading.Event()
        self._listener = socket(AF_UNIX, SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(128)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """For ``DOCKER_HOST``."""
        return f"unix://{self.path}"

    def freeze(self) -> None:
        """Nothing passes any more; connections stay, and new ones are made and not answered."""
        self._order("freeze")

    def thaw(self) -> None:
        self._order("thaw")

    def cut(self) -> None:
        """All connections break; new ones are served."""
        self._order("cut")

    def refuse(self) -> None:
        """All connections break, and nobody listens any more."""
        self._order("refuse")

    def serve(self) -> None:
        """Listen again."""
        self._order("serve")

    def close(self) -> None:
        self._order("close")
        self._thread.join(10)
        for fd in (self._wake, self._waker):
            os.close(fd)

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────────

    def _order(self, order: str) -> None:
        self._done.clear()
        self._orders.append(order)
        os.write(self._waker, b"x")
        assert self._done.wait(10), f"the proxy did not {order}"

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == self._wake:
                    os.read(self._wake, 1)
                    if self._obey(self._orders.pop(0)):
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket) and not self._frozen:
                    self._pass(key.fileobj)
            while self._frozen:  # only orders are heard: what is readable stays so, and would make a busy loop
                os.read(self._wake, 1)
                if self._obey(self._orders.pop(0)):
                    return

    def _obey(self, order: str) -> bool:
        if order in ("cut", "refuse", "close"):
            for one in list(self._peers):
                self._drop(one)
        if order in ("refuse", "close"):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._listener)
            self._listener.close()
            self.path.unlink(missing_ok=True)
        if order == "serve":
            self._listener = socket(AF_UNIX, SOCK_STREAM)
            self._listener.bind(str(self.path))
            self._listener.listen(128)
            self._selector.register(self._listener, selectors.EVENT_READ)
        if order == "close":
            self._frozen = False
            self._selector.close()
        else:
            self._frozen = order == "freeze"
        self._done.set()
        return order == "close"

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        upstream = socket(AF_UNIX, SOCK_STREAM)
        try:
            upstream.connect(str(self.server))
        except OSError:
            client.close()
            upstream.close()
            return
        self._peers[client], self._peers[upstream] = upstream, client
        for one in (client, upstream):
            self._selector.register(one, selectors.EVENT_READ)

    def _pass(self, one: socket) -> None:
        peer = self._peers.get(one)
        if peer is None:
            return
        try:
            data = one.recv(1 << 18)
            if data:
                peer.sendall(data)
            else:
                self._selector.unregister(one)
                peer.shutdown(SHUT_WR)
                if not self._still_read(peer):
                    self._drop(one)
        except OSError:
            self._drop(one)

    def _still_read(self, one: socket) -> bool:
        return one in self._selector.get_map()

    def _drop(self, one: socket) -> None:
        peer = self._peers.pop(one, None)
        if peer is not None:
            self._peers.pop(peer, None)
        for each in (one, peer):
            if each is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()
