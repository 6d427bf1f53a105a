"""The process kit: who a process is, who belongs to it, and how all of it is ended and seen to be gone.

Nothing here acts on a bare pid. A process is named by boot id, pid and start time (and the pidfd's inode, where the
kernel has it); what is signalled is signalled through a pidfd proven to be that process. A zombie counts as dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness_core.runtime.keeper.procfs import (
    MARKER,
    Stat,
    boot_id,
    environment_value,
    exit_status,
    open_pidfd,
    read_stat,
)

__all__ = ["Grace", "ProcessIdentity", "ProcessTable", "Scanner", "StopOutcome", "Tree", "stop_tree", "wait_pidfd"]

#: pidfd_send_signal: to the whole process group that this process leads (Linux 6.9)
_GROUP = 1 << 2
#: how long KILL may take to be seen to have worked
_KILL_DEADLINE = 5.0
_LOOK = (0.01, 0.1)


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
        for stat in self.stats.values():
            self._children.setdefault(stat.ppid, []).append(stat.pid)

    @classmethod
    def read(cls) -> ProcessTable:
        """Read ``/proc``; what comes or goes meanwhile may be missing."""
        stats, markers = [], {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or (stat := read_stat(int(name))) is None or stat.dead:
                continue
            stats.append(stat)
            marker = environment_value(stat.pid, MARKER)
            if marker is not None:
                markers[stat.pid] = marker
        return cls(stats, markers)

    def marked(self, marker: str) -> list[Stat]:
        """Processes that carry this very marker, oldest first."""
        found = [self.stats[pid] for pid, value in self.markers.items() if value == marker]
        return sorted(found, key=lambda stat: (stat.start, stat.pid))

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


class Scanner:
    """Process tables for many who ask at once: they share a scan, but never one that began before they asked."""

    def __init__(self) -> None:
        self._running: asyncio.Task[ProcessTable] | None = None
        self._next: asyncio.Task[ProcessTable] | None = None

    async def table(self) -> ProcessTable:
        """A table no older than this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._scan(self._running))
        return await asyncio.shield(self._next)

    async def _scan(self, before: asyncio.Task[ProcessTable] | None) -> ProcessTable:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return await asyncio.to_thread(ProcessTable.read)


@dataclass(slots=True)
class Tree:
    """What belongs to one instance: its leader, what descends from it, its session, and what carries its marker."""

    leader: ProcessIdentity
    #: the marker's value; empty for a process that we did not start
    marker: str = ""
    #: never part of it: the keeper, the daemon
    spared: frozenset[int] = frozenset()
    cgroups: tuple[str, ...] = ()
    #: members seen so far as (pid, start): they stay members when their parent dies
    seen: set[tuple[int, int]] = field(default_factory=set)

    def members(self, table: ProcessTable) -> list[ProcessIdentity]:
        """Those of the tree that live."""
        if self.leader.boot_id != boot_id():
            return []
        roots = {pid for pid, start in self.seen if pid in table.stats and table.stats[pid].start == start}
        roots |= self._in_session(table) | self._in_cgroups() | self._marked(table)
        found = table.descendants(roots - self.spared) - self.spared - {os.getpid()}
        stats = [table.stats[pid] for pid in found]
        self.seen |= {(stat.pid, stat.start) for stat in stats}
        return [ProcessIdentity(stat.pid, stat.start, self.leader.boot_id) for stat in stats]

    def _in_session(self, table: ProcessTable) -> set[int]:
        pid = self.leader.pid
        holder = table.stats.get(pid)
        if holder is not None and holder.start != self.leader.start:
            return set()  # the number is somebody else's now
        if holder is not None and holder.session != pid:  # not a session of its own, so not its members
            return {pid}
        if holder is None and not self.marker:
            return set()
        # the number of a session is not given away while it has members, so without its leader it is still the same
        members = {stat.pid for stat in table.stats.values() if stat.session == pid and stat.start >= self.leader.start}
        return members

    def _in_cgroups(self) -> set[int]:
        found: set[int] = set()
        for path in self.cgroups:
            with contextlib.suppress(OSError), open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:
                found |= {int(line) for line in file}
        return found

    def _marked(self, table: ProcessTable) -> set[int]:
        if not self.marker:
            return set()
        below = self.marker + "/"
        return {pid for pid, value in table.markers.items() if value == self.marker or value.startswith(below)}


class Grace:
    """How long a stop may still be gentle; another stop may shorten it while the first one waits."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + seconds
        self._changed = asyncio.Event()

    @property
    def left(self) -> float:
        return max(0.0, self._until - self._loop.time())

    def shorten(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        if until < self._until:
            self._until = until
            self._changed.set()

    async def wait(self, what: asyncio.Future[None] | None, at_most: float | None = None) -> None:
        """Until ``what`` is done, the grace ends, or ``at_most`` seconds passed; returns at the first."""
        while True:
            self._changed.clear()
            left = self.left if at_most is None else min(self.left, at_most)
            changed = asyncio.ensure_future(self._changed.wait())
            waits: list[asyncio.Future[Any]] = [changed] if what is None else [changed, what]
            try:
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            if not self._changed.is_set():
                return


@dataclass(frozen=True, slots=True)
class StopOutcome:
    """How a stop went; ``leftovers`` names those that even KILL did not end."""

    forced: bool
    leftovers: tuple[str, ...]


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


async def stop_tree(tree: Tree, signum: int, grace: Grace, scanner: Scanner) -> StopOutcome:
    """End a tree: the signal to its leader's group, then to what that leaves; KILL to all once the grace is over.

    Returns when a look at all processes shows nothing left, or after 5 s of KILL in vain. ``seen`` of the tree keeps
    who belongs to it, so that those who lose their parent on the way are not lost to us.
    """
    members = tree.members(await scanner.table())
    told = set()
    if grace.left > 0 and members:
        told = await _ask(tree, members, signum, grace)
        members = await _ask_rest(tree, told, signum, grace, scanner)
    forced = bool(members)
    leftovers = await _kill(tree, members, scanner) if members else ()
    return StopOutcome(forced, leftovers)


async def _ask(tree: Tree, members: list[ProcessIdentity], signum: int, grace: Grace) -> set[ProcessIdentity]:
    """Signal the leader's group and wait for the leader; returns those who need not be told again."""
    fd = tree.leader.open()
    if fd is None:
        return set()
    ended = asyncio.ensure_future(wait_pidfd(fd))
    try:
        told = {one for one in members if _group_of(one) == tree.leader.pid}
        tree.leader.signal(signum, group=True)
        tree.leader.signal(signal.SIGCONT, group=True)  # a stopped process cannot end
        await grace.wait(ended)
    finally:
        ended.cancel()
        os.close(fd)
    return told


async def _ask_rest(
    tree: Tree, told: set[ProcessIdentity], signum: int, grace: Grace, scanner: Scanner
) -> list[ProcessIdentity]:
    """Once the leader is gone: signal who was not told yet, and wait for all; returns who is left."""
    step, longest = _LOOK
    while True:
        members = tree.members(await scanner.table())
        if not members or grace.left <= 0:
            return members
        for one in set(members) - told:
            _send(one, signum)
            _send(one, signal.SIGCONT)
        told |= set(members)
        await grace.wait(None, step)
        step = min(longest, step * 2)


async def _kill(tree: Tree, members: list[ProcessIdentity], scanner: Scanner) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    until = loop.time() + _KILL_DEADLINE
    step, longest = _LOOK
    refused = ""
    while members and loop.time() < until:
        for one in members:
            try:
                one.signal(signal.SIGKILL)
            except PermissionError:
                refused = "not permitted"
        await asyncio.sleep(step)
        step = min(longest, step * 2)
        members = tree.members(await scanner.table())
        if step == longest:  # KILL does not reach a frozen process
            for one in members:
                await asyncio.to_thread(_thaw, one)
    return tuple(f"pid {one.pid} ({_describe(one, refused)})" for one in members)


def _send(one: ProcessIdentity, signum: int) -> None:
    with contextlib.suppress(PermissionError):  # it changed its user; the verification at the end names it
        one.signal(signum)


def _group_of(one: ProcessIdentity) -> int:
    try:
        return os.getpgid(one.pid)
    except ProcessLookupError:
        return -1


def _describe(one: ProcessIdentity, refused: str) -> str:
    stat = read_stat(one.pid)
    if stat is None:
        return "gone"
    why = refused or ("uninterruptible" if stat.state == "D" else f"state {stat.state}")
    return f"{stat.name}, {why}"


def _thaw(one: ProcessIdentity) -> None:
    """Thaw the cgroups that a process is in, as far as they are frozen and ours to write."""
    try:
        with open(f"/proc/{one.pid}/cgroup", encoding="utf-8") as file:
            places = [line.rstrip("\n").split(":", 2) for line in file]
        with open("/proc/self/mounts", encoding="utf-8") as file:
            mounts = [line.split(" ") for line in file]
    except OSError:
        return
    for _, controllers, path in places:
        for _, mount, kind, options, *_ in mounts:
            if kind == "cgroup2" and not controllers:
                _write(f"{mount}{path}/cgroup.freeze", "0")
            elif kind == "cgroup" and controllers == "freezer" and "freezer" in options.split(","):
                _write(f"{mount}{path}/freezer.state", "THAWED")


def _write(path: str, value: str) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
