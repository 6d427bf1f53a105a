"""Whether what was asked for has come about, will still, or will not: what every waiting caller is told. Pure."""

from __future__ import annotations

from enum import StrEnum

from harness_core.domain.states import ACTIVE, SETTLED, Health, Kind, Phase, Wanted
from harness_core.domain.unit import Unit

__all__ = ["Goal", "Outcome", "judge", "settles_at"]

#: a service without a check counts as started once it has lived this long: most of what cannot start ends at once
SETTLE = 0.25


class Goal(StrEnum):
    READY = "ready"
    HEALTHY = "healthy"
    RUNNING = "running"
    STOPPED = "stopped"
    COMPLETED = "completed"


class Outcome(StrEnum):
    PENDING = "pending"
    REACHED = "reached"
    FAILED = "failed"


def judge(unit: Unit, goal: Goal, now: float) -> Outcome:
    if goal is Goal.STOPPED:
        return _stopped(unit)
    if _reached(unit, goal, now):
        return Outcome.REACHED
    return Outcome.FAILED if _hopeless(unit, goal, now) else Outcome.PENDING


def settles_at(unit: Unit, goal: Goal) -> float | None:
    """When, monotonic, a pending judgement may change by the mere passing of time."""
    if goal in (Goal.READY, Goal.RUNNING) and unit.phase is Phase.RUNNING and unit.started_at is not None:
        return unit.started_at + SETTLE
    if unit.phase is Phase.BACKOFF and unit.released_at is not None:
        return unit.released_at + unit.spec.start_timeout
    return None


def _stopped(unit: Unit) -> Outcome:
    if unit.phase in SETTLED:
        return Outcome.REACHED
    return Outcome.FAILED if unit.reason.code == "unkillable" else Outcome.PENDING


def _reached(unit: Unit, goal: Goal, now: float) -> bool:
    if unit.phase is Phase.COMPLETED and goal is Goal.COMPLETED:
        return True
    if unit.replace or unit.wanted is Wanted.DOWN:
        return False
    if unit.phase is Phase.COMPLETED:
        return goal is not Goal.HEALTHY
    if goal is Goal.COMPLETED or unit.phase is not Phase.RUNNING:
        return False
    if goal is Goal.RUNNING:
        return True
    if unit.spec.kind is Kind.TASK:
        return False
    if unit.health.status is Health.HEALTHY:
        return True
    if unit.health.status is Health.NONE and goal is Goal.READY:
        return unit.started_at is not None and now - unit.started_at >= SETTLE
    return False


def _hopeless(unit: Unit, goal: Goal, now: float) -> bool:
    match unit.phase:
        case Phase.FAILED | Phase.BLOCKED | Phase.COMPLETED:
            return True
        case Phase.RUNNING:
            if goal is Goal.HEALTHY and unit.health.status is Health.NONE:
                return True
            return goal in (Goal.READY, Goal.HEALTHY) and unit.health.status is Health.UNHEALTHY and not unit.replace
        case Phase.BACKOFF:
            began = unit.released_at
            return unit.spec.kind is Kind.SERVICE and began is not None and now - began > unit.spec.start_timeout
        case _:
            return unit.wanted is Wanted.DOWN and unit.phase not in ACTIVE
