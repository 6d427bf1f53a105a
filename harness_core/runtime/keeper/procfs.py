"""What the kernel says about processes: identity, state, exit. Reading only; a process that is gone reads as ``None``.

A pid alone names nothing, since it is given to another process later. ``(boot id, pid, start time)`` does, and a
pidfd whose process still had that start time after the pidfd was opened holds on to it for good.
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct
import sys
from typing import NamedTuple

__all__ = ["MARKER", "Stat", "boot_id", "environment_value", "exit_status", "open_pidfd", "read_stat"]

#: the environment variable that an instance carries from birth
MARKER = "HARNESS_INSTANCE"

# struct pidfd_info (linux/pidfd.h): mask, cgroupid, eleven u32 ids, exit_code; the request number holds its size
_INFO = struct.Struct("=QQ11Ii")
_GET_INFO = 0xC0000000 | _INFO.size << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3


class Stat(NamedTuple):
    """The fields of ``/proc/PID/stat`` that we use; ``start`` is in clock ticks since boot."""

    pid: int
    name: str
    state: str
    ppid: int
    group: int
    session: int
    start: int
    #: a wait status; 0 while it lives, and where the kernel does not tell us
    exit_code: int
    #: where its environment begins, another place after each exec; 0 when it is not ours to know
    environment: int = 0

    @property
    def dead(self) -> bool:
        """A zombie does nothing any more; only its parent has not asked for it yet."""
        return self.state in "ZXx"


@functools.cache
def boot_id() -> str:
    """The id of this boot of the machine: after a reboot no earlier pid means anything."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def read_stat(pid: int) -> Stat | None:
    """The state of a process or zombie, or ``None`` when there is none."""
    # os.open, because a file object asks the kernel five things more, and whole tables are read this way
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    # the name is in parentheses and may itself hold parentheses and spaces
    head, _, tail = data.rpartition(b")")
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    fields = tail.split()
    return Stat(
        pid=pid,
        name=name,
        state=fields[0].decode("ascii"),
        ppid=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start=int(fields[19]),
        exit_code=int(fields[49]),
        environment=int(fields[47]),
    )


def environment_value(pid: int, name: str) -> str | None:
    """One variable of a process's first environment; ``None`` when absent, gone, or not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            data = file.read()
    except OSError:  # gone, a kernel thread, or another user's
        return None
    prefix = name.encode() + b"="
    at = 0 if data.startswith(prefix) else data.find(b"\0" + prefix) + 1
    if at == 0 and not data.startswith(prefix):
        return None
    return data[at + len(prefix) :].partition(b"\0")[0].decode("utf-8", "surrogateescape")


def open_pidfd(pid: int, start: int) -> int | None:
    """A pidfd proven to be of the process with that start time, or ``None``. A zombie still counts."""
    if sys.platform != "linux":  # tells the type checker; there is no /proc elsewhere
        return None
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # the pid cannot change hands while its process is unreaped, so what is read after the opening is about the pidfd
    stat = read_stat(pid)
    if stat is None or stat.start != start:
        os.close(fd)
        return None
    return fd


def exit_status(pidfd: int, pid: int) -> int | None:
    """The wait status of a process that has ended and need not be our child; ``None`` when nobody can tell.

    Linux 6.15 and newer answer through the pidfd once it was reaped; before that its zombie's stat does, in field 52.
    """
    for _ in range(2):  # between the two questions somebody may reap it, and then the first one has an answer
        buffer = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
        try:
            fcntl.ioctl(pidfd, _GET_INFO, buffer)
        except OSError:  # an older kernel (ENOTTY, EINVAL), or reaped before exits were recorded (ESRCH)
            mask = 0
        else:
            mask = int(_INFO.unpack(buffer)[0])
        if mask & _INFO_EXIT:
            return int(_INFO.unpack(buffer)[-1])
        stat = read_stat(pid)
        if stat is not None and stat.dead and _may_see_exit_code(pid):
            return stat.exit_code
    return None


def _may_see_exit_code(pid: int) -> bool:
    # to others the kernel shows 0 instead, which would read as success
    try:
        return os.geteuid() in (0, os.stat(f"/proc/{pid}").st_uid)
    except FileNotFoundError:
        return False
