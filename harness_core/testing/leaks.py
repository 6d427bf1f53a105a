"""What a test left behind: processes, file descriptors, threads and tasks.

No pytest in here. A ``conftest.py`` makes a fixture of it::

    become_subreaper()

    @pytest.fixture(autouse=True)
    def leaves_nothing():
        before = Snapshot.take()
        yield
        assert before.leaks() == []

Orphans of a test's children become children of the test process, where nothing escapes the count. A zombie counts as
dead, and is reaped.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Process", "Snapshot", "become_subreaper", "descendants", "pending_tasks"]

_PR_SET_CHILD_SUBREAPER = 36
#: how often to look while waiting for something to go away, in seconds
_PAUSE = 0.01


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told apart from a later one with the same pid by its start time."""

    pid: int
    started: int
    #: a process may write another one over it, as servers do to tell what they are at
    command: str = field(compare=False)

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process. False where the system cannot do that."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def descendants() -> set[Process]:
    """Every living process below this one; zombies of ours are reaped on the way."""
    own = os.getpid()
    living: set[Process] = set()
    pids = [(own, child) for child in _children(own)]
    while pids:
        parent, pid = pids.pop()
        found = _read_stat(pid)
        if found is None:
            continue
        process, state = found
        pids += [(pid, child) for child in _children(pid)]
        if state not in "ZX":
            living.add(process)
        elif parent == own:
            _reap(pid)
    return living


def _children(pid: int) -> list[int]:
    """Direct children, of all threads: the kernel tells without a walk over every process of the machine."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split())
    except OSError:
        # gone meanwhile, or a kernel without this file
        return found
    return found


def _read_stat(pid: int) -> tuple[Process, str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # the name may hold spaces and parentheses; the last one closes it
    state, *rest = text[text.rindex(")") + 2 :].split()
    name = line.replace(b"\0", b" ").decode("utf-8", "replace").strip() or text[text.index("(") :].split(")")[0][1:]
    return Process(pid, int(rest[18]), name[:200]), state


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def pending_tasks() -> list[asyncio.Task[object]]:
    """The tasks of the running loop that are not done, without the one that asks."""
    current = asyncio.current_task()
    return [task for task in asyncio.all_tasks() if task is not current and not task.done()]


def _descriptors() -> dict[int, str]:
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            # the descriptor of the listing itself
            continue
    return found


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there was at one moment."""

    processes: frozenset[Process]
    descriptors: dict[int, str]
    threads: frozenset[threading.Thread]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(frozenset(descendants()), _descriptors(), frozenset(threading.enumerate()))

    def leaks(self, timeout: float = 2.0) -> list[str]:
        """What is there now and was not then, in words; waits up to ``timeout`` seconds for it to go away.

        Processes that stayed are killed, so that the next test starts clean.
        """
        end = time.monotonic() + timeout
        while found := self._new():
            if time.monotonic() >= end:
                self._kill()
                return found
            # what hangs in reference cycles is no leak
            gc.collect()
            time.sleep(_PAUSE)
        return []

    def _new(self) -> list[str]:
        found = [str(process) for process in sorted(descendants() - self.processes, key=lambda p: p.pid)]
        for fd, target in sorted(_descriptors().items()):
            if fd > 2 and self.descriptors.get(fd) != target:
                found.append(f"file descriptor {fd} ({target})")
        found += [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread not in self.threads and thread.is_alive()
        ]
        return found

    def _kill(self) -> None:
        for process in descendants() - self.processes:
            # it is below us and not reaped, so the pid is still its own
            os.kill(process.pid, signal.SIGKILL)
        end = time.monotonic() + 1.0
        while descendants() - self.processes and time.monotonic() < end:
            time.sleep(_PAUSE)
