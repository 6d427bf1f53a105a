"""What the answers of checks, and the lack of a good one, do to the life of a unit."""

from __future__ import annotations

from dataclasses import replace

from harness_core.domain.effects import Effect, StartChecks, StopChecks
from harness_core.domain.events import EventType
from harness_core.domain.health import HealthState, judge
from harness_core.domain.spec import Check
from harness_core.domain.states import Health, Phase, Reason
from harness_core.domain.steps import Step, tell
from harness_core.domain.stimuli import Checked
from harness_core.domain.unit import Unit

__all__ = ["checked", "not_ready_in_time", "recheck"]


def checked(unit: Unit, news: Checked, now: float) -> Step:
    if unit.phase is not Phase.RUNNING or unit.spec.check is None:
        return unit, ()
    old = unit.health
    health = judge(old, unit.spec.check, news.ok, news.detail, news.seconds, now, unit.started_at or now)
    unit = unit.with_(health=health)
    if health.status is old.status:
        if unit.ready_at is None and health.detail and not news.ok:
            still = health.status is Health.STARTING
            why = f"waits for its health check: {health.detail}" if still else health.detail
            unit = unit.with_(reason=Reason("not_ready" if still else health.status.value, why))
        return unit, ()
    told = tell(unit, EventType.HEALTH, health.detail, **{"from": old.status.value, "to": health.status.value})
    if health.status is Health.HEALTHY:
        first = unit.ready_at is None
        unit = unit.with_(reason=Reason(), deadline=None, ready_at=now if first else unit.ready_at)
        return unit, (told,)
    unit = unit.with_(reason=Reason(health.status.value, health.detail))
    return _punish(unit), (told,)


def recheck(unit: Unit, old: Check | None, now: float) -> Step:
    """The definition has another check than the one with which the instance was started, or none, or a first one."""
    check, status = unit.spec.check, unit.health.status
    if check is None:
        unit = unit.with_(
            health=HealthState(since=now),
            reason=Reason(),
            deadline=None,
            ready_at=now if unit.ready_at is None else unit.ready_at,
        )
    elif old is None:
        unit = unit.with_(health=HealthState.begin(check, now), reason=Reason("not_ready", "waits for its new check"))
    effects: tuple[Effect, ...] = (StartChecks(unit.key, unit.epoch) if check else StopChecks(unit.key),)
    if unit.health.status is not status:
        change = {"from": status.value, "to": unit.health.status.value}
        effects = (tell(unit, EventType.HEALTH, "the definition of its check changed", **change), *effects)
    return unit, effects


def not_ready_in_time(unit: Unit, now: float) -> Step:
    """The start took too long: say so and let it run, unless the policy wants it restarted."""
    detail = f": {unit.health.detail}" if unit.health.detail else ""
    reason = Reason("not_ready_in_time", f"not ready within {unit.spec.start_timeout:g} s{detail}")
    old = unit.health.status
    health = replace(unit.health, status=Health.UNHEALTHY, since=now)
    unit = unit.with_(health=health, reason=reason)
    told = tell(unit, EventType.HEALTH, reason.sentence, **{"from": old.value, "to": health.status.value})
    return _punish(unit), (told,)


def _punish(unit: Unit) -> Unit:
    if unit.spec.restart.on_unhealthy and unit.health.status is Health.UNHEALTHY:
        return unit.with_(verdict=Reason("unhealthy", f"unhealthy: {unit.reason.sentence}"))
    return unit
