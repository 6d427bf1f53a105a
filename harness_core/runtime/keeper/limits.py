"""Limits of one instance: a cgroup entered before its program begins, else what ``ulimit`` can do, and say so.

A process is put into its cgroup by a line of shell that then becomes the program. Moving it afterwards would leave
outside what it forked meanwhile; moving the keeper there and back would let the service's limit kill the keeper.
"""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Launch", "oom_killed", "prepare", "remove"]

_PERIOD = 100_000


class Launch(NamedTuple):
    """How to begin a program under limits."""

    #: the beginning of an argument vector, before the program and its arguments
    prefix: list[str]
    #: ``cgroup.procs`` files, opened here, since the service's user may not; they become fds 3, 4, …
    entries: list[int]
    cgroups: list[str]
    #: what could not be kept, as sentences
    notes: list[str]


def prepare(name: str, *, memory: int | None, cpu: float | None, nofile: int | None) -> Launch:
    """Make what the limits need; ``name`` is the cgroup's, new for each instance."""
    shell: list[str] = []
    cgroups: list[str] = []
    notes: list[str] = []
    if memory is not None and not _in_cgroup("memory", name, _memory_files(memory), cgroups):
        shell.append(f"ulimit -d {memory // 1024}")
        notes.append("memory is limited by RLIMIT_DATA, for each process alone: no memory cgroup is writable")
    if cpu is not None and not _in_cgroup("cpu", name, _cpu_files(cpu), cgroups):
        notes.append("cpu is not limited: no cpu cgroup is writable")
    if nofile is not None:
        shell.append(f"ulimit -n {nofile}")
    entries = [os.open(os.path.join(path, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC) for path in cgroups]
    # 0 means the writer itself
    shell[:0] = [f"echo 0 >&{3 + at} && exec {3 + at}>&-" for at in range(len(entries))]
    script = " && ".join([*shell, 'exec "$@"'])
    return Launch(["/bin/sh", "-c", script, "harness-limits"] if shell else [], entries, cgroups, notes)


def oom_killed(cgroups: list[str]) -> bool:
    """Whether the kernel has killed for want of memory in one of these cgroups."""
    for path in cgroups:
        for file in ("memory.events.local", "memory.events", "memory.oom_control"):
            text = _read(os.path.join(path, file))
            for line in text.splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill" and count.strip() not in ("", "0"):
                    return True
    return False


def remove(cgroups: list[str]) -> None:
    """Remove the cgroups that are empty; one that still holds processes stays."""
    for path in cgroups:
        try:
            os.rmdir(path)
        except OSError:
            continue


def _memory_files(memory: int) -> list[tuple[str, str]]:
    return [
        ("memory.max", str(memory)),
        ("memory.limit_in_bytes", str(memory)),
        ("memory.swap.max", "0"),
        ("memory.memsw.limit_in_bytes", str(memory)),
    ]


def _cpu_files(cpu: float) -> list[tuple[str, str]]:
    quota = max(1000, int(cpu * _PERIOD))
    return [
        ("cpu.max", f"{quota} {_PERIOD}"),
        ("cpu.cfs_period_us", str(_PERIOD)),
        ("cpu.cfs_quota_us", str(quota)),
    ]


def _in_cgroup(controller: str, name: str, files: list[tuple[str, str]], cgroups: list[str]) -> bool:
    """Make (or reuse) a cgroup and write the limit there; its path is added to ``cgroups``."""
    for parent in _parents(controller):
        path = os.path.join(parent, name)
        try:
            os.makedirs(path, 0o755, exist_ok=True)
        except OSError:
            continue
        written = [_write(os.path.join(path, file), value) for file, value in files]
        if any(written):
            if path not in cgroups:
                cgroups.append(path)
            return True
        if path not in cgroups:
            remove([path])
    return False


def _parents(controller: str) -> list[str]:
    """Folders under which a cgroup with this controller may be made: beside and below the keeper's own."""
    places = {}  # hierarchy: our path in it
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        places[controllers] = path
    found = []
    for line in _read("/proc/self/mounts").splitlines():
        _, mount, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and controller in options.split(","):
            own = next((path for names, path in places.items() if controller in names.split(",")), "/")
        elif kind == "cgroup2":
            own = places.get("", "/")
        else:
            continue
        below = os.path.normpath(mount + own)
        beside = os.path.dirname(below) if own != "/" else below
        # inside a container the path may be the host's: then the mount itself is our place
        found += [path for path in (below, beside, mount) if os.access(path, os.W_OK)]
    return list(dict.fromkeys(found))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, value: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # never made: a limit the kernel does not know is no limit
    except OSError:
        return False
    try:
        return os.write(fd, value.encode()) > 0
    except OSError:
        return False
    finally:
        os.close(fd)
