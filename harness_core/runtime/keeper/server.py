"""The keeper's loop: who is to be heard, moved, reaped and told, with nothing done while nothing happens."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from .children import Instance, Refused, reserve_low_fds
from .control import Connection, listen
from .failpoints import failpoint
from .procfs import boot_id, read_stat
from .services import Services
from .streams import Mover
from .wire import PROTOCOL

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """One keeper process. Holds no decisions: it spawns, watches, reports and moves bytes."""

    def __init__(self, directory: str, *, idle_exit: float, splice: bool) -> None:
        self._directory = directory
        self._idle_exit = idle_exit
        self._idle_since = time.monotonic()
        self._leaving = False
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._clients: set[Connection] = set()
        self._mover = Mover(splice=splice)
        self._mover_polled = True
        self._services = Services(directory, self._mover, on_exit=self._exited, on_pidfd=self._watch_pidfd)
        self._ops: dict[str, Callable[[Connection, dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "ping": lambda _client, _request: {},
            "spawn": lambda _client, request: {"instance": self._services.spawn(request)},
            "adopt": lambda _client, request: {"instance": self._services.adopt(request)},
            "lead": lambda _client, request: {"instance": self._services.lead(request)},
            "list": self._list,
            "watch": self._watch,
            "forget": self._forget,
            "leave": self._leave,
        }

    def open(self) -> None:
        """Take back what a former keeper left, then listen: a client that connects meets the whole truth."""
        self._wakeup = _wake_on_signals(self._signalled)
        self._register(self._wakeup.fileno(), lambda _mask: self._drain_wakeup())
        self._register(self._mover.fileno(), lambda _mask: self._turn())
        failpoint("keeper.recover.before")
        self._services.recover()
        failpoint("keeper.recover.after")
        self._listener = listen(self._directory)
        self._register(self._listener.fileno(), lambda _mask: self._accept())

    def run(self) -> None:
        """Until told to leave, or alone with nothing to keep."""
        while not self._leaving:
            now = time.monotonic()
            pause = self._mover.pause(now)
            self._poll_mover(pause <= 0)
            for fd, mask in self._poll.poll(self._timeout(now, pause)):
                handler = self._handlers.get(fd)
                if handler is not None:  # one before it in this batch may have closed it
                    handler(mask)
            if self._mover.retry_in(time.monotonic()) == 0:
                self._turn()
            if self._useless():
                break
        self._services.close()

    def _timeout(self, now: float, pause: float) -> float | None:
        waits = [pause] if pause > 0 else []
        retry = self._mover.retry_in(now)
        if retry is not None:
            waits.append(retry)
        if not self._clients and self._services.idle:
            waits.append(max(0.0, self._idle_since + self._idle_exit - now))
        return min(waits) if waits else None

    def _useless(self) -> bool:
        if self._clients or not self._services.idle:
            self._idle_since = time.monotonic()
            return False
        return time.monotonic() - self._idle_since >= self._idle_exit

    def _poll_mover(self, wanted: bool) -> None:
        if wanted != self._mover_polled:
            self._poll.modify(self._mover.fileno(), select.EPOLLIN if wanted else 0)
            self._mover_polled = wanted

    def _turn(self) -> None:
        self._mover.turn(time.monotonic())
        self._tell_growth()

    # what clients ask

    def _handle(self, client: Connection, request: dict[str, Any]) -> dict[str, Any]:
        op = self._ops.get(str(request.get("op")))
        try:
            if op is None:
                raise Refused(f"unknown operation {request.get('op')!r}", code="unknown-op")
            return op(client, request)
        except Refused as refused:
            return {"error": refused.data}
        except (KeyError, TypeError, ValueError) as error:
            return {"error": {"message": f"malformed request: {error!r}", "code": "request"}}
        except OSError as error:
            return {"error": {"message": str(error), "code": "system", "errno": error.errno}}

    def _hello(self, _client: Connection, _request: dict[str, Any]) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "python": sys.version.split()[0], **_identity()}

    def _list(self, _client: Connection, request: dict[str, Any]) -> dict[str, Any]:
        """All lives of one key, or the newest of each."""
        services = self._services.services
        if "key" in request:
            service = services.get(request["key"])
            return {"instances": [life.report() for life in service.lives.values()] if service is not None else []}
        newest = [service.lives[max(service.lives)] for service in services.values() if service.lives]
        return {"instances": [life.report() for life in newest]}

    def _watch(self, client: Connection, request: dict[str, Any]) -> dict[str, Any]:
        """Tell once of each key whose streams are, or come to be, longer than the client knows."""
        client.watches.update(request["keys"])
        grown = self._grown(client, request["keys"])
        return {"keys": grown}

    def _forget(self, client: Connection, request: dict[str, Any]) -> dict[str, Any]:
        key = str(request["key"])
        self._services.forget(key)
        client.watches.pop(key, None)
        return {}

    def _leave(self, _client: Connection, request: dict[str, Any]) -> dict[str, Any]:
        """Make room for another keeper; services stay. With ``idle``, only when it is of no use to anybody else."""
        alone = self._services.idle and len(self._clients) == 1
        self._leaving = alone or not request.get("idle")
        return {}

    # what clients are told

    def _exited(self, life: Instance, ends: dict[str, int]) -> None:
        for client in list(self._clients):
            client.send({"event": "exit", "instance": life.report(), "ends": ends})
            self._settle(client)

    def _tell_growth(self) -> None:
        changed, self._mover.changed = self._mover.changed, set()
        for stream in changed:
            if stream.blocked or stream.lost or not stream.splices:
                self._tell_trouble(stream.key, stream.name, stream.blocked, stream.lost, stream.splices)
        keys = {stream.key for stream in changed}
        for client in list(self._clients):
            grown = self._grown(client, keys & client.watches.keys())
            if grown:
                client.send({"event": "grew", "keys": grown})
                self._settle(client)

    def _tell_trouble(self, key: str, stream: str, blocked: int, lost: int, splices: bool) -> None:
        message = {"event": "stream", "key": key, "stream": stream, "blocked": blocked, "lost": lost, "splice": splices}
        for client in list(self._clients):
            client.send(message)
            self._settle(client)

    def _grown(self, client: Connection, keys: set[str] | dict[str, Any]) -> dict[str, dict[str, int]]:
        grown = {}
        for key in keys:
            service = self._services.services.get(key)
            ends = service.ends() if service is not None else {}
            known = client.watches[key]
            if any(end > known.get(name, 0) for name, end in ends.items()):
                grown[key] = ends
                del client.watches[key]
        return grown

    # what is polled

    def _register(self, fd: int, handler: Callable[[int], None]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.EPOLLIN)

    def _unregister(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _watch_pidfd(self, life: Instance) -> None:
        fd = life.pidfd

        def ended(_mask: int) -> None:
            self._unregister(fd)
            self._services.ended_unowned(life)

        self._register(fd, ended)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # gone again, or no fd free: the next turn shows it once more
            return
        client = Connection(sock, self._handle)
        if not client.allowed():
            client.close()
            return
        self._clients.add(client)
        fd = client.fileno()
        self._register(fd, lambda mask: self._serve(client, fd, mask))

    def _serve(self, client: Connection, fd: int, mask: int) -> None:
        if mask & select.EPOLLOUT:
            client.writable()
        if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not client.closed:
            client.readable()
        if client.closed:
            self._drop(client, fd)
        else:
            self._settle(client)

    def _settle(self, client: Connection) -> None:
        # closing the fd took it out of the poll set; only our own memory of it remains
        if client.closed:
            self._clients.discard(client)
            return
        self._poll.modify(client.fileno(), select.EPOLLIN | (select.EPOLLOUT if client.wants_write else 0))

    def _drop(self, client: Connection, fd: int) -> None:
        self._clients.discard(client)
        self._handlers.pop(fd, None)

    def _signalled(self, signum: int) -> None:
        if signum == signal.SIGTERM:
            self._leaving = True

    def _drain_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        self._services.reap()


def _wake_on_signals(handle: Callable[[int], None]) -> socket.socket:
    """Signals become bytes on a socket. Handled ones go back to their defaults in children; ignored ones would not."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    keep_ignored = {signal.SIGPIPE, signal.SIGXFSZ}  # we need these; spawning restores them for children
    for signum in signal.valid_signals() - keep_ignored:
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, _frame: handle(number))
    return reader


def _lock(directory: str) -> bool:
    """Be the only keeper here, from before the first splice until the end of this process, and say who that is."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(os.path.join(directory, "keeper.lock"), flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps(_identity()).encode())
    return True  # the fd stays open on purpose: the lock is its life


def _identity() -> dict[str, Any]:
    stat = read_stat(os.getpid())
    assert stat is not None, "we live"
    return {"pid": stat.pid, "start": stat.start, "boot_id": boot_id()}


def _say(facts: dict[str, Any]) -> None:
    """Tell the starter how it went, on stdout, which then becomes nothing so that it sees the end."""
    os.write(1, json.dumps(facts).encode() + b"\n")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def main() -> int:
    """Run a keeper. Says one JSON line on stdout: its pid once it listens, or why there is none."""
    parser = argparse.ArgumentParser(prog="harness-keeper")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--idle-exit", type=float, default=30.0)
    parser.add_argument("--no-splice", action="store_true")
    options = parser.parse_args()
    os.chdir("/")
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    reserve_low_fds()
    os.makedirs(options.dir, 0o700, exist_ok=True)
    if not _lock(options.dir):
        _say({"error": "another one holds the lock"})
        return 3
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.stderr.write("orphans of services will not come to the keeper: no subreaper here\n")
    failpoint("keeper.locked")
    keeper = Keeper(options.dir, idle_exit=options.idle_exit, splice=not options.no_splice)
    keeper.open()
    failpoint("keeper.listening")
    _say({"pid": os.getpid()})
    keeper.run()
    return 0
