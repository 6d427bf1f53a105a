"""Who may start, and who must wait with stopping: dependencies judged, each refusal with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from harness_core.domain.spec import Condition, Edge
from harness_core.domain.states import ACTIVE, Health, Kind, Phase, Reason, Wanted
from harness_core.domain.unit import Unit

__all__ = ["Block", "Gate", "Hold", "Open", "may_start", "may_stop"]


@dataclass(frozen=True, slots=True)
class Open:
    """Go on; ``note`` names what was optional and is missing."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Block:
    reason: Reason


Gate = Open | Hold | Block


def may_start(unit: Unit, units: Mapping[str, Unit]) -> Gate:
    """Whether all that the unit depends on is there. A failure blocks at once, even while others are still awaited."""
    if unit.ungated:
        return Open()
    waiting: Hold | None = None
    missing: list[str] = []
    for edge in unit.spec.edges:
        gate = _judge(edge, units.get(f"{unit.spec.stack}/{edge.name}"), units)
        if isinstance(gate, Block):
            if edge.required:
                return gate
            missing.append(gate.reason.sentence)
        elif isinstance(gate, Hold) and waiting is None:
            waiting = gate
    return waiting or Open("; ".join(missing))


def may_stop(unit: Unit, dependents: Iterable[Unit]) -> Gate:
    """Whether all that depends on the unit and is on its way down, too, is gone. A verdict or a kill does not wait."""
    if unit.verdict is not None or unit.grace == 0:
        return Open()
    for other in dependents:
        going = other.wanted is Wanted.DOWN or other.replace
        if going and other.phase in ACTIVE and other.phase is not Phase.UNKNOWN:
            return Hold(Reason("dependent", f"waits for {other.spec.name} to stop first", other.spec.name))
    return Open()


def _judge(edge: Edge, dep: Unit | None, units: Mapping[str, Unit]) -> Gate:
    name = edge.name
    if dep is None:
        return Block(Reason("dependency", f"{name} is not defined", name))
    if dep.phase is Phase.UNKNOWN:
        return Hold(Reason("dependency", f"waits for {name}: its state is unknown ({dep.reason})", name))
    if dep.replace:
        return Hold(Reason("dependency", f"waits for {name}, which is being restarted", name))
    if _satisfied(edge.condition, dep):
        return Open()
    if dep.wanted is Wanted.DOWN and not (dep.spec.kind is Kind.TASK and dep.phase is Phase.COMPLETED):
        return Block(Reason("dependency", f"{name} is {_word(dep.phase)} and not wanted up", name))
    if dep.phase is Phase.FAILED:
        return Block(Reason("dependency", f"{name} failed: {dep.reason}", name))
    if dep.phase is Phase.BLOCKED:
        return Block(Reason("dependency", f"{name} is blocked: {_root(dep, units).reason}", name))
    if dep.phase is Phase.COMPLETED:
        return Block(Reason("dependency", f"{name} has ended ({dep.reason})", name))
    if dep.phase is Phase.RUNNING and dep.health.status is Health.UNHEALTHY:
        return Block(Reason("dependency", f"{name} is unhealthy: {dep.reason}", name))
    return Hold(Reason("dependency", _awaited(edge, dep), name))


def _satisfied(condition: Condition, dep: Unit) -> bool:
    running = dep.phase is Phase.RUNNING
    match condition:
        case Condition.STARTED:
            return running or dep.phase is Phase.COMPLETED
        case Condition.HEALTHY | Condition.LOG_READY:
            return running and dep.health.status in (Health.HEALTHY, Health.NONE)
        case Condition.COMPLETED:
            return dep.phase in (Phase.COMPLETED, Phase.FAILED)
        case Condition.COMPLETED_SUCCESSFULLY:
            return dep.phase is Phase.COMPLETED
        case _:
            assert_never(condition)


def _awaited(edge: Edge, dep: Unit) -> str:
    """What is waited for, and where that stands: only what is news to the reader."""
    match edge.condition:
        case Condition.STARTED:
            goal = "to start"
        case Condition.HEALTHY:
            goal = "to be healthy"
        case Condition.LOG_READY:
            goal = "to log that it is ready"
        case Condition.COMPLETED | Condition.COMPLETED_SUCCESSFULLY:
            goal = "to finish"
        case _:
            assert_never(edge.condition)
    words = f"waits for {edge.name} {goal}"
    if dep.phase is Phase.WAITING and dep.reason.culprit:
        return f"{words}, which waits for {dep.reason.culprit}"
    if dep.phase is Phase.BACKOFF or dep.reason.code == "absent":
        return f"{words}; {dep.reason}"
    if dep.phase is Phase.RUNNING and dep.health.detail:
        return f"{words}: {dep.health.detail}"
    return words


def _root(unit: Unit, units: Mapping[str, Unit]) -> Unit:
    """Where a chain of blocked units begins: the one whose reason is no other unit's blockage."""
    seen = {unit.key}
    while True:
        nearer = units.get(f"{unit.spec.stack}/{unit.reason.culprit}")
        if nearer is None or nearer.phase is not Phase.BLOCKED or nearer.key in seen:
            return unit
        seen.add(nearer.key)
        unit = nearer


def _word(phase: Phase) -> str:
    return phase.value.replace("_", " ")
