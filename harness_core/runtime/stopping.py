"""Ending a tree of processes: gently, then by force, and seen to be gone.

Who belongs to a tree is found by session, descent, cgroup and marker, so that neither a double fork nor a session of
its own gets a process out of it; and nobody is signalled who is not proven to belong.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from typing import Any

from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.keeper.procfs import boot_id, read_stat
from harness_core.runtime.processes import ProcessIdentity, ProcessTable, Scanner, wait_pidfd

__all__ = ["Grace", "StopOutcome", "Tree", "stop_tree"]

#: how long KILL may take to be seen to have worked
_KILL_DEADLINE = 5.0
#: how often to look while something is to go away, from the first wait to the longest
_LOOK = (0.01, 0.1)


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
        return {stat.pid for stat in table.session(pid) if stat.start >= self.leader.start}

    def _in_cgroups(self) -> set[int]:
        found: set[int] = set()
        for path in self.cgroups:
            with contextlib.suppress(OSError), open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:
                found |= {int(line) for line in file}
        return found

    def _marked(self, table: ProcessTable) -> set[int]:
        return table.belonging(self.marker) if self.marker else set()


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
        failpoint("stop.term.before")
        tree.leader.signal(signum, group=True)
        tree.leader.signal(signal.SIGCONT, group=True)  # a stopped process cannot end
        failpoint("stop.term.after")
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
        failpoint("stop.kill.before")
        for one in members:
            try:
                one.signal(signal.SIGKILL)
            except PermissionError:
                refused = "not permitted"
        failpoint("stop.kill.after")
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
