"""All services of one keeper: their streams, their lives, and the order in which things become known."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import limits
from .adopt import adopt
from .children import Instance, Refused, raise_fd_limit, spawn
from .failpoints import failpoint
from .procfs import boot_id, open_pidfd, read_stat
from .records import KEPT, KEY, Record, Records
from .segments import STREAMS
from .streams import Mover, Stream

__all__ = ["Service", "Services"]

#: fds kept free below the limit before it is raised
_FD_RESERVE = 64


class Service:
    """A key: its two streams, shared by all its lives, and the lives."""

    __slots__ = ("forgotten", "lives", "streams")

    def __init__(self) -> None:
        self.streams: tuple[Stream, ...] = ()
        self.lives: dict[int, Instance] = {}
        #: nobody asks for it any more, but its output must go on flowing as long as it lives
        self.forgotten = False

    def alive(self) -> Instance | None:
        return next((life for life in self.lives.values() if life.exit is None), None)

    def ends(self) -> dict[str, int]:
        """Each stream's logical end."""
        return {stream.name: stream.writer.end for stream in self.streams}


class Services:
    """What the keeper keeps. ``on_exit`` is called once an end is recorded; ``on_pidfd`` for each pidfd to watch."""

    def __init__(
        self,
        directory: str,
        mover: Mover,
        *,
        on_exit: Callable[[Instance, dict[str, int]], None],
        on_pidfd: Callable[[Instance], None],
    ) -> None:
        self._records = Records(os.path.join(directory, "instances"))
        self._mover = mover
        self._on_exit = on_exit
        self._on_pidfd = on_pidfd
        self._children: dict[int, Instance] = {}
        self._boot_id = boot_id()
        place = os.stat(directory)
        #: part of the names of our cgroups, other keepers' being beside them
        self._scope = f"harness.{place.st_ino}"
        #: part of every record, so that a copied directory does not take the original's instances
        self._place = f"{place.st_dev}:{place.st_ino}"
        self._nofile: tuple[int, int] | None = None
        self._fd_limit = os.sysconf("SC_OPEN_MAX") - _FD_RESERVE
        self.services: dict[str, Service] = {}

    def __iter__(self) -> Iterator[Instance]:
        for service in self.services.values():
            yield from service.lives.values()

    @property
    def idle(self) -> bool:
        return all(life.exit is not None for life in self)

    def recover(self) -> None:
        """Take back what a former keeper left. One unreadable record does not keep the others back."""
        for record in self._records.read_all():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                if KEY.fullmatch(record.facts["key"]) and record.facts["place"] == self._place:
                    self._take(record)

    def spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a life, or report the one of that key and epoch, which was started before."""
        key, epoch = _identity(request)
        service = self.services.get(key) or Service()
        service.forgotten = False
        if epoch in service.lives:
            return service.lives[epoch].report()
        alive = service.alive()
        if alive is not None:
            raise Refused(f"cannot start {key}: its life {alive.epoch} runs as pid {alive.pid}", code="alive")
        try:
            self._open_streams(key, service, request["logs"])
            record = self._create_record(key, epoch, request)
        except OSError as error:
            raise Refused(
                f"cannot keep the state of {key}: {error.strerror}", code="state", errno=error.errno
            ) from None
        self.services[key] = service
        try:
            life = self._spawn(service, request, record)
        except BaseException:
            record.delete()
            raise
        service.lives[epoch] = life
        self._children[life.pid] = life
        self._forget_old(key, service)
        return life.report()

    def adopt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take on a living instance of ours of which no record is left; the daemon has proven that it is ours."""
        key, epoch = _identity(request)
        service = self.services.get(key)
        if service is not None and epoch in service.lives:
            return service.lives[epoch].report()
        record = self._create_record(key, epoch, request)
        record.add({"pid": int(request["pid"]), "start": int(request["start"]), "cgroups": request["cgroups"]})
        life = self._take(record)
        assert life is not None, "a record with a pid makes an instance"
        return life.report()

    def lead(self, request: dict[str, Any]) -> dict[str, Any]:
        """Go on with the process that a start command left behind; without a ``pid``, the life ends here.

        The daemon has proven that it is the life's. Refused when it is gone by now.
        """
        key, epoch = _identity(request)
        life = self.services[key].lives[epoch]
        if not life.hands_over or not life.record.facts.get("forked"):
            return life.report()
        if request["pid"] is None:
            life.record.add({"led": False})
            self._end(life, None)
            return life.report()
        pid, start = int(request["pid"]), int(request["start"])
        pidfd = open_pidfd(pid, start)
        stat = read_stat(pid)
        if pidfd is None or stat is None:
            raise Refused(f"pid {pid} has ended", code="gone")
        failpoint("keeper.lead.before-record")
        life.record.add({"led": True, "pid": pid, "start": start})
        failpoint("keeper.lead.after-record")
        if stat.ppid == os.getpid():
            os.close(pidfd)
            self._children[pid] = life
        else:
            life.pidfd = pidfd
            self._on_pidfd(life)
        return life.report()

    def reap(self) -> None:
        """Ask for every child that has ended. The end of a life is drained and recorded before it is reaped."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            life = self._children.pop(info.si_pid, None)
            if life is None:  # an orphan of a service, ours as the subreaper
                os.waitpid(info.si_pid, 0)
                continue
            failpoint("keeper.reap.before")
            status = info.si_status << 8 if info.si_code == os.CLD_EXITED else info.si_status
            self._end(life, status)
            failpoint("keeper.reap.recorded")
            os.waitpid(info.si_pid, 0)

    def ended_unowned(self, life: Instance) -> None:
        """The pidfd of an adopted life says that it has ended."""
        self._end(life, life.seen_through_pidfd())

    def forget(self, key: str) -> None:
        """Let go of a service and of what is known of it; one that lives is let go of when it ends."""
        service = self.services.get(key)
        if service is None:
            return
        alive = service.alive()
        if alive is not None:
            service.forgotten = True
            alive.record.add({"forgotten": True})
            return
        failpoint("keeper.forget")
        del self.services[key]
        for life in service.lives.values():
            life.close()
            limits.remove(life.record.facts.get("cgroups", []))
        for stream in service.streams:
            self._mover.remove(stream)
        self._records.forget(key)

    def close(self) -> None:
        """Store what has been written so far and leave everything running."""
        for life in self:
            life.close()
        for service in self.services.values():
            for stream in service.streams:
                self._mover.remove(stream)

    def _spawn(self, service: Service, request: dict[str, Any], record: Record) -> Instance:
        now = time.monotonic()
        for stream in service.streams:
            stream.drain(now)  # what an earlier life's leftovers wrote stays theirs
            stream.writer.begin_epoch(int(request["epoch"]))
        # opened anew, because what we hold does not block, and that would be shared
        fds = [os.open(f"/proc/self/fd/{stream.fifo}", os.O_RDWR | os.O_CLOEXEC) for stream in service.streams]
        try:
            name = f"{self._scope}.{request['key'].replace('/', '.')}.{request['epoch']}"
            return spawn(request, record, (fds[0], fds[1]), name, self._nofile)
        finally:
            if fds[-1] > self._fd_limit and self._nofile is None:
                self._nofile = raise_fd_limit()
            for fd in fds:
                os.close(fd)

    def _create_record(self, key: str, epoch: int, request: dict[str, Any]) -> Record:
        facts = {
            "key": key,
            "epoch": epoch,
            "marker": request["marker"],
            "boot_id": self._boot_id,
            "place": self._place,
        }
        # kept for the daemon, as given
        facts |= {"logs": request["logs"], "endpoints": request.get("endpoints", {}), "forks": request.get("forks")}
        return Record.create(self._records.path(key, epoch), facts)

    def _take(self, record: Record) -> Instance | None:
        life = adopt(record)
        if life is None:
            return None
        service = self.services.setdefault(life.key, Service())
        service.lives[life.epoch] = life
        service.forgotten = bool(record.facts.get("forgotten"))
        # the log's folder may be out of reach for now; the life is still ours to watch
        with contextlib.suppress(OSError):
            self._open_streams(life.key, service, record.facts["logs"])
        for stream in service.streams:
            stream.writer.begin_epoch(max(life.epoch, stream.writer.epoch))
        if life.pidfd >= 0:
            self._on_pidfd(life)
        return life

    def _open_streams(self, key: str, service: Service, logs: dict[str, Any]) -> None:
        if not service.streams:
            service.streams = tuple(
                self._mover.add(
                    key, logs["directory"], name, max_size=logs["max_size"], max_files=logs["max_files"],
                    drop=logs["on_full"] == "drop",
                )
                for name in STREAMS
            )  # fmt: skip
        for stream in service.streams:  # the stack file may have changed since the last life
            stream.drop = logs["on_full"] == "drop"
            stream.writer.max_size, stream.writer.max_files = logs["max_size"], logs["max_files"]

    def _end(self, life: Instance, status: int | None) -> None:
        service = self.services[life.key]
        now = time.monotonic()
        for stream in service.streams:
            if stream.waiting():
                stream.drain(now)
                self._mover.changed.add(stream)
        failpoint("keeper.exit.drained")
        if life.hands_over and status in (0, None):
            life.fork()
            return
        life.end(status)
        self._on_exit(life, service.ends())
        if service.forgotten:
            self.forget(life.key)

    def _forget_old(self, key: str, service: Service) -> None:
        if len(service.lives) > KEPT:
            self._records.prune(key)
        for epoch in sorted(service.lives)[:-KEPT]:
            if service.lives[epoch].exit is not None:
                del service.lives[epoch]


def _identity(request: dict[str, Any]) -> tuple[str, int]:
    key, epoch = str(request["key"]), int(request["epoch"])
    if not KEY.fullmatch(key):
        raise Refused(f"{key!r} is not a service's key", code="request")
    return key, epoch
