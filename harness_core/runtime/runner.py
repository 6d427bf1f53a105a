"""Carrying out effects: each as a task with a deadline, each answered by a stimulus, whatever happens.

Calls to one kind of executor share a bounded number of places, so that a frozen engine or host stalls only its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from harness_core.domain.addresses import probed
from harness_core.domain.effects import Effect, Forget, Recover, Spawn, StartChecks, Stop, StopChecks, Watch
from harness_core.domain.errors import HarnessError
from harness_core.domain.executor import (
    Ended,
    ExecRequest,
    ExecSession,
    Executor,
    Gone,
    Lost,
    Marker,
    Running,
    StartFailed,
    StopReport,
    Unknown,
)
from harness_core.domain.states import Exit, Handle, Kind, Started
from harness_core.domain.stimuli import Checked, Exited, Recovered, Spawned, SpawnFailed, Stimulus, StopEnded
from harness_core.domain.stimuli import Lost as LostNews
from harness_core.domain.unit import Unit
from harness_core.domain.world import World
from harness_core.runtime import outputs
from harness_core.runtime.answers import ask, marker, words
from harness_core.runtime.clock import Clock
from harness_core.runtime.ending import end_instance
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.launch import Launch
from harness_core.runtime.logs.store import LogStore
from harness_core.runtime.probes import ProbeContext, Prober

__all__ = ["Runner"]

log = logging.getLogger(__name__)

RECOVER_DEADLINE = 5.0
#: executor calls in flight at once, per kind
_PLACES = 64


class Runner:
    """``post`` takes the answers; ``executors`` are open ones by target type."""

    def __init__(
        self,
        executors: Mapping[str, Executor],
        launch: Launch,
        prober: Prober,
        post: Callable[[Stimulus], None],
        clock: Clock,
        logs: LogStore,
    ) -> None:
        self._executors = executors
        self._launch = launch
        self._prober = prober
        self._post = post
        self._clock = clock
        self._logs = logs
        self._places = {kind: asyncio.Semaphore(_PLACES) for kind in executors}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: dict[str, asyncio.Task[None]] = {}

    def carry_out(self, effect: Effect, world: World) -> None:
        """Begin an effect; returns at once."""
        if isinstance(effect, StopChecks):
            self._prober.stop(effect.key)
            return
        if isinstance(effect, Forget):
            self._start(self._forget(effect, world.units.get(effect.key)), effect)
            return
        unit = world.units.get(getattr(effect, "key", ""))
        if unit is None:
            return
        match effect:
            case Spawn():
                self._start(self._spawn(unit, effect.epoch), effect)
            case Watch():
                self._watches[unit.key] = self._start(self._watch(unit, effect.epoch), effect)
            case Stop():
                self._start(self._stop(unit, effect), effect)
            case Recover():
                self._start(self._recover(unit, effect.epoch), effect)
            case StartChecks():
                self._start_checks(unit, effect.epoch)
            case _:
                pass

    async def close(self) -> None:
        """End all effect tasks. What they were about is found again by the next daemon."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], effect: Effect) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{type(effect).__name__} {getattr(effect, 'key', '')}")
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, effect))
        return task

    def _ended(self, task: asyncio.Task[None], effect: Effect) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("carrying out %s broke", task.get_name(), exc_info=error)
            self._confess(effect, words(error))

    def _confess(self, effect: Effect, why: str) -> None:
        """Nothing is known of how an effect went. The world waits for an answer, and can live with this one."""
        match effect:
            case Spawn(key, epoch) | Watch(key, epoch):
                self._post(LostNews(key, epoch, f"what became of it was not heard: {why}"))
            case Stop(key, epoch):
                jitter = random.random()  # noqa: S311 - spreads restarts, protects nothing
                self._post(StopEnded(key, epoch, StopReport(None, leftovers=(why,)), self._clock.wall(), {}, jitter))
            case Recover(key, epoch):
                self._post(Recovered(key, epoch, Unknown(f"looking for it broke: {why}")))
            case _:
                pass

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _spawn(self, unit: Unit, epoch: int) -> None:
        key, jitter = unit.key, random.random()  # noqa: S311 - spreads restarts, protects nothing
        executor = self._executors.get(unit.spec.target["type"])
        if executor is None:
            self._post(SpawnFailed(key, epoch, f"no executor for the target type {unit.spec.target['type']!r}", True))
            return
        try:
            spec = await self._launch.prepare(unit, listens=executor.capabilities.listens_here)
        except HarnessError as error:
            permanent = getattr(error, "permanent", True)
            self._post(SpawnFailed(key, epoch, _sentence(error), permanent, jitter=jitter))
            return
        except Exception as error:  # a full disk, a plugin's model: nothing was begun, so it is a failed start
            log.warning("preparing the start of %s broke", key, exc_info=error)
            self._post(SpawnFailed(key, epoch, f"cannot prepare its start: {words(error)}", jitter=jitter))
            return
        try:
            async with self._places[unit.spec.target["type"]], asyncio.timeout(executor.capabilities.start_deadline):
                started = await ask(executor.start(spec), Started)
        except StartFailed as error:
            news = SpawnFailed(key, epoch, _sentence(error), error.permanent, jitter=jitter, absent=error.absent)
            self._post(news)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; it may have started all the same
            log.warning("the start of %s ended without an answer: %r", key, error)
            self._post(LostNews(key, epoch, f"its start gave no answer ({words(error)})"))
        else:
            failpoint("runner.spawned")
            self._post(Spawned(key, epoch, started, dict(spec.ports)))

    # ── living ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self, unit: Unit, epoch: int) -> None:
        executor, handle = self._of(unit)
        if executor is None or handle is None:
            self._post(LostNews(unit.key, epoch, "no executor can watch it"))
            return
        try:
            exit_ = await ask(executor.wait(marker(unit, epoch), handle), Exit)
        except Lost as lost:
            self._post(LostNews(unit.key, epoch, str(lost)))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit included
            log.warning("watching %s broke", unit.key, exc_info=error)
            self._post(LostNews(unit.key, epoch, f"watching it broke: {words(error)}"))
        else:
            failpoint("runner.exited")
            self._post(Exited(unit.key, epoch, exit_))

    def _start_checks(self, unit: Unit, epoch: int) -> None:
        try:
            check = self._launch.check(unit)
        except Exception as error:  # noqa: BLE001 - raised into the engine's own turn, anything would end the daemon
            why = _sentence(error) if isinstance(error, HarnessError) else words(error)
            self._post(Checked(unit.key, epoch, False, why))
            return

        executor, handle = self._of(unit)

        async def execute(argv: Sequence[str]) -> ExecSession:
            if executor is None:
                raise Lost("there is no executor for it")
            return await executor.exec(marker(unit, epoch), handle, self._launch.spec(unit), ExecRequest(argv))

        endpoints, host = probed(unit)
        context = ProbeContext(
            endpoints=endpoints,
            host=host,
            execute=execute if executor is not None and executor.capabilities.exec else None,
            base_dir=Path(unit.spec.base_dir),
            working_dir=Path(unit.spec.base_dir, str(unit.spec.target.get("working_dir") or "")),
        )
        age = 0.0 if unit.started_at is None else self._clock.monotonic() - unit.started_at
        self._prober.start(unit.key, epoch, check, context, age=age, ready=unit.ready_at is not None)

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stop(self, unit: Unit, effect: Stop) -> None:
        executor, handle = self._of(unit)
        if executor is None or handle is None:
            report = StopReport(unit.exit)
        else:
            report = await end_instance(executor, handle, unit, effect, self._launch, self._clock)
        found: Mapping[str, str] = {}
        if unit.spec.kind is Kind.TASK and not report.leftovers:
            found = await asyncio.to_thread(self._launch.read_outputs, unit, effect.epoch)
            failpoint("runner.outputs")
        jitter = random.random()  # noqa: S311 - spreads restarts, protects nothing
        failpoint("runner.stopped")
        self._post(StopEnded(unit.key, effect.epoch, report, self._clock.wall(), found, jitter))

    async def _recover(self, unit: Unit, epoch: int) -> None:
        executor, handle = self._of(unit)
        if executor is None:
            recovery: Any = Unknown(f"no executor for the target type {unit.spec.target['type']!r}")
        else:
            try:
                async with self._places[unit.spec.target["type"]], asyncio.timeout(RECOVER_DEADLINE):
                    recovery = await ask(executor.recover(marker(unit, epoch), handle), Running, Ended, Gone, Unknown)
            except TimeoutError:
                recovery = Unknown(f"no answer within {RECOVER_DEADLINE:g} s")
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # as above
                log.warning("looking for %s broke", unit.key, exc_info=error)
                recovery = Unknown(f"looking for it broke: {words(error)}")
        if isinstance(recovery, Running):
            log.info("took back %s, life %d", unit.key, epoch)
        failpoint("runner.recovered")
        self._post(Recovered(unit.key, epoch, recovery))

    async def _forget(self, effect: Forget, unit: Unit | None) -> None:
        if (watch := self._watches.pop(effect.key, None)) is not None:
            watch.cancel()
        stack, name = effect.key.split("/", 1)
        for executor in self._executors.values():
            try:
                async with asyncio.timeout(RECOVER_DEADLINE):
                    await ask(executor.forget(Marker(stack, name, effect.epoch), None), NoneType)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; what it keeps is only clutter
                log.warning("forgetting %s broke: %r", effect.key, error)
        if unit is None:
            await asyncio.to_thread(self._logs.forget, effect.key)
            await asyncio.to_thread(outputs.forget, self._launch.state_dir, effect.key)

    def _of(self, unit: Unit) -> tuple[Executor | None, Handle | None]:
        executor = self._executors.get(unit.spec.target["type"])
        return executor, unit.started.handle if unit.started else None


def _sentence(error: HarnessError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message
