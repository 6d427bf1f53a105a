"""What follows when an instance ends: making sure that nothing of it is left, then deciding what comes next."""

from __future__ import annotations

from typing import assert_never

from harness_core.domain import restart
from harness_core.domain.effects import Effect
from harness_core.domain.events import EventType
from harness_core.domain.health import HealthState
from harness_core.domain.states import Exit, Kind, Phase, Reason, Wanted
from harness_core.domain.steps import UNKILLABLE_RETRY, Step, enter, stop, tell
from harness_core.domain.stimuli import StopEnded
from harness_core.domain.unit import Done, Unit

__all__ = ["after_death", "exited", "fail", "stop_ended"]


def exited(unit: Unit, exit_: Exit, now: float) -> Step:
    if unit.phase not in (Phase.RUNNING, Phase.UNKNOWN, Phase.STOPPING):
        return unit, ()
    # an end that an earlier daemon saw already is not told twice
    told = () if unit.exit is not None else (_told(unit, exit_, str(exit_), now),)
    unit = unit.with_(exit=exit_)
    if unit.phase is Phase.STOPPING:
        return unit, told
    # what the instance left behind gets the full grace to end by itself, unless the user is in a hurry
    grace = unit.spec.stop.timeout if unit.grace is None else unit.grace
    unit, effects = stop(unit, grace, Reason("ended", f"{exit_}; making sure that nothing of it is left"), now)
    return unit, (*told, *effects)


def stop_ended(unit: Unit, news: StopEnded, now: float) -> Step:
    if unit.phase is not Phase.STOPPING:
        return unit, ()
    report = news.report
    if report.leftovers:
        left = ", ".join(report.leftovers)
        reason = Reason("unkillable", f"cannot be ended: {left}")
        return unit.with_(reason=reason, deadline=now + UNKILLABLE_RETRY), ()
    if report.released:
        return _let_go(unit, news.jitter, now)
    exit_ = unit.exit or report.exit or Exit()
    told: tuple[Effect, ...] = ()
    if unit.exit is None:
        how = f"{exit_}{', killed after the grace period' if report.forced else ''}"
        told = (_told(unit, exit_, how, now),)
    unit = unit.with_(exit=exit_)
    if unit.spec.kind is Kind.TASK and unit.succeeded(exit_) and not (unit.verdict or unit.replace):
        unit, effects = _task_done(unit, news, now)
    else:
        unit, effects = after_death(unit, news.jitter, now)
    return unit, (*told, *effects)


def _let_go(unit: Unit, jitter: float, now: float) -> Step:
    """It was there before us and lives on without us, so nothing has ended that could be told."""
    if unit.wanted is Wanted.UP:
        return after_death(unit, jitter, now)
    unit = unit.with_(started=None, verdict=None, deadline=None, stopping_since=None, health=HealthState())
    return enter(unit, Phase.NOT_STARTED, now, Reason("let_go", "let go; it was not started by harness and goes on"))


def _told(unit: Unit, exit_: Exit, cause: str, now: float) -> Effect:
    ran = None if unit.started_at is None else round(now - unit.started_at, 3)
    facts = {"code": exit_.code, "signal": exit_.signal, "oom": exit_.oom, "uptime_seconds": ran}
    return tell(unit, EventType.EXITED, cause, **facts)


def _task_done(unit: Unit, news: StopEnded, now: float) -> Step:
    done = Done(unit.fingerprint, news.at, dict(news.outputs))
    unit = unit.with_(done=done, rerun=False, started=None, deadline=None, ready_at=now, stopping_since=None)
    reason = Reason("done", str(unit.exit))
    unit, effects = enter(unit, Phase.COMPLETED, now, reason)
    return unit, (*effects, tell(unit, EventType.TASK, "done", outcome="done", outputs=sorted(done.outputs)))


def after_death(unit: Unit, jitter: float, now: float) -> Step:
    """Nothing of the last life is left: what now? The user's wish first, then a replacement, then the policy."""
    exit_ = unit.exit or Exit()
    verdict, ran_for = unit.verdict, now - unit.started_at if unit.started_at is not None else 0.0
    unit = unit.with_(started=None, verdict=None, deadline=None, stopping_since=None, health=HealthState())
    if unit.wanted is Wanted.DOWN:
        return enter(unit, Phase.STOPPED, now, Reason("asked", "asked to stop"))
    if unit.replace:
        return enter(unit.with_(replace=False), Phase.WAITING, now, Reason("replaced", "starts again"))
    failure = verdict or Reason("exited", str(exit_))
    if unit.spec.kind is Kind.TASK:
        return _task_failed(unit, failure, now)
    success = unit.succeeded(exit_) and verdict is None
    decision = restart.decide(
        unit.spec.restart,
        success=success,
        starts=unit.starts,
        last_delay=unit.delay,
        ran_for=ran_for,
        now=now,
        jitter=jitter,
    )
    match decision:
        case restart.Retry(delay, base, words):
            # what comes after a long good life is a start of its own, with its own duration and its own patience
            released = None if ran_for >= unit.spec.restart.reset_after else unit.released_at
            unit = unit.with_(restarts=unit.restarts + 1, delay=base, deadline=now + delay, released_at=released)
            return enter(unit, Phase.BACKOFF, now, Reason(failure.code, f"{failure.sentence}; {words}"))
        case restart.GiveUp(words):
            return fail(unit, Reason("gave_up", f"{failure.sentence}; {words}"), now)
        case restart.Leave():
            if success:
                return enter(unit, Phase.COMPLETED, now, Reason("done", str(exit_)))
            return fail(unit, failure, now)
        case _:
            assert_never(decision)


def _task_failed(unit: Unit, failure: Reason, now: float) -> Step:
    tries = unit.attempts + 1
    unit = unit.with_(attempts=tries)
    if tries <= unit.spec.retries:
        words = f"{failure.sentence}; try {tries + 1} of {unit.spec.retries + 1} in {unit.spec.retry_delay:g} s"
        unit = unit.with_(restarts=unit.restarts + 1, deadline=now + unit.spec.retry_delay)
        return enter(unit, Phase.BACKOFF, now, Reason(failure.code, words))
    unit, effects = fail(unit.with_(rerun=False), failure, now)
    return unit, (*effects, tell(unit, EventType.TASK, failure.sentence, outcome="failed"))


def fail(unit: Unit, reason: Reason, now: float) -> Step:
    return enter(unit.with_(started=None, deadline=None, verdict=None, replace=False), Phase.FAILED, now, reason)
