"""The projects that this daemon knows of: looked at whenever the engine says that something happened in one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from executors.compose.command import Part, outcome
from executors.compose.logs import ProjectLog
from executors.compose.project import list_parts
from executors.docker.engine import Engine, EngineLost, EngineRefused
from harness_core.domain.executor import Lost, Marker
from harness_core.domain.states import Exit

__all__ = ["ProjectLife"]

log = logging.getLogger(__name__)

#: containers that somebody adds are found after this long; the engine tells only of those that are watched
_EVERY = 10.0
#: somebody who stops a container may be about to start it again, and so may the engine: an end is told after this long
_RESTART = 1.5
#: a look that failed is repeated
_AGAIN = 1.0


class ProjectLife:
    """One project while it lives, and a future of its end, which is told once its last output is stored."""

    def __init__(
        self,
        engine: Engine,
        marker: Marker,
        project: str,
        main: str | None,
        output: ProjectLog,
        ended: Callable[[Exit], Awaitable[None]],
    ) -> None:
        self.marker = marker
        self.output = output
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        #: raised in whoever waits, while the truth cannot be had or is to be asked for anew
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: what happens to it now is our doing
        self.stopping = False
        self._engine = engine
        self._project = project
        self._main = main
        self._ended = ended
        self._watched: set[str] = set()
        self._named: bool | None = None
        self._look = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def begin(self, parts: list[Part]) -> None:
        """Watch it and follow its output from now on; these are its containers."""
        self._know(parts)
        self._looking = asyncio.create_task(self._keep_looking(), name=f"watching {self.marker}")
        self._look.set()

    async def close(self) -> None:
        """Know of it no more; it stays."""
        self._unwatch()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.output.close()
        self._break("the daemon leaves")

    async def wait(self) -> Exit:
        """Its end. Raises ``Lost`` when the engine is out of reach."""
        waits: list[asyncio.Future[Any]] = [self.exit, self.broken]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self.exit.done():
            return self.exit.result()
        self.broken.result()
        raise AssertionError("it is broken by an exception alone")

    @property
    def named(self) -> bool:
        """Whether each line says whose it is."""
        return bool(self._named)

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self, event: Mapping[str, Any] | None) -> None:
        """Something happened to one of its containers, or may have."""
        self._look.set()

    def lost(self, reason: str) -> None:
        """The engine is out of reach."""
        self._break(reason)

    def mend(self) -> None:
        """The truth is known again."""
        if self.broken.done():
            self.broken = asyncio.get_running_loop().create_future()

    def _break(self, reason: str) -> None:
        if not self.broken.done():
            self.broken.set_exception(Lost(reason))
            self.broken.exception()  # nobody may be waiting

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_looking(self) -> None:
        while not self.exit.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._look.wait()
            self._look.clear()
            try:
                exit_ = await self._find_out()
                if exit_ is not None:
                    await self._end(exit_)
            except EngineLost as error:
                if not self._engine.trouble:  # else it is told when the engine is back
                    log.info("looking at %s: %s", self.marker, error)
                    self._look_again()
            except (EngineRefused, OSError) as error:
                log.warning("looking at %s: %s", self.marker, error)
                self._look_again()

    def _look_again(self) -> None:
        asyncio.get_running_loop().call_later(_AGAIN, self._look.set)

    async def _find_out(self) -> Exit | None:
        """Its end, if it has ended."""
        parts = await self._parts()
        exit_ = self._judged(parts)
        if exit_ is None or exit_.success or self.stopping or not any(part.container.alive for part in parts):
            return exit_
        # others of it live: perhaps this one is about to be started again
        deadline = asyncio.get_running_loop().time() + _RESTART
        while exit_ is not None and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._look.wait()
            exit_ = self._judged(await self._parts())
        return exit_

    def _judged(self, parts: list[Part]) -> Exit | None:
        if not parts:
            return Exit(note="" if self.stopping else "its containers were removed by somebody else")
        return outcome(parts, self._main)

    async def _parts(self) -> list[Part]:
        parts = await list_parts(self._engine, self._project)
        self._know(parts)
        return parts

    def _know(self, parts: list[Part]) -> None:
        """Watch and follow what is new among them."""
        if self._named is None and parts:
            # one alone needs no name; whether it has one stays as it is, whatever comes and goes
            self._named = len({part.service for part in parts}) > 1 or len(parts) > 1
        for part in parts:
            if part.container.id not in self._watched:
                self._watched.add(part.container.id)
                self._engine.watch(part.container.id, self)
        self.output.follow(parts, named=bool(self._named))

    def _unwatch(self) -> None:
        for container in self._watched:
            self._engine.unwatch(container, self)
        self._watched.clear()

    async def _end(self, exit_: Exit) -> None:
        parts = await list_parts(self._engine, self._project)
        if not any(part.container.alive for part in parts):
            await self.output.finish()
        await self._ended(exit_)
        if not self.exit.done():
            self.exit.set_result(exit_)
