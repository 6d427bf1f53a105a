"""``top``: processor time and memory of each unit's whole process tree, sampled only while somebody looks."""

from __future__ import annotations

import asyncio
import os

import psutil

from harness_core.domain import select, views
from harness_core.domain.executor import Inspection, Marker
from harness_core.domain.protocol import Done, Top, TopResult, TopRow
from harness_core.domain.unit import Unit
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime.manager import Manager

__all__ = ["bind"]

MIN_INTERVAL, MAX_INTERVAL = 0.25, 3600.0
INSPECT_DEADLINE = 3.0


def bind(table: Table, manager: Manager) -> None:
    async def top(request: Top, caller: Caller, stream: Stream) -> Done:
        del caller
        interval = min(max(request.interval, MIN_INTERVAL), MAX_INTERVAL)
        sampler = _Sampler(manager)
        while True:
            units = select.select(manager.world, request.names, stack=request.stack, cwd=request.cwd)
            await stream.send(await sampler.sample(units))
            await asyncio.sleep(interval)

    table.bind("top", top)


class _Sampler:
    """Remembers the last reading, as a share of a processor is a difference."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._last: dict[str, tuple[float, float]] = {}
        self._self = psutil.Process(os.getpid())

    async def sample(self, units: list[Unit]) -> TopResult:
        live = [unit for unit in units if unit.started is not None]
        inspections = await asyncio.gather(*(self._inspect(unit) for unit in live))
        times = self._self.cpu_times()
        return {
            "services": [self._row(u, i) for u, i in zip(live, inspections, strict=True)],
            "daemon_cpu_percent": self._percent("", times.user + times.system),
            "daemon_memory_bytes": int(self._self.memory_info().rss),
        }

    def _row(self, unit: Unit, seen: Inspection) -> TopRow:
        clocks = self._manager.clocks()
        started_at = unit.started_at
        return {
            "name": unit.spec.name,
            "stack": unit.spec.stack,
            "pid": unit.started.pid if unit.started else None,
            "processes": len(seen.pids),
            "cpu_percent": self._percent(f"{unit.key}#{unit.epoch}", seen.cpu_seconds),
            "memory_bytes": seen.memory_bytes,
            "state": views.word(unit),
            "uptime_seconds": None if started_at is None else clocks.ago(started_at),
        }

    def _percent(self, key: str, seconds: float | None) -> float | None:
        now = self._manager.clock.monotonic()
        before = self._last.get(key)
        if seconds is None:
            return None
        self._last[key] = (now, seconds)
        if before is None or now <= before[0]:
            return None
        return round(max(0.0, seconds - before[1]) / (now - before[0]) * 100, 1)

    async def _inspect(self, unit: Unit) -> Inspection:
        executor = self._manager.executors.get(unit.spec.target["type"])
        if executor is None or unit.started is None:
            return Inspection()
        try:
            async with asyncio.timeout(INSPECT_DEADLINE):
                marker = Marker(unit.spec.stack, unit.spec.name, unit.epoch)
                return await executor.inspect(marker, unit.started.handle)
        except Exception:  # noqa: BLE001 - a missing reading is shown as one
            return Inspection()
