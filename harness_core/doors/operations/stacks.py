"""Stack files: checking them, saying what they would do, defining and starting them."""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path

from harness_core.domain import plan as planning
from harness_core.domain import select
from harness_core.domain.definition import StackDefinition
from harness_core.domain.errors import Conflict, InvalidConfiguration, NotFound, UsageError
from harness_core.domain.loading import Loaded, load_stack
from harness_core.domain.outcome import Goal
from harness_core.domain.protocol import (
    Done,
    OperationResult,
    PlanResult,
    PlanStack,
    StackName,
    StackSource,
    StartStack,
    ValidateResult,
    ValidateStack,
)
from harness_core.domain.resolved import target_options
from harness_core.domain.secrets import mask
from harness_core.domain.spec import UnitSpec
from harness_core.domain.states import ACTIVE, Kind, Wanted
from harness_core.domain.stimuli import Apply, Give, WantDown
from harness_core.doors.operations.following import follow_until, result_of
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime import ports
from harness_core.runtime.launch import fingerprint
from harness_core.runtime.manager import Manager

__all__ = ["bind"]

#: an env file is a list of variables, not a data store
_MAX_ENV_FILE = 1 << 20
#: how long a rollback is watched; it goes on by itself
ROLLBACK_DEADLINE = 60.0


def bind(table: Table, manager: Manager) -> None:
    stacks = _Stacks(manager)
    table.bind("stack.validate", stacks.validate)
    table.bind("stack.plan", stacks.plan)
    table.bind("stack.start", stacks.start)
    table.bind("stack.forget", stacks.forget)


class _Stacks:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def validate(self, request: ValidateStack, caller: Caller) -> ValidateResult:
        del caller
        loaded = await self._load(request.source, strict=request.strict)
        resolved = None
        if loaded.stack is not None:
            dump = loaded.stack.model_dump(mode="json", exclude_defaults=True, exclude={"secrets"})
            resolved = mask(dump, secrets=loaded.stack.hidden())
        return {"ok": loaded.stack is not None, "diagnostics": loaded.diagnostics, "resolved": resolved}

    async def plan(self, request: PlanStack, caller: Caller) -> PlanResult:
        del caller
        stack, _warnings = await self._definition(request.source)
        self._known(stack, request.names)
        prints = await _fingerprints(stack)
        world = self._manager.world
        steps = planning.plan(world, stack, request.names, request.profiles, prints)
        acting = {step["name"] for step in steps if step["action"] in ("start", "restart", "run")}
        problems = await asyncio.to_thread(self._problems, [stack.units[name] for name in acting])
        empty = all(step["action"] in ("keep", "skip") and not step["changes"] for step in steps)
        return {"stack": stack.name, "steps": steps, "problems": problems, "empty": empty}

    async def start(self, request: StartStack, caller: Caller, stream: Stream) -> OperationResult:
        manager, began = self._manager, self._manager.clock.monotonic()
        stack, warnings = await self._definition(request.source)
        self._known(stack, request.names)
        before = manager.world.stacks.get(stack.name)
        chosen = list(request.names) if request.no_deps and request.names else None
        names = chosen or planning.wanted_names(stack, request.names, request.profiles)
        prints = await _fingerprints(stack)
        steps = planning.plan(manager.world, stack, request.names, request.profiles, prints)
        unchanged = before is not None and all(s["action"] in ("keep", "skip") and not s["changes"] for s in steps)
        snapshot = manager.engine.snapshot
        started = [f"{stack.name}/{s['name']}" for s in steps if s["action"] in ("start", "run")]
        was_up = tuple(unit.key for unit in manager.world.of_stack(stack.name) if unit.wanted is Wanted.UP)
        await manager.engine.submit(
            Apply(
                stack,
                tuple(f"{stack.name}/{name}" for name in names),
                caller.request,
                ports=self._ports(stack),
                fingerprints=prints,
                rerun=request.rerun_tasks,
                ungated=request.no_deps,
            )
        )
        goals = {f"{stack.name}/{name}": Goal.READY for name in names}
        if not request.wait:
            result = await result_of(manager, goals, began=began)
            result["ok"], result["failures"] = True, []
        else:
            after = snapshot.seq
            result = await follow_until(manager, goals, stream, after=after, began=began, timeout=request.timeout)
        result["stack"] = stack.name
        result["unchanged"] = unchanged and result["ok"] and not request.rerun_tasks
        result["warnings"] = [*warnings, *result["warnings"]]
        if request.rollback and not result["ok"] and request.wait:
            await self._roll_back(before, started, was_up, caller, stream)
            result["rolled_back"] = True
        return result

    async def forget(self, request: StackName, caller: Caller) -> Done:
        world = self._manager.world
        if request.stack not in world.stacks:
            select.select(world, [], stack=request.stack)
        active = [unit.spec.name for unit in world.of_stack(request.stack) if unit.phase in ACTIVE]
        if active:
            raise Conflict(
                f"cannot forget {request.stack}: {', '.join(active)} {'runs' if len(active) == 1 else 'run'} still",
                hint=f"harness stop {request.stack}",
            )
        await self._manager.engine.submit(Give(request.stack, caller.request))
        return {"ok": True, "message": f"{request.stack} is forgotten"}

    # ── loading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _definition(self, source: StackSource) -> tuple[StackDefinition, list[str]]:
        loaded = await self._load(source)
        if loaded.stack is None:
            errors = sum(1 for d in loaded.diagnostics if d["severity"] == "error")
            raise InvalidConfiguration(
                f"cannot use {source.filename}: {errors} error{'s' if errors != 1 else ''}",
                data={"diagnostics": loaded.diagnostics},
            )
        warnings = [f"{d['file']}:{d['line']}: {d['message']}" for d in loaded.diagnostics]
        return loaded.stack, warnings

    async def _load(self, source: StackSource, *, strict: bool = False) -> Loaded:
        base = Path(source.base_dir)
        if not base.is_absolute():
            raise UsageError("cannot use a relative base_dir: it must be absolute")

        def read(path: str) -> bytes:
            with Path(path).open("rb") as file:
                return file.read(_MAX_ENV_FILE + 1)

        def load(instance: str | None) -> Loaded:
            return load_stack(source, self._manager.option_models(), read=read, instance=instance, strict=strict)

        loaded = await asyncio.to_thread(load, source.name)
        if loaded.stack is not None and source.name is None:
            name = self._instance_name(loaded.stack.title, source.base_dir)
            if name != loaded.stack.name:
                loaded = await asyncio.to_thread(load, name)
        return loaded

    def _instance_name(self, title: str, base_dir: str) -> str:
        """The name under which this checkout of a stack is known: the first one has the plain name, others add their
        folder's, so that two checkouts live side by side."""
        stacks = self._manager.world.stacks
        for name, stack in stacks.items():
            if stack.title == title and stack.base_dir == base_dir and name.startswith(title):
                return name
        if title not in stacks:
            return title
        folder = "".join(c if c.isalnum() else "-" for c in Path(base_dir).name.lower()).strip("-") or "copy"
        candidate, number = f"{title}.{folder}"[:60], 2
        while candidate in stacks:
            candidate, number = f"{title}.{folder}"[:56] + f".{number}", number + 1
        return candidate

    def _known(self, stack: StackDefinition, names: list[str]) -> None:
        for name in names:
            if name not in stack.units:
                near = difflib.get_close_matches(name, stack.units, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(stack.units)}"
                raise NotFound(f"{stack.title} has no service or task called {name!r}", hint=hint)

    # ── what a start needs to know ───────────────────────────────────────────────────────────────────────────────────

    def _ports(self, stack: StackDefinition) -> dict[str, dict[str, int]]:
        units = self._manager.world.units
        taken = self._manager.launch.reserved()
        chosen: dict[str, dict[str, int]] = {}
        for spec in stack.units.values():
            known = units[spec.key].ports if spec.key in units else {}
            chosen[spec.key] = self._manager.launch.choose_ports(spec, known, taken)
        return chosen

    def _problems(self, specs: list[UnitSpec]) -> list[str]:
        problems: list[str] = []
        for spec in specs:
            for name, port in spec.ports.items():
                unit = self._manager.world.units.get(spec.key)
                ours = unit is not None and unit.started is not None
                if isinstance(port.port, int) and not ours and not ports.is_free(port.port):
                    holder = ports.holder(port.port)
                    by = f" by {holder}" if holder else ""
                    problems.append(f"{spec.name}: port {port.port} ({name}) is taken{by}")
            plugin = self._manager.plugins.executors.get(spec.target["type"])
            if plugin is not None and plugin.check is not None:
                try:
                    options = target_options(plugin.options, spec.target)
                except ValueError:
                    continue  # a field that gets its value only at the start
                env = {**spec.env, **spec.target.get("env", {})}
                problems += [f"{spec.name}: {text}" for text in plugin.check(options, Path(spec.base_dir), env)]
        return problems

    async def _roll_back(
        self,
        before: StackDefinition | None,
        started: list[str],
        was_up: tuple[str, ...],
        caller: Caller,
        stream: Stream,
    ) -> None:
        """Undo what this start did: stop what it started, and put the old definition back where there was one."""
        manager, began = self._manager, self._manager.clock.monotonic()
        after = manager.engine.snapshot.seq
        await manager.engine.submit(WantDown(tuple(started), caller.request, "rolled back"))
        goals = {key: Goal.STOPPED for key in started if key not in was_up}
        if before is not None:
            prints = await _fingerprints(before)
            ports_before = self._ports(before)
            await manager.engine.submit(Apply(before, was_up, caller.request, ports=ports_before, fingerprints=prints))
            goals.update(dict.fromkeys(was_up, Goal.READY))
        await follow_until(manager, goals, stream, after=after, began=began, timeout=ROLLBACK_DEADLINE)


async def _fingerprints(stack: StackDefinition) -> dict[str, str]:
    specs = [spec for spec in stack.units.values() if spec.kind is Kind.TASK]
    return await asyncio.to_thread(lambda: {spec.key: fingerprint(spec) for spec in specs})
