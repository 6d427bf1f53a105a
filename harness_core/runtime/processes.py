"""The process kit: who a process is, what runs on the machine, and how an end is noticed.

Nothing here acts on a bare pid. A process is named by boot id, pid and start time (and the pidfd's inode, where the
kernel has it); what is signalled is signalled through a pidfd proven to be that process. A zombie counts as dead.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness_core.domain.states import Exit
from harness_core.runtime.keeper.procfs import (
    MARKER,
    Stat,
    boot_id,
    environment_value,
    exit_status,
    open_pidfd,
    read_stat,
)

__all__ = ["ProcessIdentity", "ProcessTable", "Scanner", "exit_from_status", "refusal", "wait_pidfd"]

#: pidfd_send_signal: to the whole process group that this process leads (Linux 6.9)
_GROUP = 1 << 2


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, for good: no other process ever has the same identity."""

    pid: int
    start: int
    boot_id: str
    #: inode of its pidfd, unique since boot where the kernel has pidfs; 0 when unknown
    inode: int = 0

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of the process that has this pid now; ``None`` when there is none, or only a zombie."""
        stat = read_stat(pid)
        if stat is None or stat.dead:
            return None
        return cls.proven(pid, stat.start)

    @classmethod
    def proven(cls, pid: int, start: int) -> ProcessIdentity | None:
        """The whole identity of the process with this pid and start time; ``None`` when it is gone."""
        fd = open_pidfd(pid, start)
        if fd is None:
            return None
        try:
            return cls(pid, start, boot_id(), os.fstat(fd).st_ino)
        finally:
            os.close(fd)

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> ProcessIdentity:
        """From a handle's JSON. Raises ``KeyError`` or ``ValueError`` when it is none."""
        inode = data.get("inode") or 0
        return cls(int(str(data["pid"])), int(str(data["start"])), str(data["boot_id"]), int(str(inode)))

    def to_data(self) -> dict[str, object]:
        return {"pid": self.pid, "start": self.start, "boot_id": self.boot_id, "inode": self.inode}

    def open(self) -> int | None:
        """A pidfd proven to be of this process (or its zombie), to be closed by the caller; ``None``: it is gone."""
        if self.boot_id != boot_id():
            return None
        fd = open_pidfd(self.pid, self.start)
        if fd is not None and self.inode and os.fstat(fd).st_ino != self.inode:
            os.close(fd)
            return None
        return fd

    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        if self.boot_id != boot_id():
            return False
        stat = read_stat(self.pid)
        return stat is not None and stat.start == self.start and not stat.dead

    def signal(self, signum: int, *, group: bool = False) -> bool:
        """Send a signal, to its whole process group if asked and it leads one. False when it is gone."""
        fd = self.open()
        if fd is None:
            return False
        try:
            if group:
                self._signal_group(fd, signum)
            else:
                signal.pidfd_send_signal(fd, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def exit_status(self) -> int | None:
        """Its wait status if it is a zombie, or the kernel still tells; else ``None``."""
        fd = self.open()
        if fd is None:
            return None
        try:
            return exit_status(fd, self.pid)
        finally:
            os.close(fd)

    def _signal_group(self, fd: int, signum: int) -> None:
        if os.getpgid(self.pid) != self.pid:
            signal.pidfd_send_signal(fd, signum)
            return
        try:
            signal.pidfd_send_signal(fd, signum, None, _GROUP)
        except OSError as error:
            if isinstance(error, (ProcessLookupError, PermissionError)):
                raise
            # an older kernel; the pidfd still shows that the leader, and so the number of its group, is not reused
            if self.alive():
                os.killpg(self.pid, signum)


class ProcessTable:
    """All processes at one moment, with the markers of those that carry one. Takes milliseconds; see ``Scanner``."""

    def __init__(self, stats: Iterable[Stat], markers: Mapping[int, str]) -> None:
        self.stats = {stat.pid: stat for stat in stats}
        self.markers = markers
        self._children: dict[int, list[int]] = {}
        self._sessions: dict[int, list[Stat]] = {}
        self._marked: dict[str, set[int]] = {}
        for stat in self.stats.values():
            self._children.setdefault(stat.ppid, []).append(stat.pid)
            self._sessions.setdefault(stat.session, []).append(stat)
        for pid, marker in markers.items():
            self._marked.setdefault(_whose(marker), set()).add(pid)

    @classmethod
    def read(cls, before: ProcessTable | None = None) -> ProcessTable:
        """Read ``/proc``; what comes or goes meanwhile may be missing.

        From a table ``before``, the markers of processes are taken over that have not called exec since.
        """
        stats, markers = [], {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or (stat := read_stat(int(name))) is None or stat.dead:
                continue
            stats.append(stat)
            if before is not None and before.has_not_changed(stat):
                marker = before.markers.get(stat.pid)
            else:
                marker = environment_value(stat.pid, MARKER)
            if marker is not None:
                markers[stat.pid] = marker
        return cls(stats, markers)

    def has_not_changed(self, now: Stat) -> bool:
        """Whether the process has the environment that it had here. A child that has not called exec yet shares its
        parent's, and has another one afterwards."""
        then = self.stats.get(now.pid)
        return then is not None and (then.start, then.environment) == (now.start, now.environment) != (now.start, 0)

    def marked(self, marker: str) -> list[Stat]:
        """Processes that carry this very marker, oldest first."""
        found = [self.stats[pid] for pid in self._marked.get(_whose(marker), ()) if self.markers[pid] == marker]
        return sorted(found, key=lambda stat: (stat.start, stat.pid))

    def belonging(self, marker: str) -> set[int]:
        """The pids of processes that carry this marker or one below it."""
        below = marker + "/"
        pids = self._marked.get(_whose(marker), ())
        return {pid for pid in pids if (value := self.markers[pid]) == marker or value.startswith(below)}

    def session(self, number: int) -> Sequence[Stat]:
        """The members of a session."""
        return self._sessions.get(number, ())

    def descendants(self, pids: Iterable[int]) -> set[int]:
        """The given processes and everything below them."""
        found: set[int] = set()
        todo = list(pids)
        while todo:
            pid = todo.pop()
            if pid not in found and pid in self.stats:
                found.add(pid)
                todo += self._children.get(pid, ())
        return found


def _whose(marker: str) -> str:
    """The part of a marker that names the life: ``instance:stack/name#epoch``, without what may be below it."""
    life, sign, rest = marker.rpartition("#")
    return life + sign + rest.partition("/")[0]


class Scanner:
    """Process tables for many who ask at once: they share a scan, but never one that began before they asked."""

    def __init__(self) -> None:
        self._running: asyncio.Task[ProcessTable] | None = None
        self._next: asyncio.Task[ProcessTable] | None = None
        self._last: ProcessTable | None = None

    async def table(self) -> ProcessTable:
        """A table no older than this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._scan(self._running))
        return await asyncio.shield(self._next)

    async def _scan(self, before: asyncio.Task[ProcessTable] | None) -> ProcessTable:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        self._last = await asyncio.to_thread(ProcessTable.read, self._last)
        return self._last


def exit_from_status(status: int | None) -> Exit:
    """A wait status in the domain's words; ``None`` is an end of unknown manner."""
    if status is None:
        return Exit()
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status))
    return Exit(code=os.WEXITSTATUS(status))


def refusal(number: int) -> str:
    """The errno with which the kernel refused to begin a program, in words."""
    if number == errno.EAGAIN:
        return "the system gives no more processes: see the limits of its cgroup (pids.max) and of its user (ulimit -u)"
    return os.strerror(number)


async def wait_pidfd(fd: int) -> None:
    """Until the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def over() -> None:
        loop.remove_reader(fd)  # it stays readable
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(fd, over)
    try:
        await ended
    finally:
        loop.remove_reader(fd)
