"""The small steps of which every move of the machine is made: enter a phase and tell so, begin a stop."""

from __future__ import annotations

from harness_core.domain.effects import Effect, Stop, StopChecks, Tell
from harness_core.domain.events import EventType
from harness_core.domain.states import Phase, Reason
from harness_core.domain.unit import Unit

__all__ = ["LOOK_AGAIN", "RECOVER_RETRY", "STOP_GUARD", "UNKILLABLE_RETRY", "Step", "enter", "stop", "tell"]

#: what every move returns: the unit as it is now, and what to do
Step = tuple[Unit, tuple[Effect, ...]]

#: a stop that has not been answered this long after its grace is asked again, this time to kill
STOP_GUARD = 30.0
#: how often it is tried again to end what would not die
UNKILLABLE_RETRY = 10.0
#: how often is looked for what a unit is to attach to
LOOK_AGAIN = 1.0
#: how often the truth about an unknown instance is sought
RECOVER_RETRY = 2.0


def enter(unit: Unit, phase: Phase, now: float, reason: Reason) -> Step:
    old = unit.phase
    unit = unit.with_(phase=phase, since=now, reason=reason)
    return unit, (tell(unit, EventType.STATE, reason.sentence, **{"from": old.value, "to": phase.value}),)


def tell(unit: Unit, type_: EventType, cause: str, **data: object) -> Tell:
    return Tell(type_, unit.key, unit.epoch, cause, unit.request, data)


def stop(unit: Unit, grace: float, reason: Reason, now: float) -> Step:
    since = now if unit.stopping_since is None else unit.stopping_since
    unit = unit.with_(deadline=now + grace + STOP_GUARD, stopping_since=since)
    unit, effects = enter(unit, Phase.STOPPING, now, reason)
    checks = (StopChecks(unit.key),) if unit.spec.check else ()
    return unit, (*effects, *checks, Stop(unit.key, unit.epoch, grace))
