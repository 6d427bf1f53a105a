"""Ports of this machine: which are free, which one a service gets that leaves the choice to us, and who has one.

All functions block, ``holder`` for some ten milliseconds and more where many processes run; call them in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
from collections.abc import Container
from dataclasses import dataclass

import psutil

from harness_core.domain.errors import Conflict

__all__ = ["FIRST", "LAST", "Holder", "choose", "holder", "is_free"]

#: where chosen ports lie: below what Linux hands out to outgoing connections by itself (32768 and up)
FIRST, LAST = 20_000, 32_767

#: a listener on any of these is in the way of a service that listens on any other of them
_ADDRESSES = (
    (socket.AF_INET, "127.0.0.1"),
    (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - bound for an instant, never listened on
    (socket.AF_INET6, "::1"),
    (socket.AF_INET6, "::"),
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port. What could not be found out, for want of rights, is ``None`` or empty."""

    port: int
    pid: int | None = None
    #: the name of the program
    command: str = ""
    user: str = ""
    #: the address it listens on
    address: str = ""

    def __str__(self) -> str:
        """``pid 812 (postgres)``; the user is named where it is another than ours."""
        if self.pid is None:
            return f"user {self.user}" if self.user else "a process that we may not look at"
        told = f"pid {self.pid} ({self.command})" if self.command else f"pid {self.pid}"
        return f"{told} of user {self.user}" if self.user and self.user != _own_user() else told

    @property
    def sentence(self) -> str:
        """``port 5432 is taken by pid 812 (postgres)``."""
        return f"port {self.port} is taken by {self}"


def is_free(port: int) -> bool:
    """Whether a service could listen there now, on every address. Connections that still linger do not count.

    It is free at this instant only; whoever binds first has it. Ports below 1024 that we may not bind count as taken
    only when somebody listens there.
    """
    return all(_can_bind(family, address, port) for family, address in _ADDRESSES)


def choose(stack: str, service: str, name: str, taken: Container[int] = frozenset()) -> int:
    """A free port for ``auto``: the same one for the same names, as long as nobody else has it.

    ``taken`` are ports promised to others, whether anybody listens there or not. Raises ``Conflict`` when all of the
    range are taken.
    """
    span = LAST - FIRST + 1
    digest = hashlib.sha256(f"{stack}/{service}/{name}".encode()).digest()
    start = int.from_bytes(digest[:8], "big") % span
    for step in range(span):
        port = FIRST + (start + step) % span
        if port not in taken and is_free(port):
            return port
    raise Conflict(
        f"cannot choose a port for {service}: all from {FIRST} to {LAST} are taken", hint="give it a number instead"
    )


def holder(port: int) -> Holder | None:
    """Who listens on a port of this machine; ``None`` when nobody does (any more)."""
    try:
        listening = [
            (found.pid, found.laddr.ip)
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port
        ]
    except psutil.AccessDenied:  # systems that tell only root
        return None if is_free(port) else Holder(port)
    if not listening:
        return None
    # several processes may share a listening socket; the oldest is the one whose name says something
    pid, address = min(listening, key=lambda one: (one[0] is None, one[0] or 0))
    return Holder(port, address=address) if pid is None else _described(port, pid, address)


def _described(port: int, pid: int, address: str) -> Holder:
    command = user = ""
    # it may end while we look, or not be ours to look at
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        with process.oneshot():
            command = process.name()
            user = process.username()
    return Holder(port, pid, command, user, address)


def _own_user() -> str:
    with contextlib.suppress(psutil.Error, KeyError):
        return psutil.Process().username()
    return ""


def _can_bind(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # as servers do: a port whose old connections are in TIME_WAIT can be listened on again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except PermissionError:
        return _nobody_answers(family, address, port)
    except OSError as error:
        # no such address or no IPv6 on this machine: then nobody can listen there
        return error.errno != errno.EADDRINUSE
    return True


def _nobody_answers(family: socket.AddressFamily, address: str, port: int) -> bool:
    """The second best way to look at a port that only root may bind."""
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(0.2)
        return client.connect_ex((address, port)) != 0
