"""The daemon itself: what it is, its log, its health, its end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from harness_core.domain.executor import Finding
from harness_core.domain.protocol import (
    PROTOCOL_VERSION,
    CheckRow,
    DaemonLogs,
    DaemonStatus,
    DoctorResult,
    Done,
    EnvNames,
    EnvResult,
    Hello,
    Nothing,
    StopDaemon,
)
from harness_core.domain.secrets import mask_env
from harness_core.domain.states import ACTIVE, Phase, Wanted
from harness_core.domain.stimuli import WantDown
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime.manager import Manager

__all__ = ["About", "bind"]

_LOG_BLOCK = 65_536
_LOG_POLL = 0.5
_LOW_DISK = 200 * 1024 * 1024
#: how long an executor may look for what it needs
_LOOK = 15.0
STOP_SERVICES_DEADLINE = 120.0


class About:
    """What only the program around the manager knows."""

    def __init__(
        self,
        version: str,
        url: Callable[[], str],
        connections: Callable[[], int],
        certificate_expires: Callable[[], float | None],
        leave: Callable[[], None],
    ) -> None:
        self.version, self.url, self.connections = version, url, connections
        self.certificate_expires, self.leave = certificate_expires, leave


def bind(table: Table, manager: Manager, about: About) -> None:
    daemon = _Daemon(manager, about)
    table.bind("hello", daemon.hello)
    table.bind("daemon.status", daemon.status)
    table.bind("daemon.stop", daemon.stop)
    table.bind("daemon.logs", daemon.logs)
    table.bind("daemon.env", daemon.env)
    table.bind("doctor", daemon.doctor)


class _Daemon:
    def __init__(self, manager: Manager, about: About) -> None:
        self._manager, self._about = manager, about
        self._started, self._started_wall = manager.clock.monotonic(), manager.clock.wall()

    async def hello(self, request: Nothing, caller: Caller) -> Hello:
        del request
        return {
            "version": self._about.version,
            "protocol": PROTOCOL_VERSION,
            "role": caller.role.name.lower(),
            "capabilities": sorted(self._manager.executors),
            "api_version": "harness/v1",
        }

    async def status(self, request: Nothing, caller: Caller) -> DaemonStatus:
        del request, caller
        manager, about = self._manager, self._about
        units = manager.world.units.values()
        keeper = getattr(manager.executors.get("process"), "keeper_pid", None)
        return {
            "pid": os.getpid(),
            "url": about.url(),
            "version": about.version,
            "state_dir": str(manager.state_dir),
            "protocol": PROTOCOL_VERSION,
            "uptime_seconds": round(manager.clock.monotonic() - self._started, 3),
            "started_at": self._started_wall,
            "services": len(manager.world.units),
            "running": sum(1 for unit in units if unit.phase is Phase.RUNNING),
            "connections": about.connections(),
            "read_only": manager.engine.read_only,
            "executors": sorted(manager.executors),
            "keeper_pid": keeper if isinstance(keeper, int) else None,
            "problems": list(dict.fromkeys([*manager.problems, *manager.store.damaged])),
            "certificate_expires": about.certificate_expires(),
        }

    async def stop(self, request: StopDaemon, caller: Caller) -> Done:
        manager = self._manager
        message = "the daemon stops; services stay up"
        if request.stop_services:
            keys = tuple(key for key, unit in manager.world.units.items() if unit.wanted is Wanted.UP)
            await manager.engine.submit(WantDown(keys, caller.request, "the daemon was asked to stop everything"))
            left = await self._all_down()
            message = f"the daemon stops; still running: {', '.join(left)}" if left else "everything is stopped"
        asyncio.get_running_loop().call_later(0.1, self._about.leave)
        return {"ok": True, "message": message}

    async def _all_down(self) -> list[str]:
        """Wait until nothing runs any more; names what still does after the deadline."""
        manager = self._manager
        deadline = manager.clock.monotonic() + STOP_SERVICES_DEADLINE
        while True:
            left = [unit.spec.name for unit in manager.world.units.values() if unit.phase in ACTIVE]
            remaining = deadline - manager.clock.monotonic()
            if not left or remaining <= 0:
                return left
            await manager.engine.feed.wait(remaining)

    async def logs(self, request: DaemonLogs, caller: Caller, stream: Stream) -> Done:
        """The daemon's own log, read from its file; following looks twice a second, as nobody tells of its growth."""
        del caller
        path = self._manager.state_dir / "daemon.log"
        lines, offset = await asyncio.to_thread(_tail, path, request.tail)
        await stream.send({"lines": lines})
        while request.follow:
            await asyncio.sleep(_LOG_POLL)
            more, offset = await asyncio.to_thread(_since, path, offset)
            if more:
                await stream.send({"lines": more})
        return {"ok": True, "message": ""}

    async def env(self, request: EnvNames, caller: Caller) -> EnvResult:
        del caller
        masked = mask_env({name: os.environ[name] for name in request.names if name in os.environ})
        return {"values": {name: masked.get(name) for name in request.names}}

    async def doctor(self, request: Nothing, caller: Caller) -> DoctorResult:
        del request, caller
        manager = self._manager
        checks = [_check("daemon", not manager.problems, "; ".join(manager.problems) or "in order", "")]
        checks.append(
            _check(
                "registry",
                not manager.engine.read_only,
                manager.engine.read_only or "can be written",
                "free space on the disk that holds the state directory",
            )
        )
        free = shutil.disk_usage(manager.state_dir).free
        checks.append(
            _check("disk", free > _LOW_DISK, f"{free / 2**30:.1f} GiB free", "logs and state need room; free some")
        )
        checks += [
            _check(f"plugin {row['name']}", row["status"] == "ok", row["problem"] or ", ".join(row["types"]), "")
            for row in manager.plugins.rows
        ]
        for kind, plugin in manager.plugins.executors.items():
            if plugin.doctor is not None:
                checks += await _findings(kind, plugin.doctor)
        for unit in manager.world.units.values():
            if unit.phase in (Phase.FAILED, Phase.BLOCKED, Phase.UNKNOWN):
                name = unit.spec.name
                checks.append(_check(f"service {name}", False, unit.reason.sentence, f"harness explain {name}"))
        return {"checks": checks}


async def _findings(kind: str, look: Callable[[], Awaitable[Sequence[Finding]]]) -> list[CheckRow]:
    try:
        async with asyncio.timeout(_LOOK):
            found = await look()
        return [{"name": f.name, "status": f.status, "detail": f.detail, "hint": f.hint} for f in found]
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and that is a finding too
        return [_check(kind, False, f"looking at what it needs broke: {type(error).__name__}: {error}", "")]


def _check(name: str, good: bool, detail: str, hint: str) -> CheckRow:
    return {"name": name, "status": "ok" if good else "problem", "detail": detail, "hint": "" if good else hint}


def _tail(path: Path, lines: int | None) -> tuple[list[str], int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            want = None if lines is None else max(lines, 0)
            block = _LOG_BLOCK
            while True:
                start = max(0, size - block)
                file.seek(start)
                found = file.read(size - start).decode("utf-8", "backslashreplace").splitlines()
                if start == 0 or (want is not None and len(found) > want):
                    return found[len(found) - want :] if want is not None and want < len(found) else found, size
                block *= 4
    except OSError:
        return [], 0


def _since(path: Path, offset: int) -> tuple[list[str], int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < offset:
                offset = 0
            file.seek(offset)
            data = file.read(1 << 20)
    except OSError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode("utf-8", "backslashreplace").splitlines(), offset + len(whole)
