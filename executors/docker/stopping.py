"""Ending a container: asked, then forced, and seen to have ended."""

from __future__ import annotations

import asyncio
import signal as signals

from executors.docker.engine import Engine, EngineRefused
from executors.docker.handle import Container
from executors.docker.lives import Life, find_container
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.stopping import Grace

__all__ = ["end_container"]

#: how long KILL may take to be seen to have worked
_KILL = 15.0


async def end_container(engine: Engine, found: Container, life: Life, signum: int, grace: Grace) -> bool:
    """Return when it has ended and its last output is stored; whether it had to be killed.

    Raises ``EngineLost``, or ``EngineRefused`` when it will not end.
    """
    failpoint("docker.stop.before")
    forced = False
    if found.alive:
        ended = asyncio.create_task(_ended(engine, found.id), name=f"end of {found.name}")
        try:
            if found.status == "paused":  # what is frozen hears no signal
                await _told(engine.call(lambda client: client.unpause(found.id)))
            if grace.left > 0:
                await _told(engine.call(lambda client: client.kill(found.id, signal=_signal(found, signum))))
                failpoint("docker.stop.signalled")
                await grace.wait(ended)
            if not ended.done():
                forced = True
                await _told(engine.call(lambda client: client.kill(found.id, signal="SIGKILL")))
                await asyncio.wait([ended], timeout=_KILL)
            if not ended.done():
                raise EngineRefused(500, f"it did not end within {_KILL:g} s of being killed")
            ended.result()
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
    failpoint("docker.stop.ended")
    life.changed(None)
    await life.wait()
    return forced


async def _ended(engine: Engine, container: str) -> None:
    """The engine answers when it has ended."""
    while True:
        exchange = await engine.open("POST", f"/containers/{container}/wait?condition=not-running")
        try:
            if await exchange.read():
                return
        except OSError:
            pass  # the connection broke: look, and ask again
        finally:
            exchange.close()
        now = await find_container(engine, container)
        if now is None or not now.alive:
            return
        await asyncio.sleep(0.2)


def _signal(found: Container, signum: int) -> str:
    """The image knows which signal ends its program in order, where the stack file does not say otherwise."""
    own = found.raw["Config"].get("StopSignal")
    return str(own) if own and signum == signals.SIGTERM else signals.Signals(signum).name


async def _told(call: object) -> None:
    """A signal to what has ended meanwhile is no error."""
    try:
        await call  # type: ignore[misc]
    except EngineRefused as refused:
        if refused.status not in (404, 409):
            raise
