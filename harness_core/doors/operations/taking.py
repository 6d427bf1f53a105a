"""Taking over what runs already, giving up what is ours, and running a command beside a service."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Any

from harness_core.domain import select, views
from harness_core.domain.errors import Conflict, HarnessError, UsageError
from harness_core.domain.executor import ExecRequest, ExecSession, Executor, Marker
from harness_core.domain.protocol import Adopt, Done, Exec, ExecResult, Name
from harness_core.domain.states import ACTIVE, Phase, Started
from harness_core.domain.stimuli import Give, Taken
from harness_core.domain.unit import Unit
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime.manager import Manager

__all__ = ["bind"]

ADOPT_DEADLINE = 10.0
#: in which what is to be taken over can be named
_WAYS = ("pid", "port", "pid_file", "match", "container")
_PIECE = 65_536


def bind(table: Table, manager: Manager) -> None:
    taking = _Taking(manager)
    table.bind("service.adopt", taking.adopt)
    table.bind("service.forget", taking.forget)
    table.bind("exec", taking.exec)


class _Taking:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def adopt(self, request: Adopt, caller: Caller) -> Done:
        unit, executor = self._unit(request)
        name = unit.spec.name
        given = {way: getattr(request, way) for way in _WAYS}
        what = {way: value for way, value in given.items() if value is not None}
        if len(what) != 1:
            raise UsageError(f"cannot adopt: name exactly one of {', '.join(_WAYS)}")
        if unit.phase in ACTIVE:
            raise Conflict(f"cannot adopt for {name}: it is {views.word(unit)} already")
        if not executor.capabilities.adopt:
            raise UsageError(f"cannot adopt for {name}: the executor for {unit.spec.target['type']} takes nothing over")
        spec = self._manager.launch.spec(unit.with_(epoch=unit.epoch + 1))
        try:
            async with asyncio.timeout(ADOPT_DEADLINE):
                started = await executor.adopt(spec, what)
        except HarnessError as error:
            error.message = f"cannot adopt for {name}: {error.message}"
            raise
        taken = views.instance(unit.with_(started=started))
        if holder := self._holder(unit, started):
            await executor.forget(spec.marker, started.handle)
            raise Conflict(f"cannot adopt for {name}: {taken} is {holder} already")
        await self._manager.engine.submit(Taken(unit.key, started, caller.request))
        return {"ok": True, "message": f"{name} is {taken} from now on"}

    def _holder(self, unit: Unit, started: Started) -> str:
        """Another unit that runs as this very instance; empty when there is none."""
        for other in self._manager.world.units.values():
            known = other.started
            if known is None or other.key == unit.key or other.phase not in ACTIVE:
                continue
            if started.container_id is not None and started.container_id == known.container_id:
                return other.key
            if started.container_id is None and started.pid is not None and started.pid == known.pid:
                return other.key
        return ""

    async def forget(self, request: Name, caller: Caller) -> Done:
        unit, _executor = self._unit(request)
        if unit.phase in (Phase.STARTING, Phase.STOPPING):
            raise Conflict(f"cannot give up {unit.spec.name}: it is {views.word(unit)}", hint="wait until that is over")
        who = f" (pid {unit.started.pid} goes on)" if unit.started and unit.started.pid else ""
        await self._manager.engine.submit(Give(unit.key, caller.request))
        return {"ok": True, "message": f"{unit.spec.name} is given up{who}"}

    async def exec(self, request: Exec, caller: Caller, stream: Stream) -> ExecResult:
        del caller
        unit, executor = self._unit(request)
        if not request.argv:
            raise UsageError("cannot exec: no command given", hint=f"harness exec {unit.spec.name} -- COMMAND")
        if not executor.capabilities.exec:
            raise UsageError(f"cannot exec in {unit.spec.name}: its executor runs no commands")
        handle = unit.started.handle if unit.started else None
        session = await executor.exec(
            Marker(unit.spec.stack, unit.spec.name, unit.epoch),
            handle,
            self._manager.launch.spec(unit),
            ExecRequest(request.argv, request.env, request.tty, request.rows, request.columns),
        )
        input_ = asyncio.create_task(_feed(session, stream), name=f"exec input {unit.key}")
        try:
            async for name, data in session.output():
                for at in range(0, len(data), _PIECE):
                    await stream.send_bytes({"stream": name}, data[at : at + _PIECE])
            exit_ = views.exit_info(await session.wait())
            assert exit_ is not None
            return {"exit": exit_}
        finally:
            input_.cancel()
            await asyncio.gather(input_, return_exceptions=True)
            await session.close()

    def _unit(self, request: Name) -> tuple[Unit, Executor]:
        unit = select.one(self._manager.world, request.name, stack=request.stack, cwd=request.cwd)
        executor = self._manager.executors.get(unit.spec.target["type"])
        if executor is None:
            raise UsageError(f"no executor for the target type {unit.spec.target['type']!r}", hint="harness plugins")
        return unit, executor


async def _feed(session: ExecSession, stream: Stream) -> None:
    """Hand on what the caller sends; what makes no sense is passed over, as the command must not end for it."""
    async for item in stream.incoming():
        await _hand_on(session, item)
    await session.write_eof()


async def _hand_on(session: ExecSession, item: Mapping[str, Any]) -> None:
    if isinstance(text := item.get("stdin"), str):
        try:
            await session.write(base64.b64decode(text, validate=True))
        except (binascii.Error, ConnectionError):
            return
    if item.get("eof") is True:
        await session.write_eof()
    match item.get("resize"):
        case [int(rows), int(columns)] if 0 < rows < 10_000 and 0 < columns < 10_000:
            await session.resize(rows, columns)
        case _:
            pass
    if isinstance(signum := item.get("signal"), int) and 0 < signum < 65:
        await session.signal(signum)
