"""Taking a project down: its containers asked, then forced, their last output stored, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals

from executors.compose.births import Births
from executors.compose.command import Part, outcome
from executors.compose.handle import ComposeHandle
from executors.compose.lives import ProjectLife
from executors.compose.options import OnStop
from executors.compose.project import list_parts, remove_parts, signal_parts
from executors.compose.records import Record
from executors.compose.tool import ToolFailed, find_tool
from executors.docker.engine import Engine
from harness_core.domain.executor import Marker, StopReport
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.stopping import Grace

__all__ = ["end_project"]

#: how long KILL may take to be seen to have worked
_KILL = 15.0
_LOOK = 0.1
#: what the tool may take beyond the grace to end containers in order
_TOOL = 30.0


async def end_project(
    engine: Engine,
    known: ComposeHandle,
    record: Record | None,
    life: ProjectLife | None,
    births: Births,
    marker: Marker,
    signum: int,
    grace: Grace,
) -> StopReport:
    """Return when nothing of it is left. Raises ``EngineLost`` or ``EngineRefused``.

    Where the tool is gone, or fails, or our record of how it was called is lost, the engine does alone.
    """
    failpoint("compose.stop.before")
    await births.end_tool(marker)
    parts = await list_parts(engine, known.project)
    before = (record.exit if record is not None else None) or outcome(parts, known.main)
    forced = await _end(engine, known, record, parts, births, marker, signum, grace)
    failpoint("compose.stop.ended")
    parts = await list_parts(engine, known.project)
    if life is not None:
        life.output.follow(parts, named=life.named)
        await life.output.finish()
    exit_ = before or _summary(parts, known.main)
    if record is None or record.order.options.on_stop is OnStop.DOWN:
        await _remove(engine, known, record, births, marker)
        parts = await list_parts(engine, known.project)
        failpoint("compose.down.after")
        return StopReport(exit_, forced, tuple(f"the container {part.container.name}" for part in parts))
    living = tuple(f"the container {part.container.name}" for part in parts if part.container.alive)
    return StopReport(exit_, forced, living)


async def _end(
    engine: Engine,
    known: ComposeHandle,
    record: Record | None,
    parts: list[Part],
    births: Births,
    marker: Marker,
    signum: int,
    grace: Grace,
) -> bool:
    """Until no container lives; whether any had to be killed."""
    if not any(part.container.alive for part in parts):
        return False
    asking: asyncio.Task[None] | None = None
    if grace.left > 0:
        if signum != signals.SIGTERM:  # else each gets the signal that its image or the compose file names
            await signal_parts(engine, parts, signals.Signals(signum).name)
        asking = asyncio.create_task(_ask(engine, record, parts, births, marker, grace.left))
        await grace.wait(asking)
    forced = False
    try:
        left = [part for part in await list_parts(engine, known.project) if part.container.alive]
        if left:
            forced = True
            await signal_parts(engine, left, "SIGKILL")
        end = asyncio.get_running_loop().time() + _KILL
        while any(part.container.alive for part in await list_parts(engine, known.project)):
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(_LOOK)
    finally:
        if asking is not None:
            await births.end_tool(marker)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return forced


async def _ask(
    engine: Engine, record: Record | None, parts: list[Part], births: Births, marker: Marker, grace: float
) -> None:
    """Have all containers end, those first that others do not depend on."""
    tool = None if record is None else await asyncio.to_thread(find_tool, record.env)
    if record is not None and tool is not None:
        # a little longer than we wait ourselves: who has to be killed is to be seen here
        argv = record.order.stop(tool.argv, grace + 5)
        with contextlib.suppress(ToolFailed):
            await births.call(marker, record, argv, grace + _TOOL)
            return
    await asyncio.gather(*(_ended(engine, part, grace) for part in parts if part.container.alive))


async def _ended(engine: Engine, part: Part, grace: float) -> None:
    await engine.call(lambda client: client.stop(part.container.id, timeout=int(grace) + 5), deadline=grace + _TOOL)


async def _remove(engine: Engine, known: ComposeHandle, record: Record | None, births: Births, marker: Marker) -> None:
    """Containers and networks go; what the tool leaves, or without one all of it, by the engine."""
    tool = None if record is None else await asyncio.to_thread(find_tool, record.env)
    if record is not None and tool is not None and record.order.folder.is_dir():
        with contextlib.suppress(ToolFailed):
            await births.call(marker, record, record.order.down(tool.argv), record.order.options.down_timeout)
    await remove_parts(engine, known.project)


def _summary(parts: list[Part], main: str | None) -> Exit:
    """How a project ended that was asked to: its first container that did not end well, or well."""
    return outcome(parts, main) or Exit()
