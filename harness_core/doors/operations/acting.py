"""Starting, stopping and restarting what is registered; waiting; running tasks again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from harness_core.domain import select, views
from harness_core.domain.errors import Conflict, UsageError
from harness_core.domain.outcome import Goal
from harness_core.domain.protocol import Act, OperationResult, PlanResult, PlanStep, Role, RunTask, Wait
from harness_core.domain.states import ACTIVE, Kind, Phase, Wanted
from harness_core.domain.stimuli import WantDown, WantUp
from harness_core.domain.unit import Unit
from harness_core.doors.operations.following import follow_until, result_of
from harness_core.doors.table import Caller, Stream, Table
from harness_core.doors.tokens import LOCAL_NAME
from harness_core.runtime.launch import fingerprint
from harness_core.runtime.manager import Manager

__all__ = ["bind", "fingerprints_of"]


def bind(table: Table, manager: Manager) -> None:
    actions = _Actions(manager)
    table.bind("service.start", actions.start)
    table.bind("service.stop", actions.stop)
    table.bind("service.restart", actions.restart)
    table.bind("service.wait", actions.wait)
    table.bind("service.affected", actions.affected)
    table.bind("task.run", actions.run)


async def fingerprints_of(units: Iterable[Unit]) -> dict[str, str]:
    """What each task among the units would do now; reads their input files in a thread."""
    specs = [unit.spec for unit in units if unit.spec.kind is Kind.TASK]
    return await asyncio.to_thread(lambda: {spec.key: fingerprint(spec) for spec in specs})


class _Actions:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def start(self, request: Act, caller: Caller, stream: Stream) -> OperationResult:
        named = self._chosen(request)
        chosen = named if request.names else [unit for unit in named if unit.spec.enabled and not unit.spec.profiles]
        keys = [u.key for u in chosen] if request.no_deps else select.with_dependencies(self._manager.world, chosen)
        return await self._up(keys, request, caller, stream)

    async def restart(self, request: Act, caller: Caller, stream: Stream) -> OperationResult:
        chosen = [u for u in self._chosen(request) if u.spec.kind is Kind.SERVICE or request.names]
        if not request.names:
            chosen = [u for u in chosen if u.wanted is Wanted.UP]
        foreign = self._foreign(request, chosen, "restart")
        keys = [u.key for u in chosen if u not in foreign]
        result = await self._up(keys, request, caller, stream, restart=True)
        result["warnings"] += [f"{u.spec.name} was not started by harness: it is left as it is" for u in foreign]
        return result

    async def stop(self, request: Act, caller: Caller, stream: Stream) -> OperationResult:
        manager, began = self._manager, self._manager.clock.monotonic()
        chosen = self._chosen(request)
        foreign = self._foreign(request, chosen, "stop")
        keys = [u.key for u in chosen] if request.no_deps else select.with_dependents(manager.world, chosen)
        grace = 0.0 if request.force else request.grace
        idle = all(manager.world.units[key].phase not in ACTIVE for key in keys)
        before = manager.engine.snapshot.seq
        await manager.engine.submit(WantDown(tuple(keys), caller.request, _cause(caller, "stop"), grace))
        goals = dict.fromkeys(keys, Goal.STOPPED)
        if idle or not request.wait:
            result = await self._at_once(goals, began, unchanged=idle)
        else:
            result = await follow_until(manager, goals, stream, after=before, began=began, timeout=request.timeout)
        result["warnings"] += [f"{u.spec.name} was not started by harness: let go, it goes on" for u in foreign]
        return result

    async def wait(self, request: Wait, caller: Caller, stream: Stream) -> OperationResult:
        try:
            goal = Goal(request.condition)
        except ValueError:
            known = ", ".join(goal.value for goal in Goal)
            raise UsageError(f"no condition is called {request.condition!r}", hint=f"known: {known}") from None
        manager = self._manager
        chosen = select.select(manager.world, request.names, stack=request.stack, cwd=request.cwd)
        if not request.names:
            chosen = [u for u in chosen if u.wanted is Wanted.UP or goal is Goal.STOPPED]
        goals = {unit.key: goal for unit in chosen}
        began, after = manager.clock.monotonic(), manager.engine.snapshot.seq
        output, timeout = caller.role >= Role.LOGS, request.timeout
        return await follow_until(manager, goals, stream, after=after, began=began, timeout=timeout, output=output)

    async def run(self, request: RunTask, caller: Caller, stream: Stream) -> OperationResult:
        manager, began = self._manager, self._manager.clock.monotonic()
        world = manager.world
        chosen = select.select(world, request.names, stack=request.stack, cwd=request.cwd)
        tasks = [unit for unit in chosen if unit.spec.kind is Kind.TASK]
        if request.names and len(tasks) != len(chosen):
            other = next(unit for unit in chosen if unit.spec.kind is not Kind.TASK)
            raise UsageError(
                f"cannot run {other.spec.name}: it is a service, not a task", hint=f"harness start {other.spec.name}"
            )
        keys = select.with_dependencies(world, tasks)
        prints = await fingerprints_of(world.units[key] for key in keys)
        before = manager.engine.snapshot.seq
        others = tuple(key for key in keys if key not in {task.key for task in tasks})
        if others:
            await manager.engine.submit(WantUp(others, caller.request, _cause(caller, "start"), fingerprints=prints))
        named = tuple(task.key for task in tasks)
        wish = WantUp(named, caller.request, _cause(caller, "run"), rerun=request.again, fingerprints=prints)
        await manager.engine.submit(wish)
        goals = dict.fromkeys(named, Goal.COMPLETED)
        return await follow_until(manager, goals, stream, after=before, began=began, timeout=request.timeout)

    async def affected(self, request: Act, caller: Caller) -> PlanResult:
        del caller
        world = self._manager.world
        chosen = self._chosen(request)
        self._foreign(request, chosen, "stop")  # nobody is asked about what would be refused
        named = {unit.key for unit in chosen}
        keys = [key for key in select.with_dependents(world, chosen) if world.units[key].phase in ACTIVE]
        steps: list[PlanStep] = [_stop_step(world.units[key], key in named) for key in keys]
        stack = chosen[0].spec.stack if chosen else ""
        return {"stack": stack, "steps": steps, "problems": [], "empty": not steps}

    async def _up(
        self, keys: list[str], request: Act, caller: Caller, stream: Stream, *, restart: bool = False
    ) -> OperationResult:
        manager, began = self._manager, self._manager.clock.monotonic()
        units = manager.world.units
        prints = await fingerprints_of(units[key] for key in keys)
        snapshot = manager.engine.snapshot
        idle = not restart and all(_is_up(units[key], prints.get(key)) for key in keys)
        wish = WantUp(
            tuple(keys),
            caller.request,
            _cause(caller, "restart" if restart else "start"),
            restart=restart,
            ungated=request.no_deps and not restart,
            fingerprints=prints,
        )
        await manager.engine.submit(wish)
        goals = dict.fromkeys(keys, Goal.READY)
        if idle or not request.wait:
            return await self._at_once(goals, began, unchanged=idle)
        return await follow_until(manager, goals, stream, after=snapshot.seq, began=began, timeout=request.timeout)

    async def _at_once(self, goals: dict[str, Goal], began: float, *, unchanged: bool) -> OperationResult:
        result = await result_of(self._manager, goals, began=began)
        if not unchanged:
            # nobody waits for the outcome, so what is still under way is no failure
            result["failures"], result["ok"] = [], True
        result["unchanged"] = unchanged
        return result

    def _foreign(self, request: Act, chosen: list[Unit], verb: str) -> list[Unit]:
        """Those of the units that run without having been started by us.

        Raises ``Conflict`` for one that is named itself; along with others, a stop lets go of it.
        """
        manager = self._manager
        executors = {unit.key: manager.executors.get(unit.spec.target["type"]) for unit in chosen}
        able = {key: executor is None or executor.capabilities.stop for key, executor in executors.items()}
        foreign = [unit for unit in chosen if unit.started is not None and not able[unit.key]]
        named = {name for name in request.names if name not in manager.world.stacks}
        for unit in foreign:
            if named & {unit.spec.name, unit.key}:
                raise Conflict(
                    f"cannot {verb} {unit.spec.name}: harness did not start {views.instance(unit)} and only looks on",
                    hint=f"{verb} it where it was started, or give it up: harness forget {unit.spec.name}",
                )
        return foreign

    def _chosen(self, request: Act) -> list[Unit]:
        if not request.names and not request.all and request.stack is None:
            raise UsageError("name what is meant", hint="services, stacks or globs; or --all")
        return select.select(self._manager.world, request.names, stack=request.stack, cwd=request.cwd)


def _is_up(unit: Unit, fingerprint_now: str | None) -> bool:
    if unit.wanted is not Wanted.UP or unit.outdated or unit.replace:
        return False
    if unit.spec.kind is Kind.TASK:
        return unit.phase is Phase.COMPLETED and unit.with_(fingerprint=fingerprint_now or "").is_done
    return unit.ready


def _stop_step(unit: Unit, named: bool) -> PlanStep:
    why = "asked for" if named else f"depends on {', '.join(e.name for e in unit.spec.edges)}"
    return {
        "name": unit.spec.name,
        "kind": unit.spec.kind.value,
        "action": "stop",
        "why": f"{why} ({views.word(unit)})",
        "changes": [],
        "wave": 0,
    }


def _cause(caller: Caller, verb: str) -> str:
    """Who is named only where it was not the daemon's own user at this machine."""
    return f"asked to {verb}" if caller.name in ("", LOCAL_NAME) else f"{caller.name} asked to {verb} it"
