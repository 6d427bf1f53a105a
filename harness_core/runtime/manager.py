"""Everything that runs a stack, put together: store, engine, executors, checks, logs. What the doors' handlers hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness_core.domain.definition import StackDefinition
from harness_core.domain.effects import Effect
from harness_core.domain.executor import Executor, ExecutorContext, Marker, StopReport, Unknown
from harness_core.domain.secrets import mask_text
from harness_core.domain.stimuli import Checked, Lost, Progressed, Recovered, SpawnFailed, Stimulus, StopEnded
from harness_core.domain.store import Store
from harness_core.domain.views import Clocks
from harness_core.domain.world import World
from harness_core.runtime.clock import Clock, SystemClock, boot_id
from harness_core.runtime.engine import Engine
from harness_core.runtime.launch import Launch
from harness_core.runtime.logs.reader import Query, read_lines
from harness_core.runtime.logs.store import LogStore
from harness_core.runtime.plugins import Plugins
from harness_core.runtime.probes import Prober
from harness_core.runtime.runner import Runner
from harness_core.runtime.statedir import place_of

__all__ = ["Manager"]

log = logging.getLogger(__name__)

OPEN_DEADLINE = 10.0
#: how long callers wait at most for what an earlier daemon left to be taken back
TAKE_BACK = 1.5


class Manager:
    """``open`` takes everything back that an earlier daemon left; ``close`` leaves everything running."""

    def __init__(
        self, state_dir: Path, store: Store, plugins: Plugins, *, instance: str, clock: Clock | None = None
    ) -> None:
        self.state_dir = state_dir
        self.store = store
        self.plugins = plugins
        self.clock = clock or SystemClock()
        self.logs = LogStore(state_dir / "logs")
        self.engine = Engine(store, self._carry_out, clock=self.clock)
        self.launch = Launch(state_dir, plugins.executors, lambda: self.engine.snapshot.world)
        self.prober = Prober(self._checked, self.logs)
        self.executors: dict[str, Executor] = {}
        #: what is out of order, in sentences
        self.problems: list[str] = []
        self._instance = instance
        self._runner: Runner | None = None
        #: by stack, for the definition and the outputs that they were collected from
        self._hidden: dict[str, tuple[StackDefinition, dict[str, Mapping[str, str]], list[str]]] = {}

    async def open(self) -> None:
        self.logs.open()
        for kind, plugin in self.plugins.executors.items():
            directory = self.state_dir / "executors" / kind
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                executor = plugin.factory(ExecutorContext(directory, self.logs, self._instance, self._progressed))
                async with asyncio.timeout(OPEN_DEADLINE):
                    await executor.open()
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                log.exception("the executor for %s cannot be opened", kind)
                self.problems.append(f"the executor for {kind} cannot be opened: {error}")
                continue
            self.executors[kind] = executor
        self._runner = Runner(self.executors, self.launch, self.prober, self._post, self.clock, self.logs)
        self.problems += await self.engine.open(boot_id=boot_id(), place=place_of(self.state_dir))
        await self._take_back()

    async def _take_back(self) -> None:
        """Give what is looked for a moment to be found, so that the first caller is not shown "unknown" for nothing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TAKE_BACK
        while any(unit.reason.code == "seeking" for unit in self.world.units.values()):
            if not await self.engine.feed.wait(max(0.0, deadline - loop.time())):
                return

    async def close(self) -> None:
        await self.engine.close()
        if self._runner is not None:
            await self._runner.close()
        await self.prober.close()
        for kind, executor in self.executors.items():
            try:
                async with asyncio.timeout(OPEN_DEADLINE):
                    await executor.close()
            except asyncio.CancelledError:
                raise
            except BaseException:
                log.exception("the executor for %s did not close in order", kind)
        await self.logs.close()

    @property
    def world(self) -> World:
        return self.engine.snapshot.world

    async def last_lines(self, key: str, count: int) -> list[str]:
        """The newest stored lines of a unit's last life, both streams in order of time, as text."""
        epoch = self.world.units[key].epoch
        found = await read_lines(self.logs, {key: epoch}, Query(tail=count))
        lines = [stored.line for stored in found.lines[-count:] if stored.line.epoch == epoch]
        return [line.data.decode("utf-8", "backslashreplace") for line in lines]

    def clocks(self) -> Clocks:
        return Clocks(self.clock.monotonic(), self.clock.wall())

    def option_models(self) -> Mapping[str, type]:
        return {kind: plugin.options for kind, plugin in self.plugins.executors.items()}

    def _carry_out(self, effect: Effect, world: World) -> None:
        assert self._runner is not None
        self._runner.carry_out(effect, world)

    def _checked(self, key: str, epoch: int, ok: bool | None, detail: str, seconds: float) -> None:
        self._post(Checked(key, epoch, ok, detail, seconds))

    def _progressed(self, marker: Marker, how_far: str) -> None:
        self._post(Progressed(marker.key, marker.epoch, how_far))

    def _post(self, news: Stimulus) -> None:
        """Tell the world, without the secrets of a stack in what is said about it: it will stand in the journal."""
        match news:
            case Checked():
                news = replace(news, detail=self._discreet(news.key, news.detail))
            case SpawnFailed() | Progressed():
                news = replace(news, message=self._discreet(news.key, news.message))
            case Lost():
                news = replace(news, reason=self._discreet(news.key, news.reason))
            case Recovered(recovery=Unknown(reason) as unknown):
                news = replace(news, recovery=replace(unknown, reason=self._discreet(news.key, reason)))
            case StopEnded(report=StopReport(leftovers=left)) if left:
                told = tuple(self._discreet(news.key, one) for one in left)
                news = replace(news, report=replace(news.report, leftovers=told))
        self.engine.post(news)

    def _discreet(self, key: str, text: str) -> str:
        return mask_text(text, self.hidden(key.partition("/")[0]))

    def all_hidden(self) -> list[str]:
        """The secret values that are known of any stack."""
        return sorted({value for stack in self.world.stacks for value in self.hidden(stack)}, key=len, reverse=True)

    def hidden(self, stack: str) -> list[str]:
        """The secret values that are known of a stack, the longest first."""
        world = self.world
        definition = world.stacks.get(stack)
        if definition is None:
            return []
        outputs = {unit.key: unit.outputs for unit in world.of_stack(stack) if unit.outputs}
        known = self._hidden.get(stack)
        if known is None or known[0] is not definition or known[1] != outputs:
            known = self._hidden[stack] = (definition, outputs, definition.hidden(outputs))
        return known[2]
