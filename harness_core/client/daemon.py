"""The local daemon: found, or started detached when a command needs it, by exactly one of those who ask at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time

from harness_core.client import fast, locate
from harness_core.client.endpoint import Endpoint
from harness_core.domain.errors import Conflict, HarnessError, InvalidConfiguration, NotAllowed, OperationFailed

__all__ = ["answers", "ensure", "is_held", "running_pid"]

START_TIMEOUT = 15.0
_PROBE_TIMEOUT = 2.0
_PAUSE = 0.02
_LAST_LINES = 10


def ensure(directory: str, timeout: float = START_TIMEOUT) -> Endpoint:
    """The daemon of a state directory, started when it does not run; returns when it answers.

    Raises ``OperationFailed`` with the last lines of its log when it ends or does not answer within ``timeout``
    seconds, ``InvalidConfiguration`` when the directory cannot be one, ``Conflict`` when another command tries to start
    one for that long, ``NotAllowed`` when what answers is not ours.
    """
    if found := answers(directory):
        return found
    deadline = time.monotonic() + timeout
    lock = _open_lock(directory)
    try:
        _wait_for_turn(lock, deadline, directory)
        # whoever had the lock before us may have started it
        return answers(directory) or _start(directory, deadline, timeout)
    finally:
        os.close(lock)


def _open_lock(directory: str) -> int:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(directory, error) from None
    locate.check_owner(directory)
    return _open_private(directory, "daemon.start.lock", os.O_RDWR)


def answers(directory: str) -> Endpoint | None:
    """The daemon of a state directory if it answers; ``None`` when there is none, or it died without tidying up.

    Raises ``NotAllowed`` when a daemon runs, but what answers cannot be trusted or does not accept us.
    """
    pid = running_pid(directory)
    if pid is None:
        return None
    _check_token(directory, pid)
    try:
        endpoint = locate.local_endpoint(directory)
        fast.call(endpoint, "hello", timeout=_PROBE_TIMEOUT)
    except NotAllowed:
        if not is_held(directory):
            return None  # what a dead daemon left behind now leads to somebody else
        raise
    except HarnessError:
        return None
    return endpoint


def _check_token(directory: str, pid: int) -> None:
    """A daemon writes its token before its address: where it lives and the token is gone, nobody will get in."""
    path = os.path.join(directory, "token")
    if not os.path.lexists(path) and is_held(directory):
        raise NotAllowed(
            f"cannot use the daemon (pid {pid}): its token {path} is gone",
            hint=f"kill {pid}   ends it and leaves services running; the next one makes a new token",
        )


def running_pid(directory: str) -> int | None:
    """The process that ``daemon.json`` names, if one has that number; whether it answers is another matter."""
    found = locate.daemon_file(directory)
    pid = found.get("pid") if found else None
    if not isinstance(pid, int) or pid <= 0 or _is_zombie(pid):
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except OSError:
        return None
    return pid


def is_held(directory: str) -> bool:
    """Whether a living daemon holds the state directory's lock: the one proof that a number in a file cannot give."""
    try:
        lock = os.open(os.path.join(directory, "daemon.lock"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _start(directory: str, deadline: float, timeout: float) -> Endpoint:
    log_path = os.path.join(directory, "daemon.log")
    stale = locate.daemon_file(directory)
    log = _open_private(directory, "daemon.log", os.O_WRONLY | os.O_APPEND)
    try:
        told = os.fstat(log).st_size
        process = subprocess.Popen(
            # -P: what lies in the user's current directory is not ours to import
            [sys.executable, "-P", "-m", "harness", "daemon", "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HARNESS_STATE_DIR": directory},
            start_new_session=True,
        )
    finally:
        os.close(log)
    try:
        while time.monotonic() < deadline:
            if locate.daemon_file(directory) != stale and (found := answers(directory)):
                return found
            # when the lock is held although ours ended, somebody else started one at the same moment
            if (code := process.poll()) is not None and not is_held(directory):
                raise _not_started(f"it ended with code {code}", log_path, told)
            time.sleep(_PAUSE)
        raise _not_started(f"it does not answer after {timeout:g} s", log_path, told)
    finally:
        # it goes on without us, which Popen would warn about
        process.returncode = process.returncode or 0


def _open_private(directory: str, name: str, flags: int) -> int:
    """A file of the state directory, made when missing. Raises ``NotAllowed`` for a link."""
    path = os.path.join(directory, name)
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if os.path.islink(path):
            raise NotAllowed(f"cannot use {path}: it is a symbolic link", hint="remove it") from None
        raise _unusable(directory, error) from None


def _unusable(directory: str, error: OSError) -> InvalidConfiguration:
    return InvalidConfiguration(
        f"cannot use {directory} as the state directory: {(error.strerror or str(error)).lower()}",
        hint="HARNESS_STATE_DIR names another",
    )


def _wait_for_turn(lock: int, deadline: float, directory: str) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Conflict(
                    f"cannot start the daemon: another command has been starting it for {directory} all the time",
                    hint="try again, or look at: harness daemon logs",
                ) from None
        time.sleep(_PAUSE)


def _not_started(why: str, log_path: str, told: int) -> OperationFailed:
    try:
        with open(log_path, "rb") as file:
            file.seek(told)
            lines = file.read()[-65536:].decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    except OSError:
        lines = []
    story = "".join(f"\n  {line}" for line in lines)
    return OperationFailed(
        f"cannot start the daemon: {why}{':' if story else ''}{story}",
        hint=f"the whole story is in {log_path}",
        data={"last_lines": lines},
    )


def _is_zombie(pid: int) -> bool:
    """Where nobody reaps orphans, the dead keep their number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (OSError, IndexError):
        return False
