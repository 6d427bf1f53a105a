"""Named places at which a test may kill, fail or delay a process: what is promised there can then be tried there.

A point is a call ``failpoint("keeper.spawn.after-exec")`` beside a durable step. It does nothing, at the price of one
call, unless the environment names it when the process starts::

    HARNESS_FAILPOINTS='keeper.spawn.after-exec=kill; commit.before=2*off->delay:0.5; segment.open=error:ENOSPC'

``kill`` is SIGKILL to the process itself, ``error`` raises an ``OSError`` (EIO, or the errno named), ``delay`` sleeps
for so many seconds; ``2*off->`` lets the first two visits pass. With ``HARNESS_FAILPOINTS_FIRED`` naming a folder, a
point acts once for all processes that share it, and leaves a file of its name there as proof.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time

__all__ = ["VARIABLES", "failpoint"]

#: what a daemon hands on to its keeper
VARIABLES = ("HARNESS_FAILPOINTS", "HARNESS_FAILPOINTS_FIRED")

_TERM = re.compile(r"(?:(?P<skip>\d+)\*off->)?(?P<action>kill|error|delay)(?::(?P<argument>[A-Z0-9.]+))?")


class _Armed:
    """One point that does something."""

    def __init__(self, name: str, term: str) -> None:
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"HARNESS_FAILPOINTS: {term!r} is not a term for {name}")
        self.name = name
        self.skip = int(match["skip"] or 0)
        self.action = match["action"]
        self.argument = match["argument"] or ""

    def visit(self) -> None:
        if self.skip > 0:
            self.skip -= 1
        elif _first(self.name):
            self.act()

    def act(self) -> None:
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "delay":
            time.sleep(float(self.argument or 1))
        else:
            number = getattr(errno, self.argument or "EIO")
            raise OSError(number, os.strerror(number), f"fail point {self.name}")


def _parse(text: str) -> dict[str, _Armed]:
    terms = [term.strip().split("=", 1) for term in text.split(";") if term.strip()]
    return {name: _Armed(name, term) for name, term in terms}


def _first(name: str) -> bool:
    """Whether no process has been here before us, where they keep a common account of it."""
    folder = os.environ.get("HARNESS_FAILPOINTS_FIRED")
    if folder is None:
        return True
    try:
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


_armed = _parse(os.environ.get("HARNESS_FAILPOINTS", ""))


def failpoint(name: str) -> None:
    """Do what the environment says about this point: as a rule nothing. May raise ``OSError``, or not return."""
    if _armed and name in _armed:
        _armed[name].visit()
