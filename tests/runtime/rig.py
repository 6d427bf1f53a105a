"""An engine whose effects are written down instead of carried out, and a daemon without doors over a mock world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from harness_core.domain.effects import Effect
from harness_core.domain.spec import UnitSpec
from harness_core.domain.states import Phase
from harness_core.domain.stimuli import Apply, TimePassed
from harness_core.domain.store import Store
from harness_core.domain.unit import Unit
from harness_core.domain.world import World
from harness_core.runtime.engine import Engine
from harness_core.runtime.manager import Manager
from harness_core.runtime.plugins import Plugins
from harness_core.testing.clock import ManualClock
from harness_core.testing.executor import MockWorld, mock_plugin
from harness_core.testing.store import MemoryStore
from tests.domain.build import stack

#: nothing here takes longer, unless it hangs
PATIENCE = 10.0


class Rig:
    """One engine over a store that may outlive it. ``effects`` are what it wanted done, in order."""

    def __init__(self, store: Store | None = None, clock: ManualClock | None = None) -> None:
        self.store: Any = MemoryStore() if store is None else store
        self.clock = clock or ManualClock()
        self.effects: list[Effect] = []
        self.seen: Callable[[Effect, World], None] = lambda effect, world: None
        self.engine = Engine(self.store, self._carry_out, clock=self.clock)
        self.problems: list[str] = []

    def _carry_out(self, effect: Effect, world: World) -> None:
        self.effects.append(effect)
        self.seen(effect, world)

    @asynccontextmanager
    async def running(self, boot_id: str = "boot-1") -> AsyncIterator[Rig]:
        self.problems = await self.engine.open(boot_id=boot_id)
        try:
            yield self
        finally:
            await self.engine.close()

    async def apply(self, *specs: UnitSpec) -> None:
        await self.engine.submit(Apply(stack(*specs), tuple(spec.key for spec in specs)))

    async def turn(self) -> None:
        """Let the engine look at the clock, and wait until it has."""
        self.engine.post(TimePassed())
        assert await self.engine.feed.wait(PATIENCE)

    def __getitem__(self, name: str) -> Unit:
        return self.engine.snapshot.world.units[f"s/{name}"]


async def until(condition: Callable[[], Any], engine: Engine) -> None:
    """Wait until what the engine publishes satisfies the condition."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await engine.feed.wait(0.05)


class Lair:
    """What outlives a daemon: its directory, its store, and the instances that it started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = MemoryStore()
        self.mock = MockWorld()

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Manager]:
        """A daemon that leaves in the end as one that was told to; instances stay."""
        plugins = Plugins({"mock": mock_plugin(self.mock)}, [])
        manager = Manager(self.path, self.store, plugins, instance="test")
        await manager.open()
        try:
            yield manager
        finally:
            await manager.close()


async def start(manager: Manager, *specs: UnitSpec) -> None:
    await manager.engine.submit(Apply(stack(*specs), tuple(spec.key for spec in specs)))


async def reach(manager: Manager, name: str, phase: Phase) -> Unit:
    await until(lambda: manager.world.units[f"s/{name}"].phase is phase, manager.engine)
    return manager.world.units[f"s/{name}"]
