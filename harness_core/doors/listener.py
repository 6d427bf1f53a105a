"""The listening socket: which address and port, who is let in how fast, and how it all ends.

uvicorn's protocol classes speak HTTP and WebSocket; its ``Server`` is not used, because a daemon needs what that lacks:
a bound on connections before TLS, deadlines for them, no timer that ticks, no signal handlers, no ``sys.exit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from harness_core.domain.errors import Conflict, HarnessError
from harness_core.doors.arrivals import Arrival, Arrivals
from harness_core.doors.limits import Limits
from harness_core.doors.wire import websocket_protocol

__all__ = ["DEFAULT_PORT", "Listener", "bind"]

_log = logging.getLogger("harness.doors.listener")

DEFAULT_PORT = 9443
_BACKLOG = 256
#: bytes that may wait for a peer inside a connection before its writers wait
_WRITE_BUFFER = 64 << 10
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: a source that fails handshakes is told of once in so many seconds
_QUIET = 60.0
_MOST_SOURCES = 1024


def bind(host: str, port: int | None) -> socket.socket:
    """A bound socket: ``port``, or without one 9443 and, when that is taken, any free one.

    Raises ``Conflict`` naming the holder when an explicit port is taken, ``HarnessError`` when ``host`` is not ours.
    """
    try:
        return _bound(host, DEFAULT_PORT if port is None else port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port is None:
            return _bound(host, 0)
        if error.errno == errno.EADDRINUSE:
            holder = _holder(port or 0)
            raise Conflict(
                f"cannot listen on {host}:{port}: {holder or 'another program'} holds it",
                hint="stop it, or leave the port out: a free one is chosen",
                data={"holders": [holder] if holder else []},
            ) from None
        raise HarnessError(
            f"cannot listen on {host}:{port or DEFAULT_PORT}: {(error.strerror or str(error)).lower()}",
            hint="use an address of this machine",
        ) from None


class Listener:
    """Serves ``app`` over TLS on ``sock``, from ``open`` to ``close``."""

    def __init__(self, app: ASGIApp, context: ssl.SSLContext, sock: socket.socket, limits: Limits) -> None:
        self._context = context
        self._socket = sock
        host, port = sock.getsockname()[:2]
        #: host and port that are listened on
        self.address: tuple[str, int] = (host, port)
        self._limits = limits
        self._arrivals = Arrivals(limits)
        self._state = ServerState()
        self._greetings: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._told: dict[str, float] = {}
        self._config = uvicorn.Config(
            app,
            http=H11Protocol,
            ws=websocket_protocol(limits),
            ws_max_size=limits.message_bytes,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,  # it logs strangers' bytes; what matters is logged by us
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=limits.header_bytes,
        )

    @property
    def connections(self) -> int:
        """Open connections, those that were not admitted yet left out."""
        return self._arrivals.inside

    async def open(self) -> None:
        self._config.load()
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        """Stop accepting, tell WebSockets to come back (1012), and give what runs ``limits.closing`` seconds to end."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        self._socket.close()
        self._arrivals.drop(all=False)
        for protocol in list(self._state.connections):
            protocol.shutdown()
        if not await self._arrivals.wait_empty(self._limits.closing / 2):
            self._arrivals.drop(all=True)
            await self._arrivals.wait_empty(self._limits.closing / 4)
        leftover = [*self._state.tasks, *self._greetings]
        if leftover:
            await asyncio.wait(leftover, timeout=self._limits.closing / 4)
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    _log.warning("cannot accept connections for the moment: %s", error.strerror)
                    await asyncio.sleep(0.2)
                continue  # anything else ended that one connection before we had it
            arrival = self._arrivals.enter(address[0])
            task = asyncio.create_task(self._greet(sock, arrival))
            arrival.shaking_hands(task.cancel)
            self._greetings.add(task)
            task.add_done_callback(self._greetings.discard)

    async def _greet(self, sock: socket.socket, arrival: Arrival) -> None:
        """The TLS handshake, after which uvicorn has the connection."""
        _set_options(sock, self._limits.write_deadline)

        def protocol() -> asyncio.Protocol:
            return _Protocol(self._config, self._state, arrival)

        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.greeting,
                ssl_shutdown_timeout=self._limits.closing / 2,
            )
        except OSError as error:
            arrival.gone()
            self._tell(arrival.source, error)
            return
        except asyncio.CancelledError:
            arrival.gone()
            sock.close()
            raise
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        arrival.connected(_Connection(transport, sock), self._limits.greeting)

    def _tell(self, source: str, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told.get(source, -_QUIET) < _QUIET:
            return
        if len(self._told) >= _MOST_SOURCES:
            self._told.clear()
        self._told[source] = now
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        _log.info("a connection from %s did not get through TLS: %s", source, reason)


class _Connection:
    """A TLS connection that can be ended at once, also when uvicorn is closing it already."""

    def __init__(self, transport: asyncio.Transport, sock: socket.socket) -> None:
        self._transport = transport
        self._socket = sock

    def cut(self) -> None:
        try:
            self._transport.abort()
        except AttributeError:
            # a TLS transport of asyncio that was closed twice has lost its way to the socket; it notices this instead
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def unsent(self) -> int:
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol; every request finds its connection as ``scope["state"]["arrival"]``."""

    def __init__(self, config: uvicorn.Config, state: ServerState, arrival: Arrival) -> None:
        super().__init__(config, state, {"arrival": arrival})
        self._arrival = arrival

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.gone()
        super().connection_lost(exc)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a past daemon may linger
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(cast("Any", address))
        # a second listener can bind beside us until one of the two listens
        sock.listen(1)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, write_deadline: float) -> None:
    """The kernel drops a peer that acknowledges nothing, even when we have nothing more to write to it."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(write_deadline * 1000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _holder(port: int) -> str:
    """Who listens on ``port``, as "name (pid N)"; "" when that cannot be seen."""
    import psutil  # only needed for this sentence

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
