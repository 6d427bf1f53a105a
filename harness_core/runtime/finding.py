"""Finding a process that already runs: by pid, by pid file, by the port it listens on, or by an exact match.

A search that fits several processes is an error that names them, never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from harness_core.domain.errors import Conflict, HarnessError, NotFound, UsageError
from harness_core.runtime.processes import ProcessIdentity

__all__ = ["find_process", "listeners"]


def find_process(what: Mapping[str, Any]) -> ProcessIdentity:
    """The one process that ``{"pid": 4}``, ``{"port": 80}``, ``{"pid_file": path}`` or ``{"match": "redis-server"}``
    means; a match is the process's name, the path of its program, or its whole command line.

    Blocking, some tens of milliseconds. Raises ``NotFound``, ``Conflict`` when several fit, ``UsageError``.
    """
    given = [key for key, value in what.items() if value is not None]
    if len(given) != 1 or given[0] not in _WAYS:
        raise UsageError(f"say exactly one of {', '.join(_WAYS)}", hint=f"given: {', '.join(given) or 'none'}")
    return _WAYS[given[0]](what[given[0]])


def listeners(port: int) -> dict[int, str]:
    """Everybody who holds a listening TCP socket of this port, pid to name; other users' show only to root.

    All holders of a socket count, which psutil does not tell: it names one of them, often a worker.
    """
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    found: dict[int, str] = {}
    for process in psutil.process_iter(["name"]) if inodes else ():
        folder = f"/proc/{process.pid}/fd"
        try:
            if any(_target(f"{folder}/{name}") in inodes for name in os.listdir(folder)):
                found[process.pid] = process.info["name"]
        except OSError:  # gone, or another user's
            continue
    return found


def _listening(table: str, port: int) -> set[str]:
    """The inodes of the sockets that listen on a port, from ``/proc/net``: state 0A, the port in hexadecimal."""
    try:
        lines = Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
    except OSError:  # a machine without IPv6
        return set()
    rows = (line.split() for line in lines)
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed meanwhile
        return ""


def _by_pid(value: Any) -> ProcessIdentity:
    try:
        pid = int(value)
    except (TypeError, ValueError):
        raise UsageError(f"{value!r} is not a pid") from None
    return _identity(pid)


def _by_pid_file(value: Any) -> ProcessIdentity:
    path = Path(str(value))
    try:
        pid = int(path.read_text("ascii").split()[0])
    except FileNotFoundError:
        raise NotFound(f"there is no pid file {path}") from None
    except OSError as error:
        raise HarnessError(f"cannot read pid file {path}: {error.strerror}") from None
    except (ValueError, IndexError):
        raise HarnessError(f"cannot read pid file {path}: there is no pid in it") from None
    return _identity(pid, f" (as {path} says)")


def _by_port(value: Any) -> ProcessIdentity:
    try:
        port = int(value)
    except (TypeError, ValueError):
        raise UsageError(f"{value!r} is not a port") from None
    found = listeners(port)
    if not found:
        hint = "" if os.geteuid() == 0 else "a process of another user shows only to root"
        raise NotFound(f"nobody listens on port {port}", hint=hint)
    return _only(found, f"port {port}")


def _by_match(value: Any) -> ProcessIdentity:
    wanted = str(value)
    found = {}
    for process in psutil.process_iter(["name", "exe", "cmdline", "status"]):
        known = process.info
        words = (known["name"], known["exe"], " ".join(known["cmdline"] or ()))
        if wanted in words and known["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found[process.pid] = known["name"]
    if not found:
        hint = "the name, the program's path, or the whole command line must be the same, as ps -eo pid,args shows it"
        raise NotFound(f"no process matches {wanted!r}", hint=hint)
    return _only(found, repr(wanted))


_WAYS: dict[str, Callable[[Any], ProcessIdentity]] = {
    "pid": _by_pid,
    "port": _by_port,
    "pid_file": _by_pid_file,
    "match": _by_match,
}


def _only(found: dict[int, str], what: str) -> ProcessIdentity:
    """The one that is meant: a server's workers hold the same socket and name, and the one above them all counts."""
    found = {pid: name for pid, name in found.items() if not _ancestors(pid) & found.keys()}
    if len(found) > 1:
        names = ", ".join(f"pid {pid} ({name})" for pid, name in sorted(found.items()))
        raise Conflict(
            f"cannot tell which process is meant by {what}: {names}",
            hint="say which by pid",
            data={"candidates": [{"pid": pid, "name": name} for pid, name in sorted(found.items())]},
        )
    return _identity(next(iter(found)))


def _identity(pid: int, whence: str = "") -> ProcessIdentity:
    if pid in (os.getpid(), 1):
        whose = "this daemon" if pid == os.getpid() else "the machine’s first process"
        raise UsageError(f"pid {pid}{whence} is {whose}")
    identity = ProcessIdentity.of(pid) if 0 < pid < 1 << 31 else None
    if identity is None:
        raise NotFound(f"there is no process with pid {pid}{whence}")
    return identity


def _ancestors(pid: int) -> set[int]:
    try:
        return {parent.pid for parent in psutil.Process(pid).parents()}
    except psutil.Error:
        return set()
