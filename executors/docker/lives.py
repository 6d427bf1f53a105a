"""The containers that this daemon knows of: each looked at whenever the engine says that something happened to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.handle import Container
from executors.docker.logs import Follower
from harness_core.domain.executor import Lost, Marker
from harness_core.domain.states import Exit

__all__ = ["Life", "find_container", "paused"]

log = logging.getLogger(__name__)

#: somebody who stops a container may be about to start it again: the end is told after this long
_RESTART = 1.5
#: a look that failed is repeated
_AGAIN = 1.0


async def find_container(engine: Engine, container: str) -> Container | None:
    """The container of an id or name, as it is now; ``None``: there is none."""
    try:
        return Container(await engine.call(lambda client: client.inspect_container(container)))
    except EngineRefused as refused:
        if refused.status == 404:
            return None
        raise


class Life:
    """One container while it lives, and a future of its end, which is told once its last output is stored."""

    def __init__(
        self,
        engine: Engine,
        marker: Marker,
        container: Container,
        follower: Follower | None,
        ended: Callable[[Exit], Awaitable[None]],
    ) -> None:
        self.marker = marker
        self.container = container.id
        self.follower = follower
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        #: raised in whoever waits, while the truth cannot be had or is to be asked for anew
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: what is done to it now is our doing
        self.stopping = False
        self._engine = engine
        self._ended = ended
        self._begun = str(container.state.get("StartedAt"))
        self._killed: int | None = None
        self._died: Exit | None = None
        self._look = asyncio.Event()
        self._looking = asyncio.create_task(self._keep_looking(), name=f"watching {marker}")
        engine.watch(container.id, self)
        if follower is not None:
            follower.begin()
        self._look.set()

    async def close(self) -> None:
        """Know of it no more; it stays."""
        self._engine.unwatch(self.container, self)
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        if self.follower is not None:
            await self.follower.close()
        self._break("the daemon leaves")

    async def wait(self) -> Exit:
        """Its end. Raises ``Lost`` when the engine is out of reach, or when it has to be looked at anew."""
        either: list[asyncio.Future[Any]] = [self.exit, self.broken]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.exit.done():
            return self.exit.result()
        self.broken.result()
        raise AssertionError("it is broken by an exception alone")

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, event: Mapping[str, Any] | None) -> None:
        action = "" if event is None else str(event.get("Action", ""))
        facts: Mapping[str, Any] = {} if event is None else event["Actor"].get("Attributes") or {}
        if action == "kill" and not self.stopping:
            self._killed = _number(facts.get("signal"))
        elif action == "die":
            self._died = Exit(code=_number(facts.get("exitCode")))
        self._look.set()

    def lost(self, reason: str) -> None:
        self._break(reason)

    def _break(self, reason: str) -> None:
        if not self.broken.done():
            self.broken.set_exception(Lost(reason))
            self.broken.exception()  # nobody may be waiting

    def mend(self) -> None:
        """The truth is known again."""
        if self.broken.done():
            self.broken = asyncio.get_running_loop().create_future()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_looking(self) -> None:
        while not self.exit.done():
            await self._look.wait()
            self._look.clear()
            try:
                exit_ = await self._find_out()
                if exit_ is not None:
                    await self._end(exit_)
            except EngineLost as error:
                if not self._engine.trouble:  # else it is told when the engine is back
                    log.info("looking at %s: %s", self.marker, error)
                    self._look_again(_AGAIN)
            except (EngineRefused, OSError) as error:
                log.warning("looking at %s: %s", self.marker, error)
                self._look_again(_AGAIN)

    def _look_again(self, delay: float) -> None:
        asyncio.get_running_loop().call_later(delay, self._look.set)

    async def _find_out(self) -> Exit | None:
        """Its end, if it has ended."""
        now = await find_container(self._engine, self.container)
        if now is not None and not now.alive and self._killed is not None and not self.stopping:
            # ended by somebody else's hand: perhaps only to be started again
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESTART):
                    while now is not None and not now.alive:
                        await self._look.wait()
                        self._look.clear()
                        now = await find_container(self._engine, self.container)
        if now is None:
            died = self._died or Exit()
            return Exit(died.code, note="" if self.stopping else "its container was removed by somebody else")
        if now.alive:
            if str(now.state.get("StartedAt")) != self._begun:
                self._begun, self._killed = str(now.state.get("StartedAt")), None
                self._break("its container was restarted by somebody else")
            elif now.status == "paused" and not self.stopping:
                self._break(paused(now))
            return None
        exit_ = now.exit()
        if self._killed is not None and not self.stopping:
            return Exit(exit_.code, oom=exit_.oom, at=exit_.at, note=_by_hand(self._killed))
        return exit_

    async def _end(self, exit_: Exit) -> None:
        if self.follower is not None:
            await self.follower.finish()
        await self._ended(exit_)
        self._engine.unwatch(self.container, self)
        if not self.exit.done():
            self.exit.set_result(exit_)


def paused(container: Container) -> str:
    """What is told of a container that somebody froze: it neither runs nor has it ended."""
    return f"its container is paused by somebody else; docker unpause {container.name} lets it go on"


def _by_hand(signum: int) -> str:
    try:
        return f"its container was sent {signal.Signals(signum).name} by somebody else"
    except ValueError:
        return f"its container was sent signal {signum} by somebody else"


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() else None
