"""Instances: how they are spawned, how their end is noticed and told, and what is known of each."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from . import limits
from .failpoints import failpoint
from .procfs import MARKER, exit_status, read_stat
from .records import Record

__all__ = ["Instance", "Refused", "exit_facts", "raise_fd_limit", "reserve_low_fds", "spawn"]

#: kept free for ``cgroup.procs`` files, because a shell can only name fds of one digit
_LOW = (3, 4, 5)
#: kept free for the pipe that spawning needs while the limit of open files is a service's
_PIPE = (6, 7)


#: facts that clients are told
_REPORTED = (
    "key", "epoch", "pid", "start", "boot_id", "cgroups", "notes", "spawned_at", "logs", "endpoints", "forks", "forked",
    "led",
)  # fmt: skip


class Refused(Exception):
    """A request that cannot be done; ``data`` goes to the client as it is."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.data = {"message": message, **data}


class Instance:
    """One life of a service, running or ended."""

    __slots__ = ("exit", "pidfd", "popen", "record")

    def __init__(self, record: Record, *, popen: subprocess.Popen[bytes] | None = None, pidfd: int = -1) -> None:
        self.record = record
        #: set when it is our child
        self.popen = popen
        #: set when it is not, and lives
        self.pidfd = pidfd
        self.exit: dict[str, Any] | None = record.facts.get("exit")

    @property
    def key(self) -> str:
        return str(self.record.facts["key"])

    @property
    def epoch(self) -> int:
        return int(self.record.facts["epoch"])

    @property
    def pid(self) -> int:
        return int(self.record.facts["pid"])

    @property
    def hands_over(self) -> bool:
        """Whether it is a start command, whose end is not the life's: what stays of it is still to be named."""
        facts = self.record.facts
        return facts.get("forks") is not None and "led" not in facts

    def report(self) -> dict[str, Any]:
        """What clients are told of it."""
        known = {name: self.record.facts[name] for name in _REPORTED if name in self.record.facts}
        return {**known, "exit": self.exit, "child": self.popen is not None}

    def end(self, status: int | None) -> None:
        """Record the end; ``status`` is a wait status, or ``None`` when nobody can tell it."""
        self.exit = exit_facts(status)
        cgroups = self.record.facts.get("cgroups", [])
        # where nobody saw how it ended, whoever does (the daemon may) has to know this beside it
        self.exit["oom"] = self.exit["code"] is None and self.exit["signal"] in (None, 9) and limits.oom_killed(cgroups)
        limits.remove(cgroups)
        # the folder may have been removed by somebody; what is known in memory is still told
        failpoint("keeper.exit.before-record")
        with contextlib.suppress(OSError):
            self.record.add({"exit": self.exit})
        failpoint("keeper.exit.after-record")
        self.close()

    def fork(self) -> None:
        """The start command has ended, and the life goes on with a process that the daemon will name."""
        self.record.add({"forked": True})
        self.close()

    def close(self) -> None:
        """Let go without touching the process."""
        if self.popen is not None:
            self.popen.returncode = 0  # it was waited for here, not there, and needs no warning
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def seen_through_pidfd(self) -> int | None:
        """The wait status of an ended process that was not our child."""
        return exit_status(self.pidfd, self.pid)


def exit_facts(status: int | None) -> dict[str, Any]:
    """A wait status as the record and the protocol hold it."""
    code = os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None
    signum = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
    return {"code": code, "signal": signum, "oom": False, "at": time.time(), "monotonic": time.monotonic()}


def reserve_low_fds() -> None:
    """Occupy the low fds, so that nothing else gets them."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for fd in (*_LOW, *_PIPE):
        if fd != null:
            os.dup2(null, fd, inheritable=False)
    if null not in (*_LOW, *_PIPE):
        os.close(null)


def raise_fd_limit() -> tuple[int, int] | None:
    """Let this process open all the files it may; returns the former limits, which are the services'."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def spawn(
    request: dict[str, Any], record: Record, outputs: tuple[int, int], cgroup: str, nofile: tuple[int, int] | None
) -> Instance:
    """Start the program of a ``spawn`` request with these two fds as its output.

    It gets its own session, default signal dispositions, the umask, folder, user and environment asked for, and no
    fd of ours. Raises ``Refused`` with the errno and the stage at which it failed.
    """
    wanted = request.get("limits") or {}
    launch = limits.prepare(
        cgroup, memory=wanted.get("memory"), cpu=wanted.get("cpu"), nofile=wanted.get("nofile")
    ) if wanted else limits.Launch([], [], [], [])  # fmt: skip
    failpoint("keeper.spawn.before-exec")
    try:
        popen = _popen(request, launch, outputs, nofile)
    except OSError as error:
        limits.remove(launch.cgroups)
        # an error that is about no file, such as of a fork, is not about a standard input that was not given either
        stages = {request["cwd"]: "cwd", request.get("stdin") or os.devnull: "stdin"}
        stage = stages.get(error.filename, "exec")
        raise Refused(
            f"cannot start {request['executable']}: {error.strerror}", code="spawn", errno=error.errno, stage=stage
        ) from None
    finally:
        _take_back(launch.entries)
    try:
        failpoint("keeper.spawn.after-exec")
        born = read_stat(popen.pid)
    except OSError as error:
        _take_back_birth(popen)
        limits.remove(launch.cgroups)
        raise Refused(
            f"cannot start {request['executable']}: cannot see it: {error.strerror}", code="state", errno=error.errno
        ) from None
    assert born is not None, "an unreaped child has a stat"
    # it lives now, whatever the disk says: the line is written with the next one, and until then its marker tells
    with contextlib.suppress(OSError):
        record.add(
            {
                "pid": popen.pid,
                "start": born.start,
                "spawned_at": time.time(),
                "cgroups": launch.cgroups,
                "notes": launch.notes,
            }
        )
        failpoint("keeper.spawn.after-record")
    return Instance(record, popen=popen)


@contextlib.contextmanager
def _limit_of_files(limits: tuple[int, int] | None) -> Iterator[None]:
    """Have a service's limit for the moment in which it is born; ours was raised above it."""
    if limits is None:
        yield
        return
    for fd in _PIPE:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        reserve_low_fds()


def _popen(
    request: dict[str, Any], launch: limits.Launch, outputs: tuple[int, int], nofile: tuple[int, int] | None
) -> subprocess.Popen[bytes]:
    stdin = _open_stdin(request.get("stdin") or os.devnull)
    try:
        for low, entry in zip(_LOW, launch.entries, strict=False):
            os.dup2(entry, low, inheritable=True)
        argv = request["argv"]
        if launch.prefix:
            argv = [*launch.prefix, request["executable"], *argv[1:]]
        with _limit_of_files(nofile):
            return subprocess.Popen(
                argv,
                executable="/bin/sh" if launch.prefix else request["executable"],
                stdin=stdin,
                stdout=outputs[0],
                stderr=outputs[1],
                cwd=request["cwd"],
                env={**request["env"], MARKER: request["marker"]},
                umask=request.get("umask", 0o022),
                user=request.get("uid"),
                group=request.get("gid"),
                extra_groups=request.get("groups"),
                start_new_session=True,
                # every fd of ours is close-on-exec from birth, and thousands are open: nothing to close one by one
                close_fds=False,
            )
    finally:
        os.close(stdin)


def _take_back_birth(popen: subprocess.Popen[bytes]) -> None:
    """End what was born a moment ago, with all of its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()


def _open_stdin(path: str) -> int:
    if path == os.devnull:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    # the keeper must not wait for whoever writes to a FIFO; the service does, for as long as it lives
    fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    fd = os.open(path, (os.O_RDWR if fifo else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    os.set_blocking(fd, True)
    return fd


def _take_back(entries: list[int]) -> None:
    if not entries:
        return
    for fd in entries:
        os.close(fd)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for low in _LOW[: len(entries)]:
        os.dup2(null, low, inheritable=False)
    os.close(null)
