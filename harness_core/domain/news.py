"""How news of an instance is taken: it was born, could not be, was lost, was found again."""

from __future__ import annotations

from typing import assert_never

from harness_core.domain.aftermath import after_death, exited, fail, stop_ended
from harness_core.domain.effects import Effect, StartChecks, StopChecks, Watch
from harness_core.domain.events import EventType
from harness_core.domain.executor import Ended, Gone, Running, Unknown
from harness_core.domain.health import HealthState
from harness_core.domain.patience import checked
from harness_core.domain.states import Exit, Health, Kind, Phase, Reason, Started, Wanted
from harness_core.domain.steps import LOOK_AGAIN, RECOVER_RETRY, Step, enter, tell
from harness_core.domain.stimuli import (
    Checked,
    Exited,
    Lost,
    News,
    Progressed,
    Recovered,
    Spawned,
    SpawnFailed,
    StopEnded,
)
from harness_core.domain.unit import Unit

__all__ = ["alive", "hear"]


def hear(unit: Unit, news: News, now: float) -> Step:
    """Take in news of an instance; of another life than the present one it is dropped."""
    if news.epoch != unit.epoch:
        return unit, ()
    match news:
        case Spawned():
            if unit.phase is not Phase.STARTING:
                return unit, ()
            return alive(unit.with_(ports={**unit.ports, **news.ports}), news.started, now, "started")
        case SpawnFailed():
            return _not_spawned(unit, news, now)
        case Progressed():
            return _progressed(unit, news.message)
        case Exited():
            return exited(unit, news.exit, now)
        case StopEnded():
            return stop_ended(unit, news, now)
        case Lost():
            if unit.phase not in (Phase.RUNNING, Phase.STARTING):
                return unit, ()
            if unit.phase is Phase.STARTING:
                # should it turn out that nothing was born, this was a failed start like any other
                unit = unit.with_(verdict=Reason("start_failed", news.reason))
            return _unknown(unit, news.reason, now)
        case Recovered():
            return _recovered(unit, news, now)
        case Checked():
            return checked(unit, news, now)
        case _:
            assert_never(news)


def alive(unit: Unit, started: Started, now: float, cause: str) -> Step:
    check, task = unit.spec.check, unit.spec.kind is Kind.TASK
    health = HealthState.begin(check, now)
    wait = unit.spec.timeout if task else (unit.spec.start_timeout if check else None)
    unit = unit.with_(
        started=started,
        started_at=now,
        verdict=None,
        health=health,
        ready_at=now if check is None else None,
        deadline=None if wait is None else now + wait,
        stopping_since=None,
    )
    reason = Reason("not_ready", "waits for its first good health check") if check else Reason()
    unit, effects = enter(unit, Phase.RUNNING, now, reason)
    told = tell(unit, EventType.STARTED, cause, pid=started.pid, container_id=started.container_id, ports=unit.ports)
    checks = (StartChecks(unit.key, unit.epoch),) if check else ()
    return unit, (*effects, told, Watch(unit.key, unit.epoch), *checks)


def _not_spawned(unit: Unit, news: SpawnFailed, now: float) -> Step:
    if unit.phase is not Phase.STARTING:
        return unit, ()
    patience = unit.since + unit.spec.start_timeout - now
    if news.absent and unit.wanted is Wanted.UP and not unit.replace and patience > 0:
        return _awaited(unit, news.message, now, patience)
    waited = f"; waited {unit.spec.start_timeout:g} s for it" if news.absent and patience <= 0 else ""
    failure = Reason("start_failed", f"{news.message}{waited}")
    if news.permanent and unit.wanted is Wanted.UP and not unit.replace:
        return fail(unit, failure, now)
    return after_death(unit.with_(verdict=failure), news.jitter, now)


def _awaited(unit: Unit, why: str, now: float, patience: float) -> Step:
    """Look again soon. That it waits is told once, and again only when it waits for another reason."""
    reason = Reason("absent", f"waits for it to appear: {why}")
    after = unit.with_(reason=reason, deadline=now + min(LOOK_AGAIN, patience))
    return after, () if unit.reason == reason else _still(after)


def _progressed(unit: Unit, how_far: str) -> Step:
    """That a start takes long is told once; after that only its reason says how far it is."""
    if unit.phase is not Phase.STARTING:
        return unit, ()
    after = unit.with_(reason=Reason("progress", how_far))
    return after, () if unit.reason.code == "progress" else _still(after)


def _still(unit: Unit) -> tuple[Effect, ...]:
    """Tell a new reason for the phase that it is in already."""
    phase = unit.phase.value
    return (tell(unit, EventType.STATE, unit.reason.sentence, **{"from": phase, "to": phase}),)


def _unknown(unit: Unit, why: str, now: float) -> Step:
    health = HealthState(status=Health.UNKNOWN, detail=why, since=now)
    unit = unit.with_(deadline=now + RECOVER_RETRY, health=health)
    unit, effects = enter(unit, Phase.UNKNOWN, now, Reason("unknown", why))
    checks = (StopChecks(unit.key),) if unit.spec.check else ()
    return unit, (*effects, *checks)


def _recovered(unit: Unit, news: Recovered, now: float) -> Step:
    if unit.phase is not Phase.UNKNOWN:
        return unit, ()
    match news.recovery:
        case Running(started):
            return _found(unit, started, now)
        case Ended(exit_):
            # what ended was born after all, whatever was feared of its start
            return exited(unit if unit.started else unit.with_(verdict=None), exit_, now)
        case Gone() if unit.started is None and unit.verdict:
            return after_death(unit, 0.0, now)
        case Gone() if unit.started is None:
            # the intent was recorded and the daemon died before it was carried out
            unit = unit.with_(deadline=None, replace=False)
            return enter(unit, _resting(unit), now, Reason("not_spawned", "was never started"))
        case Gone():
            return exited(unit, Exit(), now)
        case Unknown(started=Started() as there) if unit.wanted is Wanted.DOWN or unit.replace:
            return _found(unit, there, now)
        case Unknown(reason):
            return unit.with_(reason=Reason("unknown", reason), deadline=now + RECOVER_RETRY), ()
        case _:
            assert_never(news.recovery)


def _found(unit: Unit, started: Started, now: float) -> Step:
    """It lives: the life goes on where it was, its age and its health as they were."""
    if unit.started_at is None:
        return alive(unit, started, now, "found running")
    waits = unit.spec.check is not None and unit.ready_at is None and unit.spec.kind is Kind.SERVICE
    task = unit.spec.kind is Kind.TASK and unit.spec.timeout is not None
    limit = unit.spec.start_timeout if waits else (unit.spec.timeout or 0.0)
    unit = unit.with_(started=started, deadline=unit.started_at + limit if waits or task else None)
    if unit.health.status is Health.UNKNOWN:
        unit = unit.with_(health=HealthState.begin(unit.spec.check, now))
    unit, effects = enter(unit, Phase.RUNNING, now, Reason("found", "taken back") if waits else Reason())
    checks = (StartChecks(unit.key, unit.epoch),) if unit.spec.check else ()
    return unit, (*effects, Watch(unit.key, unit.epoch), *checks)


def _resting(unit: Unit) -> Phase:
    return Phase.WAITING if unit.wanted is Wanted.UP else Phase.STOPPED
