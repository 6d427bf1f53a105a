"""What people and programs are shown: pure functions from the world to the rows of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from harness_core.domain import graph
from harness_core.domain.events import Event
from harness_core.domain.protocol import (
    EventRow,
    ExitInfo,
    ExplainLine,
    GraphEdge,
    GraphNode,
    GraphResult,
    HealthInfo,
    ServiceRow,
    StackRow,
    StatusResult,
    TaskRow,
)
from harness_core.domain.states import Exit, Health, Kind, Phase, Wanted
from harness_core.domain.unit import Unit
from harness_core.domain.world import World

__all__ = [
    "Clocks",
    "Rows",
    "chain",
    "event_row",
    "exit_info",
    "graph_result",
    "health_info",
    "instance",
    "service_row",
    "stack_row",
    "status",
    "story_line",
    "task_row",
    "word",
]


class Clocks:
    """The two clocks read at one moment, so that stored monotonic times can be shown as wall times."""

    def __init__(self, monotonic: float, wall: float) -> None:
        self.now, self.wall = monotonic, wall

    def at(self, moment: float) -> float:
        return round(self.wall - (self.now - moment), 3)

    def ago(self, moment: float) -> float:
        return round(max(0.0, self.now - moment), 3)


def word(unit: Unit) -> str:
    """The one word for people: phase, health and wish together."""
    if unit.phase is Phase.RUNNING and unit.spec.kind is Kind.SERVICE:
        if unit.wanted is Wanted.DOWN or unit.replace:
            return "stopping"
        match unit.health.status:
            case Health.NONE | Health.HEALTHY:
                return "ready"
            case Health.STARTING:
                return "starting"
            case other:
                return "unhealthy" if other is Health.UNHEALTHY else "unknown"
    if unit.phase is Phase.COMPLETED:
        return "done"
    return {Phase.NOT_STARTED: "not started", Phase.BACKOFF: "restarting"}.get(unit.phase, unit.phase.value)


def instance(unit: Unit) -> str:
    """What runs of a unit, by the name that the machine has for it."""
    started = unit.started
    if started is not None and started.container_id is not None:
        return f"container {started.container_id[:12]}"
    return f"pid {started.pid}" if started is not None and started.pid is not None else unit.spec.name


def exit_info(exit_: Exit | None) -> ExitInfo | None:
    if exit_ is None:
        return None
    return {"code": exit_.code, "signal": exit_.signal, "oom": exit_.oom, "at": exit_.at, "text": str(exit_)}


def health_info(unit: Unit, clocks: Clocks) -> HealthInfo:
    health = unit.health
    return {
        "status": health.status.value,
        "detail": health.detail,
        "since": None if health.since is None else clocks.at(health.since),
        "failures": health.failed_in_row,
        "checks": health.checks,
        "last_duration": health.last_duration,
    }


def service_row(unit: Unit, clocks: Clocks, seq: int) -> ServiceRow:
    started = unit.started
    endpoints = {name: e.url for name, e in unit.endpoints.items()} if started else {}
    took = None
    if unit.ready_at is not None and unit.released_at is not None:
        took = round(unit.ready_at - unit.released_at, 3)
    return {
        "name": unit.spec.name,
        "stack": unit.spec.stack,
        "kind": unit.spec.kind.value,
        "target": str(unit.spec.target.get("type", "")),
        "state": word(unit),
        "phase": unit.phase.value,
        "health": unit.health.status.value,
        "wanted": unit.wanted.value,
        "reason": unit.reason.sentence,
        "reason_code": unit.reason.code,
        "culprit": unit.reason.culprit,
        "pid": started.pid if started else None,
        "container_id": started.container_id if started else None,
        "epoch": unit.epoch,
        "restarts": unit.restarts,
        "uptime_seconds": _uptime(unit, clocks),
        "since": clocks.at(unit.since),
        "host": started.host if started else "",
        "ports": dict(unit.ports),
        "url": next(iter(endpoints.values()), None),
        "endpoints": endpoints,
        "dependencies": [edge.name for edge in unit.spec.edges],
        "exit": exit_info(unit.exit),
        "next_in": _next_in(unit, clocks),
        "took_seconds": took,
        "enabled": unit.spec.enabled,
        "outdated": unit.outdated,
        "seq": seq,
    }


class Rows:
    """Rows for those who ask again and again: what is true of a unit until it changes is put together once.

    A row that was handed out is not to be changed.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Unit, ServiceRow]] = {}

    def __call__(self, unit: Unit, clocks: Clocks, seq: int) -> ServiceRow:
        kept = self._kept.get(unit.key)
        if kept is None or kept[0] is not unit:
            row = service_row(unit, clocks, seq)
            self._kept[unit.key] = unit, row
            return row
        row = kept[1].copy()
        row["uptime_seconds"] = _uptime(unit, clocks)
        row["since"] = clocks.at(unit.since)
        row["next_in"] = _next_in(unit, clocks)
        row["seq"] = seq
        return row

    def keep(self, units: Container[str]) -> None:
        """Forget the rows of all other units."""
        for key in [key for key in self._kept if key not in units]:
            del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)


def _uptime(unit: Unit, clocks: Clocks) -> float | None:
    return None if unit.started is None or unit.started_at is None else clocks.ago(unit.started_at)


def _next_in(unit: Unit, clocks: Clocks) -> float | None:
    if unit.phase is not Phase.BACKOFF or unit.deadline is None:
        return None
    return round(max(0.0, unit.deadline - clocks.now), 3)


def stack_row(world: World, name: str) -> StackRow:
    stack = world.stacks[name]
    services = [u for u in world.of_stack(name) if u.spec.kind is Kind.SERVICE]
    up = [u for u in services if u.wanted is Wanted.UP]
    ready = [u for u in up if u.ready or u.phase is Phase.COMPLETED]
    if not up:
        state = "down"
    elif len(ready) == len(up):
        state = "up"
    elif any(u.phase in (Phase.FAILED, Phase.BLOCKED, Phase.UNKNOWN) or word(u) == "unhealthy" for u in up):
        state = "degraded"
    else:
        state = "starting"
    return {
        "name": name,
        "title": stack.title,
        "base_dir": stack.base_dir,
        "filename": stack.filename,
        "services": len(services),
        "ready": len(ready),
        "state": state,
    }


def status(
    world: World, units: Iterable[Unit], clocks: Clocks, seq: int, *, row: Callable[..., ServiceRow] = service_row
) -> StatusResult:
    """``row`` makes the rows; ``Rows`` does so for those who ask often."""
    # by stack, whatever the order in which stacks were registered or read back
    ordered = sorted(units, key=lambda unit: unit.spec.stack)
    rows = [row(unit, clocks, seq) for unit in ordered]
    names = dict.fromkeys(made["stack"] for made in rows)
    return {
        "api_version": "harness/v1",
        "seq": seq,
        "at": round(clocks.wall, 3),
        "stacks": [stack_row(world, name) for name in names if name in world.stacks],
        "services": rows,
    }


def task_row(unit: Unit) -> TaskRow:
    return {
        "name": unit.spec.name,
        "stack": unit.spec.stack,
        "state": word(unit),
        "run": unit.spec.run.value,
        "done": unit.done is not None and unit.is_done,
        "done_at": unit.done.at if unit.done else None,
        "exit": exit_info(unit.exit),
        "outputs": dict(unit.outputs),
        "fingerprint": unit.fingerprint,
    }


def event_row(event: Event) -> EventRow:
    return {
        "seq": event.seq,
        "at": event.at,
        "type": event.type.value,
        "service": event.service,
        "epoch": event.epoch,
        "cause": event.cause,
        "request": event.request,
        "data": dict(event.data),
    }


def chain(unit: Unit, units: Mapping[str, Unit]) -> list[str]:
    """Why a unit is as it is, nearest cause first, followed through the units that are to blame."""
    lines: list[str] = []
    seen: set[str] = set()
    at: Unit | None = unit
    while at is not None and at.key not in seen:
        seen.add(at.key)
        state = word(at)
        lines.append(f"{at.spec.name} is {state}: {at.reason}" if at.reason.sentence else f"{at.spec.name} is {state}")
        at = units.get(f"{at.spec.stack}/{at.reason.culprit}") if at.reason.culprit else None
    return lines


def story_line(event: Event) -> ExplainLine:
    """One event as a sentence of a story."""
    data = event.data
    match event.type.value:
        case "state":
            text = f"{_plain(data.get('from'))} → {_plain(data.get('to'))}"
        case "started":
            who = f"pid {data['pid']}" if data.get("pid") else str(data.get("container_id") or "")
            text = f"started, life {event.epoch}, {who}".rstrip(", ")
        case "exited":
            text = f"ended after {data.get('uptime_seconds')} s"
        case "health":
            text = f"health {data.get('from')} → {data.get('to')}"
        case "task":
            text = f"task {data.get('outcome')}"
        case "stack":
            text = "definition"
        case other:
            text = other
    return {"at": event.at, "seq": event.seq, "text": text, "cause": event.cause}


def _plain(phase: object) -> str:
    return str(phase).replace("_", " ")


def graph_result(units: Sequence[Unit]) -> GraphResult:
    """The graph of these units with what each cost to start, and the chain that made the start as long as it was."""
    specs = {u.spec.name: u.spec for u in units}
    took = {
        u.spec.name: u.ready_at - u.released_at for u in units if u.ready_at is not None and u.released_at is not None
    }
    wave_of = {name: index for index, wave in enumerate(graph.waves(specs)) for name in wave}
    path, seconds = graph.critical_path(specs, {name: took.get(name, 0.0) for name in specs}) if took else ([], 0.0)
    nodes: list[GraphNode] = [
        {
            "name": u.spec.name,
            "stack": u.spec.stack,
            "kind": u.spec.kind.value,
            "state": word(u),
            "wave": wave_of[u.spec.name],
            "took_seconds": round(took[u.spec.name], 3) if u.spec.name in took else None,
            "critical": u.spec.name in path,
        }
        for u in units
    ]
    edges: list[GraphEdge] = [
        {
            "source": u.spec.name,
            "target": edge.name,
            "condition": edge.condition.value,
            "required": edge.required,
            "implied": edge.implied,
        }
        for u in units
        for edge in u.spec.edges
        if edge.name in specs
    ]
    return {"nodes": nodes, "edges": edges, "critical_path": path, "critical_seconds": round(seconds, 3)}
