"""Asking the keeper for lives: to begin one, to find one, to take one on of which it has lost the record."""

from __future__ import annotations

import asyncio
from typing import Any

from executors.process.command import Command
from executors.process.diagnose import explain
from executors.process.handle import ProcessHandle, endpoints_of
from executors.process.user import credentials_of
from harness_core.domain.executor import ExecutorContext, Lost, Marker, StartFailed, StartSpec
from harness_core.domain.spec import LogsSpec
from harness_core.runtime.keeper.client import KeeperLost, KeeperRefused
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.keeper.link import KeeperLink
from harness_core.runtime.processes import ProcessIdentity, Scanner

__all__ = ["Births"]

#: a keeper that dies while it spawns is asked again so often
_SPAWNS = 3


class Births:
    """The words in which lives are spoken of to the keeper; holds nothing."""

    def __init__(self, context: ExecutorContext, link: KeeperLink, scanner: Scanner) -> None:
        self._context = context
        self._link = link
        self._scanner = scanner

    def marker(self, marker: Marker) -> str:
        """The value that an instance's environment carries, unique on this machine."""
        return f"{self._context.instance}:{marker}"

    def request(self, spec: StartSpec, command: Command, program: str) -> dict[str, Any]:
        """The request that starts it. Raises ``StartFailed`` for a user that it cannot be started as."""
        return {
            "key": spec.marker.key,
            "epoch": spec.marker.epoch,
            "marker": self.marker(spec.marker),
            "executable": program,
            "argv": list(command.argv),
            "env": dict(command.env),
            "cwd": str(command.cwd),
            "stdin": None if command.stdin is None else str(command.stdin),
            "umask": command.umask,
            "limits": spec.limits.model_dump(exclude_none=True),
            "logs": self._logs(spec.marker.key, spec.logs),
            "endpoints": endpoints_of(spec.ports, spec.schemes),
            "forks": None if command.pid_file is None else str(command.pid_file),
            **credentials_of(spec.user),
        }

    def _logs(self, key: str, spec: LogsSpec) -> dict[str, Any]:
        kept = {"max_size": spec.max_size, "max_files": spec.max_files, "on_full": spec.on_full.value}
        return {"directory": str(self._context.logs.directory(key)), **kept}

    async def spawn(self, marker: Marker, request: dict[str, Any], command: Command) -> dict[str, Any]:
        """The keeper's report of the new life, or of the one that was there.

        Raises ``StartFailed`` when there is none, ``Lost`` when that cannot be found out.
        """
        for _ in range(_SPAWNS):
            failpoint("process.spawn.before")
            try:
                return _instance(await self._link.request("spawn", **request))
            except KeeperRefused as refused:
                raise await self._refusal(refused, command) from None
            except KeeperLost as lost:
                trouble = lost
            # it may have been spawned and its keeper died before it said so: look before another attempt
            try:
                report = await self.find(marker, None, request["logs"])
            except KeeperLost as lost:
                raise Lost(f"whether {marker.key} was started is unknown: {lost}") from None
            if report is not None:
                return report
        raise StartFailed(f"cannot start {marker.key}: {trouble}")

    async def _refusal(self, refused: KeeperRefused, command: Command) -> StartFailed:
        data = refused.data
        if data.get("code") == "spawn":
            return await asyncio.to_thread(explain, command, int(data["errno"]), str(data["stage"]))
        return StartFailed(str(refused))

    async def find(
        self, marker: Marker, known: ProcessHandle | None, logs: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The keeper's report of a life; one that it lost track of is handed back to it."""
        for report in (await self._link.request("list", key=marker.key))["instances"]:
            if report["epoch"] == marker.epoch:
                return dict(report)
        identity = known.identity if known is not None and known.identity.alive() else None
        if identity is None:
            for stat in (await self._scanner.table()).marked(self.marker(marker)):
                if stat.session == stat.pid:
                    identity = ProcessIdentity.proven(stat.pid, stat.start)
                    break
        if identity is None:
            return None
        found = known if known is not None and known.identity == identity else ProcessHandle(identity, logs=logs or {})
        failpoint("process.adopt.before")
        return _instance(await self._link.request("adopt", **self.adoption(marker, found)))

    def adoption(self, marker: Marker, known: ProcessHandle) -> dict[str, Any]:
        """The request by which the keeper takes on a living instance of which it has no record."""
        logs = known.logs or self._logs(marker.key, LogsSpec())
        return {
            "key": marker.key,
            "epoch": marker.epoch,
            "marker": self.marker(marker),
            "pid": known.identity.pid,
            "start": known.identity.start,
            "cgroups": list(known.cgroups),
            "logs": dict(logs),
            "endpoints": dict(known.endpoints),
        }


def _instance(answer: dict[str, Any]) -> dict[str, Any]:
    return dict(answer["instance"])
