"""What a conformance test wants an instance to do, and the POSIX shell script that does it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Feature", "Program", "script"]


class Feature(StrEnum):
    """What a target can be made to do; a suite names those that its target can, and gets the tests for them."""

    #: be brought to life by the executor, with an environment, so that nothing of it is missed although it ends at once
    AT_ONCE = "at_once"
    #: have its end known although no daemon lived to see it
    UNSEEN_END = "unseen_end"
    #: print given bytes on both streams
    OUTPUT = "output"
    #: print its arguments, environment and directory
    REPORT = "report"
    #: ignore TERM
    IGNORE_TERM = "ignore_term"
    #: end by a signal, told apart from an exit code
    EXIT_SIGNAL = "exit_signal"
    #: leave a process behind in its own process group and session
    GRANDCHILD = "grandchild"
    #: leave a process behind that has made a session of its own
    DAEMON = "daemon"


def _token() -> str:
    # a length of sleep that no other process on the machine sleeps: ten digits make a word to search for
    return f"3600.{random.randrange(10**9, 10**10)}"  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Program:
    """One behaviour. The parts happen in the order of the fields; without any, it ends at once with code 0."""

    #: leave a child behind: "child" in its own session, "daemon" in a new one; it ignores TERM, INT and HUP
    leaves: str = ""
    ignores_term: bool = False
    #: (stream, bytes) in this order
    prints: tuple[tuple[str, bytes], ...] = ()
    #: then the numbers 1 to this on stdout, one a line
    lines: int = 0
    #: then this many "x" and a newline on stdout
    long_line: int = 0
    #: then, on stdout: its arguments, directory and environment, a NUL byte after each
    reports: bool = False
    #: then it goes on for this many seconds; ``None``: until it is stopped
    runs: float | None = 0.0
    exit_code: int = 0
    #: end by this signal ("KILL") instead
    exit_signal: str = ""
    #: arguments given to the program besides what makes it do all this
    args: tuple[str, ...] = ()
    #: the directory to run in; "" means the base directory
    cwd: str = ""
    #: a word on the command line of every process of the program that stays
    token: str = field(default_factory=_token)


def script(program: Program) -> str:
    """The program for ``sh -c``. Needs a POSIX shell, and of tools sleep, seq, head, tr, env and setsid.

    ``program.args`` belong behind the script: ``["sh", "-c", script(program), "sh", *program.args]``.
    """
    parts: list[str] = []
    if program.leaves:
        detach = "setsid " if program.leaves == "daemon" else ""
        parts.append(f"(trap '' TERM INT HUP; exec {detach}sleep {program.token}1) </dev/null >/dev/null 2>&1 &")
    if program.ignores_term:
        parts.append("trap '' TERM")
    for stream, data in program.prints:
        target = " >&2" if stream == "stderr" else ""
        parts += [f"printf '{_octal(data[at : at + 1000])}'{target}" for at in range(0, len(data), 1000)]
    if program.lines:
        parts.append(f"seq 1 {program.lines}")
    if program.long_line:
        parts.append(f"head -c {program.long_line} /dev/zero | tr '\\000' x; echo")
    if program.reports:
        parts.append("printf '%s\\000' \"$@\"; printf '%s\\000' \"$(pwd)\"; env -0")
    if program.runs is None:
        parts.append(f"exec sleep {program.token}")
    elif program.runs:
        parts.append(f"sleep {program.runs}")
    parts.append(f"kill -s {program.exit_signal} $$; sleep 60" if program.exit_signal else f"exit {program.exit_code}")
    return "\n".join(parts)


def _octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)
