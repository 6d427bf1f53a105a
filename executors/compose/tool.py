"""The compose tool: which spelling of it is installed, and running it so that it may outlive the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness_core.domain.executor import Finding
from harness_core.runtime.keeper.procfs import MARKER
from harness_core.runtime.processes import ProcessIdentity, Scanner, wait_pidfd
from harness_core.runtime.stopping import Grace, Tree, stop_tree

__all__ = ["INSTALL", "Tool", "ToolFailed", "at_work", "doctor", "end_tool", "find_tool", "run_tool"]

INSTALL = "install Docker's compose plugin (apt-get install docker-compose-plugin) or docker-compose"
_QUESTION = 15.0
#: of what it says, as much is read as people would
_TAIL = 16 * 1024
#: how long it may take to leave when it is told to
_GRACE = 5.0
#: leaves word of how the tool ended for whoever comes later; the word is whole or not there
_WRAPPED = """
cd "$1" || exit 1
status=$2
shift 2
"$@"
code=$?
printf %s "$code" >"$status.new" && mv "$status.new" "$status"
exit "$code"
"""


class ToolFailed(Exception):
    """It ended otherwise than well, or not in time; the message is what it said last."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One installed spelling."""

    argv: tuple[str, ...]
    version: str

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} {self.version}"


def find_tool(env: Mapping[str, str]) -> Tool | None:
    """The compose tool on a PATH: ``docker compose``, or else ``docker-compose``. Blocks for a moment."""
    path = env.get("PATH", os.defpath)
    for argv in (("docker", "compose"), ("docker-compose",)):
        program = shutil.which(argv[0], path=path)
        if program is None:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(
                [program, *argv[1:], "version", "--short"],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_QUESTION,
                check=False,
            )
            version = asked.stdout.strip()
            # a docker without the plugin may take `compose` for something else, and not fail
            if asked.returncode == 0 and version.removeprefix("v")[:1].isdecimal():
                return Tool((program, *argv[1:]), version.removeprefix("v"))
    return None


async def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    output: Path,
    status: Path,
    marker: str,
    deadline: float,
    scanner: Scanner,
) -> None:
    """Run it to its end. Raises ``ToolFailed``; after the deadline it is ended with all that it started.

    It has a session of its own and writes to a file, so that it goes on when the daemon dies; how it ended is left in
    ``status``. Cancelling leaves it running.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(status)
    pid = _spawn(["/bin/sh", "-c", _WRAPPED, "sh", str(cwd), str(status), *argv], {**env, MARKER: marker}, output)
    leader = ProcessIdentity.of(pid)
    fd = os.pidfd_open(pid)
    try:
        async with asyncio.timeout(deadline):
            await wait_pidfd(fd)
    except TimeoutError:
        if leader is not None:
            await end_tool(leader, marker, scanner)
        await asyncio.to_thread(os.waitpid, pid, 0)
        raise ToolFailed(f"it was not done within {deadline:g} s: {_said(output)}") from None
    finally:
        os.close(fd)
    code = os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1])  # it has ended already
    if code != 0:
        raise ToolFailed(_said(output) or f"exit code {code}")


def _spawn(argv: Sequence[str], env: Mapping[str, str], output: Path) -> int:
    """Not a child as others are: nothing of ours ends it, and nobody minds that it is still there when we leave."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    defaults = signal.Signals.SIGPIPE, signal.Signals.SIGINT, signal.Signals.SIGTERM
    return os.posix_spawn(
        argv[0], list(argv), env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=defaults
    )


async def at_work(marker: str, scanner: Scanner) -> ProcessIdentity | None:
    """A tool that an earlier daemon started for this life and that still runs."""
    for stat in (await scanner.table()).marked(marker):
        found = ProcessIdentity.proven(stat.pid, stat.start)
        if found is not None:
            return found
    return None


async def end_tool(leader: ProcessIdentity, marker: str, scanner: Scanner) -> None:
    """End it and all that it started."""
    tree = Tree(leader, marker, spared=frozenset({os.getpid()}))
    await stop_tree(tree, signal.SIGTERM, Grace(_GRACE), scanner)


def _said(output: Path) -> str:
    """The end of what it said: what it calls an error, with what it announces, or else the last lines."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    errors = [
        line
        for line, before in zip(lines, ["", *lines], strict=False)
        if "error" in line.lower() or "invalid" in line.lower() or before.endswith(":")
    ]
    return "; ".join(dict.fromkeys((errors or lines)[-3:])).replace(":;", ":")[:1000]


async def doctor() -> list[Finding]:
    """Whether there is a compose tool, and which."""
    tool = await asyncio.to_thread(find_tool, os.environ)
    if tool is None:
        return [Finding("compose tool", "warning", "there is none", f"only compose projects need it; {INSTALL}")]
    return [Finding("compose tool", "ok", str(tool))]
