"""Programs that go into the background by themselves: from the start command that ended to the process that stays.

The keeper keeps such a life open when its start command ends well, until it is told which process the life goes on
with. Whoever is the daemon by then reads that from the pid file and believes it only when the process is proven to
come from that start command: a pid file may be old, and it may be anybody's.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executors.process.births import Births
from executors.process.handle import ProcessHandle
from executors.process.lives import handle_of
from harness_core.domain.errors import HarnessError
from harness_core.domain.executor import Lost, Marker, StartFailed
from harness_core.runtime.finding import find_process
from harness_core.runtime.keeper.client import KeeperLost, KeeperRefused
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.keeper.link import KeeperLink
from harness_core.runtime.keeper.procfs import MARKER, environment_value, read_stat
from harness_core.runtime.processes import ProcessIdentity, Scanner
from harness_core.runtime.stopping import Grace, Tree, stop_tree

__all__ = ["Forking", "NotForked", "hands_over"]

#: how long a start command may take, and then its process to write the pid file
_COMMAND, _PID_FILE = 20.0, 5.0
#: the same in all for a daemon that finds it so
_LATE = 3.0
_LOOK = (0.005, 0.1)


class NotForked(Exception):
    """No process is left by a start command; the message says what was found instead."""


def hands_over(report: dict[str, Any]) -> bool:
    """Whether a life still waits for its main process to be named."""
    return report["exit"] is None and report.get("forks") is not None and "led" not in report


class Forking:
    """Names the main process of a life to the keeper. ``tree`` tells what belongs to a life; holds nothing itself."""

    def __init__(
        self, link: KeeperLink, births: Births, tree: Callable[[Marker, ProcessHandle], Tree], scanner: Scanner
    ) -> None:
        self._link = link
        self._births = births
        self._tree = tree
        self._scanner = scanner

    async def settle(self, marker: Marker, report: dict[str, Any]) -> dict[str, Any]:
        """The keeper's report once the life has its main process, or has ended because the start command failed.

        Raises ``StartFailed`` when neither comes, after which nothing of it is left.
        """
        try:
            return await self._settle(marker, report)
        except KeeperLost as lost:
            raise Lost(f"whether {marker.key} was started is unknown: {lost}") from None
        except NotForked as error:
            tree = self._tree(marker, handle_of(report))
            outcome = await stop_tree(tree, signals.SIGKILL, Grace(0), self._scanner)
            left = f"; left: {', '.join(outcome.leftovers)}" if outcome.leftovers else ""
            with contextlib.suppress(KeeperLost):
                await self._end(marker)
            raise StartFailed(f"cannot start {marker.key}: {error}{left}") from None

    async def settle_late(self, marker: Marker, report: dict[str, Any]) -> dict[str, Any]:
        """The same for a start command that ended while no daemon lived.

        Without a main process the life has ended; what it left is ended before the next one begins.
        """
        try:
            async with asyncio.timeout(_LATE):
                return await self._settle(marker, report)
        except (NotForked, TimeoutError):
            return await self._end(marker)

    async def _settle(self, marker: Marker, report: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        until, (step, longest), waits = loop.time() + _COMMAND, _LOOK, False
        why = f"its start command did not end within {_COMMAND:g} s; one that stays in the foreground needs no pid_file"
        while hands_over(report):
            if report.get("forked"):
                until, waits = until if waits else loop.time() + _PID_FILE, True
                try:
                    return await self._name(marker, report)
                except NotForked as error:
                    why = str(error)
            if loop.time() >= until:
                raise NotForked(why)
            await asyncio.sleep(step)
            step = min(longest, step * 2)
            report = await self._again(marker)
        return report

    async def _end(self, marker: Marker) -> dict[str, Any]:
        return dict((await self._link.request("lead", key=marker.key, epoch=marker.epoch, pid=None))["instance"])

    async def _name(self, marker: Marker, report: dict[str, Any]) -> dict[str, Any]:
        keeper = 0 if self._link.keeper is None else self._link.keeper.pid
        identity = await asyncio.to_thread(_main_process, report, self._births.marker(marker), keeper)
        failpoint("process.lead.before")
        try:
            answer = await self._link.request(
                "lead", key=marker.key, epoch=marker.epoch, pid=identity.pid, start=identity.start
            )
        except KeeperRefused as refused:
            raise NotForked(f"{report['forks']} names a process that ended at once: {refused}") from None
        return dict(answer["instance"])

    async def _again(self, marker: Marker) -> dict[str, Any]:
        for report in (await self._link.request("list", key=marker.key))["instances"]:
            if report["epoch"] == marker.epoch:
                return dict(report)
        raise NotForked("nothing is known of it any more")


def _main_process(report: dict[str, Any], value: str, keeper: int) -> ProcessIdentity:
    """The process that the pid file names, proven to come from the start command."""
    file = Path(str(report["forks"]))
    try:
        identity = find_process({"pid_file": file})
    except HarnessError as error:
        raise NotForked(f"its start command has ended, and {error.message}") from None
    if identity.start < int(report["start"]):
        raise NotForked(f"{file} names pid {identity.pid}, which ran before its start command")
    # some write over their environment to show another title; then it must be an orphan that came to the keeper
    marked, stat = environment_value(identity.pid, MARKER), read_stat(identity.pid)
    if marked != value and (stat is None or stat.ppid != keeper):
        raise NotForked(f"{file} names pid {identity.pid}, which its start command did not start")
    return identity
