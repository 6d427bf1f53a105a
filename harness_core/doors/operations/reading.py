"""Looking: status, its live form, one unit in depth, why it is as it is, the graph, the journal."""

from __future__ import annotations

import asyncio

from harness_core.domain import select, views
from harness_core.domain.executor import Inspection, Marker
from harness_core.domain.protocol import (
    DescribeResult,
    Done,
    EventRow,
    Events,
    EventsResult,
    ExplainResult,
    Follow,
    FollowItem,
    Graph,
    GraphResult,
    Name,
    Nothing,
    PluginsResult,
    SchemaResult,
    Select,
    StatusResult,
    TasksResult,
)
from harness_core.domain.schema import stack_schema
from harness_core.domain.secrets import mask, mask_env
from harness_core.domain.states import Kind, Phase
from harness_core.domain.unit import Unit
from harness_core.doors.operations.following import rows
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime.manager import Manager

__all__ = ["bind"]

#: how much of the past ``describe`` and ``explain`` show
RECENT = 20
STORY = 60
INSPECT_DEADLINE = 3.0


def bind(table: Table, manager: Manager) -> None:
    reading = _Reading(manager)
    table.bind("status", reading.status)
    table.bind("status.follow", reading.follow)
    table.bind("describe", reading.describe)
    table.bind("explain", reading.explain)
    table.bind("graph", reading.graph)
    table.bind("events", reading.events)
    table.bind("events.follow", reading.follow_events)
    table.bind("task.list", reading.tasks)
    table.bind("plugins", reading.plugins)
    table.bind("schema", reading.schema)


class _Reading:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._rows = views.Rows()

    def _select(self, request: Select) -> list[Unit]:
        return select.select(self._manager.world, request.names, stack=request.stack, cwd=request.cwd)

    def _one(self, request: Name) -> Unit:
        return select.one(self._manager.world, request.name, stack=request.stack, cwd=request.cwd)

    async def status(self, request: Select, caller: Caller) -> StatusResult:
        del caller
        manager = self._manager
        if len(self._rows) > len(manager.world.units):
            self._rows.keep(manager.world.units)
        seq = manager.engine.snapshot.seq
        return views.status(manager.world, self._select(request), manager.clocks(), seq, row=self._rows)

    async def follow(self, request: Follow, caller: Caller, stream: Stream) -> Done:
        """A snapshot and every event after it. With ``after`` the events missed since come first, so that a caller who
        was cut off has neither gap nor duplicate."""
        manager, feed = self._manager, self._manager.engine.feed
        units = self._select(request)
        seq = manager.engine.snapshot.seq if request.after is None else min(request.after, feed.seq)
        snapshot: FollowItem = {"seq": seq, "snapshot": await self.status(request, caller)}
        await stream.send(snapshot)
        everything = not request.names
        known = {unit.key for unit in units}
        while True:
            events = await feed.after(seq)
            for event in events:
                seq = event.seq
                if not (everything or event.service in known):
                    continue
                item: FollowItem = {"seq": seq, "event": views.event_row(event), "rows": rows(manager, [event.service])}
                if event.service and event.service not in manager.world.units:
                    item["removed"] = [event.service]
                await stream.send(item)
            if not events:
                await feed.wait()

    async def describe(self, request: Name, caller: Caller) -> DescribeResult:
        del caller
        manager = self._manager
        unit = self._one(request)
        inspection = await self._inspect(unit)
        journal = manager.store.events
        recent = await asyncio.to_thread(journal, services=[unit.key], limit=RECENT, newest=True)
        hidden = manager.hidden(unit.spec.stack)
        try:
            environment = mask_env(manager.launch.resolve(unit).env, hidden)
        except Exception:  # noqa: BLE001 - a reference without a value yet; the definition is shown all the same
            environment = mask_env(unit.spec.env, hidden)
        definition = unit.spec.model_dump(mode="json", exclude_defaults=True, exclude={"env", "digest"})
        return {
            "service": rows(manager, [unit.key])[0],
            "health": views.health_info(unit, manager.clocks()),
            "definition": mask(definition, secrets=hidden),
            "environment": environment,
            "pids": list(inspection.pids),
            "cpu_seconds": inspection.cpu_seconds,
            "memory_bytes": inspection.memory_bytes,
            "listening": list(inspection.listening),
            "outputs": mask_env(unit.outputs, hidden),
            "recent": [views.event_row(event) for event in recent],
            "logs": {"directory": str(manager.logs.directory(unit.key))},
            "details": mask(dict(inspection.details), secrets=hidden),
        }

    async def _inspect(self, unit: Unit) -> Inspection:
        executor = self._manager.executors.get(unit.spec.target["type"])
        if executor is None or unit.started is None:
            return Inspection()
        marker = Marker(unit.spec.stack, unit.spec.name, unit.epoch)
        try:
            async with asyncio.timeout(INSPECT_DEADLINE):
                return await executor.inspect(marker, unit.started.handle)
        except Exception:  # noqa: BLE001 - particulars for people; what is known without them is shown
            return Inspection()

    async def explain(self, request: Name, caller: Caller) -> ExplainResult:
        del caller
        manager = self._manager
        unit = self._one(request)
        chain = views.chain(unit, manager.world.units)
        events = await asyncio.to_thread(manager.store.events, services=[unit.key], limit=STORY, newest=True)
        name = unit.spec.name
        return {
            "service": rows(manager, [unit.key])[0],
            "verdict": chain[0],
            "chain": chain,
            "story": [views.story_line(event) for event in events],
            "hints": _hints(unit, name),
        }

    async def graph(self, request: Graph, caller: Caller) -> GraphResult:
        del caller
        units = self._select(request)
        stacks = list(dict.fromkeys(unit.spec.stack for unit in units))
        results = [views.graph_result([u for u in units if u.spec.stack == stack]) for stack in stacks]
        if len(results) == 1 or not results:
            return results[0] if results else views.graph_result([])
        longest = max(results, key=lambda result: result["critical_seconds"])
        return {
            "nodes": [node for result in results for node in result["nodes"]],
            "edges": [edge for result in results for edge in result["edges"]],
            "critical_path": longest["critical_path"],
            "critical_seconds": longest["critical_seconds"],
        }

    async def events(self, request: Events, caller: Caller) -> EventsResult:
        del caller
        found = await self._journal(request, after=request.after)
        store = self._manager.store
        first = await asyncio.to_thread(store.first_seq)
        return {"events": found, "first_seq": first, "last_seq": self._manager.engine.feed.seq}

    async def _journal(self, request: Events, *, after: int) -> list[EventRow]:
        services = None
        if request.names or request.stack:
            services = [unit.key for unit in self._select(request)]
        found = await asyncio.to_thread(
            self._manager.store.events,
            after=after,
            services=services,
            types=request.types or None,
            since=request.since,
            limit=max(0, min(request.limit, 10_000)),
            newest=request.newest,
        )
        return [views.event_row(event) for event in found]

    async def follow_events(self, request: Events, caller: Caller, stream: Stream) -> EventsResult:
        """The journal's events that match, then the live ones; resumes after ``after`` without gap or duplicate."""
        del caller
        feed = self._manager.engine.feed
        seq = feed.seq
        for row in await self._journal(request, after=request.after):
            if row["seq"] <= seq:
                await stream.send(row)
        services = {unit.key for unit in self._select(request)} if request.names or request.stack else None
        while True:
            events = await feed.after(seq)
            for event in events:
                seq = event.seq
                matches = services is None or event.service in services
                if matches and (not request.types or event.type.value in request.types):
                    await stream.send(views.event_row(event))
            if not events:
                await feed.wait()

    async def tasks(self, request: Select, caller: Caller) -> TasksResult:
        del caller
        return {"tasks": [views.task_row(u) for u in self._select(request) if u.spec.kind is Kind.TASK]}

    async def plugins(self, request: Nothing, caller: Caller) -> PluginsResult:
        del request, caller
        return {"plugins": list(self._manager.plugins.rows)}

    async def schema(self, request: Nothing, caller: Caller) -> SchemaResult:
        del request, caller
        return {"json_schema": stack_schema(self._manager.option_models())}


def _hints(unit: Unit, name: str) -> list[str]:
    match unit.phase:
        case Phase.FAILED | Phase.BACKOFF:
            return [f"harness logs {name}", f"harness start {name}"]
        case Phase.BLOCKED | Phase.WAITING if unit.reason.culprit:
            return [f"harness explain {unit.reason.culprit}", f"harness logs {unit.reason.culprit}"]
        case Phase.NOT_STARTED | Phase.STOPPED:
            return [f"harness start {name}"]
        case _:
            return [f"harness logs {name}"]
