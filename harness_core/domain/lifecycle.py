"""The life of one unit: a pure machine. It is given what happened and returns the unit as it is now and what to do.

Every way to die leads through one door: ``STOPPING``, in which the executor verifies that nothing of the instance is
left, and only its answer (``StopEnded``) lets a new life begin. That is what keeps two copies from existing.

Which dependencies let a unit start, and which dependents hold its stop, is judged by ``gates``; this file is told
through ``release``, ``hold``, ``block`` and ``end``. Deadlines are fields: what a passed deadline means follows from
the phase alone. A unit that waits has a deadline, an effect in flight, or another unit that it waits for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from harness_core.domain import restart
from harness_core.domain.effects import Effect, Recover, Spawn, StartChecks, Stop, StopChecks, Tell, Watch
from harness_core.domain.events import EventType
from harness_core.domain.executor import Ended, Gone, Running, Unknown
from harness_core.domain.health import HealthState, judge
from harness_core.domain.states import ACTIVE, Exit, Health, Kind, Phase, Reason, Started, Wanted
from harness_core.domain.stimuli import (
    Checked,
    Exited,
    Lost,
    News,
    Recovered,
    Spawned,
    SpawnFailed,
    StopEnded,
    Taken,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import Done, Unit

__all__ = ["Step", "block", "boot", "end", "hear", "hold", "pass_time", "release", "take", "want_down", "want_up"]

#: what every function here returns
Step = tuple[Unit, tuple[Effect, ...]]

#: a stop that has not been answered this long after its grace is asked again, this time to kill
STOP_GUARD = 30.0
#: how often it is tried again to end what would not die
UNKILLABLE_RETRY = 10.0
#: how often the truth about an unknown instance is sought
RECOVER_RETRY = 2.0


# ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def want_up(unit: Unit, wish: WantUp, now: float) -> Step:
    """The user wants it up: nothing for what is up already, a fresh start with a fresh budget for what is not."""
    fingerprint = wish.fingerprints.get(unit.key, unit.fingerprint)
    unit = unit.with_(request=wish.request, fingerprint=fingerprint, ungated=wish.ungated)
    if unit.spec.kind is Kind.TASK:
        unit = unit.with_(rerun=unit.rerun or wish.rerun)
        if unit.phase not in ACTIVE and unit.is_done:
            done = unit.with_(wanted=Wanted.UP, deadline=None, delay=0.0)
            if unit.phase is Phase.COMPLETED:
                return done, ()
            reason = Reason("already_done", "done before and unchanged since")
            done, effects = _enter(done, Phase.COMPLETED, now, reason)
            return done, (*effects, _tell(done, EventType.TASK, reason.sentence, outcome="skipped"))
    again = wish.restart or (unit.outdated and unit.phase is Phase.RUNNING)
    if unit.phase in ACTIVE:
        # a stop that is under way cannot be called back, so a new life follows it
        dying = unit.wanted is Wanted.DOWN and unit.stopping_since is not None
        fresh = unit.with_(wanted=Wanted.UP, replace=unit.replace or again or dying)
        if unit.wanted is Wanted.DOWN or again:
            fresh = fresh.with_(restarts=0, starts=(), delay=0.0, attempts=0, released_at=None)
        return fresh, ()
    if unit.wanted is Wanted.UP and unit.phase is Phase.WAITING and not again:
        return unit, ()
    unit = unit.with_(wanted=Wanted.UP, restarts=0, starts=(), delay=0.0, attempts=0, released_at=None, deadline=None)
    return _enter(unit, Phase.WAITING, now, Reason("asked", wish.cause))


def want_down(unit: Unit, wish: WantDown, now: float) -> Step:
    """The user wants it down; from here on nothing but the user starts it again."""
    unit = unit.with_(wanted=Wanted.DOWN, replace=False, rerun=False, grace=wish.grace, request=wish.request)
    match unit.phase:
        case Phase.NOT_STARTED | Phase.STOPPED | Phase.COMPLETED:
            return unit, ()
        case Phase.WAITING | Phase.BLOCKED | Phase.BACKOFF | Phase.FAILED:
            return _enter(unit.with_(deadline=None), Phase.STOPPED, now, Reason("asked", wish.cause))
        case Phase.STOPPING if wish.grace is not None:
            return unit.with_(deadline=now + wish.grace + STOP_GUARD), (Stop(unit.key, unit.epoch, wish.grace),)
        case _:
            return unit, ()


def take(unit: Unit, news: Taken, now: float) -> Step:
    """Something that ran already becomes this unit's instance, with a life of its own number."""
    unit = unit.with_(wanted=Wanted.UP, epoch=unit.epoch + 1, restarts=0, starts=(), replace=False, verdict=None)
    return _alive(unit.with_(request=news.request), news.started, now, "taken over")


# ── what the gates decide ────────────────────────────────────────────────────────────────────────────────────────────


def release(unit: Unit, now: float, note: str = "") -> Step:
    """All that it depends on is there: begin a new life. Called for a waiting or blocked unit that is wanted up."""
    unit = unit.with_(
        epoch=unit.epoch + 1,
        started=None,
        started_at=None,
        ready_at=None,
        released_at=now if unit.released_at is None else unit.released_at,
        exit=None,
        verdict=None,
        deadline=None,
        health=HealthState(),
        starts=_recent(unit, now),
        running_digest=unit.spec.digest,
        stopping_since=None,
        grace=None,
    )
    unit, effects = _enter(unit, Phase.STARTING, now, Reason("starting", note))
    return unit, (*effects, Spawn(unit.key, unit.epoch))


def hold(unit: Unit, reason: Reason, now: float) -> Step:
    """Something that it depends on is not there yet, or what depends on it has not stopped yet."""
    if unit.phase is Phase.BLOCKED:
        return _enter(unit, Phase.WAITING, now, reason)
    return (unit if unit.reason == reason else unit.with_(reason=reason)), ()


def block(unit: Unit, reason: Reason, now: float) -> Step:
    """Something that it depends on failed; should that recover, the unit goes on."""
    if unit.phase is Phase.BLOCKED:
        return (unit if unit.reason == reason else unit.with_(reason=reason)), ()
    return _enter(unit, Phase.BLOCKED, now, reason)


def end(unit: Unit, now: float) -> Step:
    """Begin to stop a running instance: because it is wanted down, is to be replaced, or a verdict fell."""
    if unit.verdict:
        reason = unit.verdict
    elif unit.wanted is Wanted.DOWN:
        reason = Reason("asked", "asked to stop")
    else:
        reason = Reason("replaced", "is restarted with its new definition" if unit.outdated else "is restarted")
    grace = unit.spec.stop.timeout if unit.grace is None else unit.grace
    if unit.stopping_since is not None:
        grace = max(0.0, unit.stopping_since + grace - now)
    return _stop(unit, grace, reason, now)


# ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def hear(unit: Unit, news: News, now: float) -> Step:
    """Take in news of an instance; of another life than the present one it is dropped."""
    if news.epoch != unit.epoch:
        return unit, ()
    match news:
        case Spawned():
            if unit.phase is not Phase.STARTING:
                return unit, ()
            return _alive(unit.with_(ports={**unit.ports, **news.ports}), news.started, now, "started")
        case SpawnFailed():
            return _not_spawned(unit, news, now)
        case Exited():
            return _exited(unit, news.exit, now)
        case StopEnded():
            return _stop_ended(unit, news, now)
        case Lost():
            if unit.phase not in (Phase.RUNNING, Phase.STARTING):
                return unit, ()
            return _unknown(unit, news.reason, now)
        case Recovered():
            return _recovered(unit, news, now)
        case Checked():
            return _checked(unit, news, now)
        case _:
            assert_never(news)


def pass_time(unit: Unit, now: float) -> Step:
    """A deadline of this unit may have passed."""
    if unit.deadline is None or now < unit.deadline:
        return unit, ()
    unit = unit.with_(deadline=None)
    match unit.phase:
        case Phase.BACKOFF:
            return _enter(unit, Phase.WAITING, now, Reason("retry", "starts again"))
        case Phase.UNKNOWN:
            return unit, (Recover(unit.key, unit.epoch),)
        case Phase.STOPPING:
            return unit.with_(deadline=now + STOP_GUARD), (Stop(unit.key, unit.epoch, 0.0),)
        case Phase.RUNNING if unit.spec.kind is Kind.TASK:
            return unit.with_(verdict=Reason("timeout", f"took longer than {unit.spec.timeout or 0:g} s")), ()
        case Phase.RUNNING:
            return _not_ready_in_time(unit, now)
        case _:
            return unit, ()


def boot(unit: Unit, same_boot: bool, now: float) -> Step:
    """A new daemon looks at what an earlier one left: what may live is sought, never assumed."""
    if same_boot:
        if unit.phase in ACTIVE:
            return _seek(unit, now)
        return unit, ()
    unit = unit.with_(
        since=now,
        deadline=None,
        started=None,
        started_at=None,
        ready_at=None,
        released_at=None,
        starts=(),
        delay=0.0,
        replace=False,
        verdict=None,
        stopping_since=None,
        health=HealthState(),
    )
    if unit.wanted is Wanted.DOWN or unit.phase in (Phase.COMPLETED, Phase.FAILED):
        down = unit.phase if unit.phase not in ACTIVE else Phase.STOPPED
        return unit.with_(phase=down), ()
    if unit.spec.autostart:
        return _enter(unit, Phase.WAITING, now, Reason("autostart", "starts because the machine was restarted"))
    unit = unit.with_(wanted=Wanted.DOWN)
    return _enter(unit, Phase.STOPPED, now, Reason("rebooted", "the machine was restarted since"))


# ── how each piece of news is taken ──────────────────────────────────────────────────────────────────────────────────


def _alive(unit: Unit, started: Started, now: float, cause: str) -> Step:
    check, task = unit.spec.check, unit.spec.kind is Kind.TASK
    health = HealthState.begin(check, now)
    wait = unit.spec.timeout if task else (unit.spec.start_timeout if check else None)
    unit = unit.with_(
        started=started,
        started_at=now,
        running_digest=unit.spec.digest,
        health=health,
        ready_at=now if check is None else None,
        deadline=None if wait is None else now + wait,
        stopping_since=None,
    )
    reason = Reason("not_ready", "waits for its first good health check") if check else Reason()
    unit, effects = _enter(unit, Phase.RUNNING, now, reason)
    told = _tell(unit, EventType.STARTED, cause, pid=started.pid, container_id=started.container_id, ports=unit.ports)
    checks = (StartChecks(unit.key, unit.epoch),) if check else ()
    return unit, (*effects, told, Watch(unit.key, unit.epoch), *checks)


def _not_spawned(unit: Unit, news: SpawnFailed, now: float) -> Step:
    if unit.phase is not Phase.STARTING:
        return unit, ()
    failure = Reason("start_failed", news.message)
    if news.permanent and unit.wanted is Wanted.UP:
        return _fail(unit, failure, now)
    return _after_death(unit.with_(verdict=failure), news.jitter, now)


def _exited(unit: Unit, exit_: Exit, now: float) -> Step:
    if unit.phase is Phase.STOPPING:
        return unit.with_(exit=exit_), ()
    if unit.phase not in (Phase.RUNNING, Phase.UNKNOWN):
        return unit, ()
    ran = None if unit.started_at is None else round(now - unit.started_at, 3)
    unit = unit.with_(exit=exit_)
    told = _tell(
        unit, EventType.EXITED, str(exit_), code=exit_.code, signal=exit_.signal, oom=exit_.oom, uptime_seconds=ran
    )
    # what the instance left behind gets the full grace to end by itself, unless the user is in a hurry
    grace = unit.spec.stop.timeout if unit.grace is None else unit.grace
    unit, effects = _stop(unit, grace, Reason("ended", f"{exit_}; making sure that nothing of it is left"), now)
    return unit, (told, *effects)


def _stop_ended(unit: Unit, news: StopEnded, now: float) -> Step:
    if unit.phase is not Phase.STOPPING:
        return unit, ()
    report = news.report
    if report.leftovers:
        left = ", ".join(report.leftovers)
        reason = Reason("unkillable", f"cannot be ended: {left}")
        return unit.with_(reason=reason, deadline=now + UNKILLABLE_RETRY), ()
    exit_ = unit.exit or report.exit or Exit()
    told: tuple[Effect, ...] = ()
    if unit.exit is None:
        ran = None if unit.started_at is None else round(now - unit.started_at, 3)
        told = (
            _tell(
                unit,
                EventType.EXITED,
                f"{exit_}{', killed after the grace period' if report.forced else ''}",
                code=exit_.code,
                signal=exit_.signal,
                oom=exit_.oom,
                uptime_seconds=ran,
            ),
        )
    unit = unit.with_(exit=exit_)
    if unit.spec.kind is Kind.TASK and exit_.success and not (unit.verdict or unit.replace):
        unit, effects = _task_done(unit, news, now)
    else:
        unit, effects = _after_death(unit, news.jitter, now)
    return unit, (*told, *effects)


def _task_done(unit: Unit, news: StopEnded, now: float) -> Step:
    done = Done(unit.fingerprint, news.at, dict(news.outputs))
    unit = unit.with_(done=done, rerun=False, started=None, deadline=None, ready_at=now, stopping_since=None)
    reason = Reason("done", str(unit.exit))
    unit, effects = _enter(unit, Phase.COMPLETED, now, reason)
    return unit, (*effects, _tell(unit, EventType.TASK, "done", outcome="done", outputs=sorted(done.outputs)))


def _after_death(unit: Unit, jitter: float, now: float) -> Step:
    """Nothing of the last life is left: what now? The user's wish first, then a replacement, then the policy."""
    exit_ = unit.exit or Exit()
    verdict, ran_for = unit.verdict, now - unit.started_at if unit.started_at is not None else 0.0
    unit = unit.with_(started=None, verdict=None, deadline=None, stopping_since=None)
    if unit.wanted is Wanted.DOWN:
        return _enter(unit, Phase.STOPPED, now, Reason("asked", "asked to stop"))
    if unit.replace:
        return _enter(unit.with_(replace=False), Phase.WAITING, now, Reason("replaced", "starts again"))
    failure = verdict or Reason("exited", str(exit_))
    if unit.spec.kind is Kind.TASK:
        return _task_failed(unit, failure, now)
    success = exit_.success and verdict is None
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
            unit = unit.with_(restarts=unit.restarts + 1, delay=base, deadline=now + delay)
            return _enter(unit, Phase.BACKOFF, now, Reason(failure.code, f"{failure.sentence}; {words}"))
        case restart.GiveUp(words):
            return _fail(unit, Reason("gave_up", f"{failure.sentence}; {words}"), now)
        case restart.Leave():
            if success:
                return _enter(unit, Phase.COMPLETED, now, Reason("done", str(exit_)))
            return _fail(unit, failure, now)
        case _:
            assert_never(decision)


def _task_failed(unit: Unit, failure: Reason, now: float) -> Step:
    tries = unit.attempts + 1
    unit = unit.with_(attempts=tries)
    if tries <= unit.spec.retries:
        words = f"{failure.sentence}; try {tries + 1} of {unit.spec.retries + 1} in {unit.spec.retry_delay:g} s"
        unit = unit.with_(restarts=unit.restarts + 1, deadline=now + unit.spec.retry_delay)
        return _enter(unit, Phase.BACKOFF, now, Reason(failure.code, words))
    unit, effects = _fail(unit.with_(rerun=False), failure, now)
    return unit, (*effects, _tell(unit, EventType.TASK, failure.sentence, outcome="failed"))


def _fail(unit: Unit, reason: Reason, now: float) -> Step:
    return _enter(unit.with_(started=None, deadline=None, verdict=None, replace=False), Phase.FAILED, now, reason)


def _recovered(unit: Unit, news: Recovered, now: float) -> Step:
    if unit.phase is not Phase.UNKNOWN:
        return unit, ()
    match news.recovery:
        case Running(started):
            return _found(unit, started, now)
        case Ended(exit_):
            return _exited(unit, exit_, now)
        case Gone() if unit.started is None:
            # the intent was recorded and the daemon died before it was carried out
            return _enter(unit.with_(deadline=None), _resting(unit), now, Reason("not_spawned", "was never started"))
        case Gone():
            return _exited(unit, Exit(), now)
        case Unknown(reason):
            return unit.with_(reason=Reason("unknown", reason), deadline=now + RECOVER_RETRY), ()
        case _:
            assert_never(news.recovery)


def _found(unit: Unit, started: Started, now: float) -> Step:
    """It lives: the life goes on where it was, its age and its health as they were."""
    if unit.started_at is None:
        return _alive(unit, started, now, "found running")
    waits = unit.spec.check is not None and unit.ready_at is None and unit.spec.kind is Kind.SERVICE
    task = unit.spec.kind is Kind.TASK and unit.spec.timeout is not None
    limit = unit.spec.start_timeout if waits else (unit.spec.timeout or 0.0)
    unit = unit.with_(started=started, deadline=unit.started_at + limit if waits or task else None)
    if unit.health.status is Health.UNKNOWN:
        unit = unit.with_(health=HealthState.begin(unit.spec.check, now))
    unit, effects = _enter(unit, Phase.RUNNING, now, Reason("found", "taken back") if waits else Reason())
    checks = (StartChecks(unit.key, unit.epoch),) if unit.spec.check else ()
    return unit, (*effects, Watch(unit.key, unit.epoch), *checks)


def _checked(unit: Unit, news: Checked, now: float) -> Step:
    if unit.phase is not Phase.RUNNING or unit.spec.check is None:
        return unit, ()
    old = unit.health
    health = judge(old, unit.spec.check, news.ok, news.detail, news.seconds, now, unit.started_at or now)
    unit = unit.with_(health=health)
    if health.status is old.status:
        if unit.ready_at is None and health.detail and not news.ok:
            unit = unit.with_(reason=Reason("not_ready", f"waits for its health check: {health.detail}"))
        return unit, ()
    told = _tell(unit, EventType.HEALTH, health.detail, **{"from": old.status.value, "to": health.status.value})
    if health.status is Health.HEALTHY:
        first = unit.ready_at is None
        unit = unit.with_(reason=Reason(), deadline=None, ready_at=now if first else unit.ready_at)
        return unit, (told,)
    unit = unit.with_(reason=Reason(health.status.value, health.detail))
    return _punish(unit), (told,)


def _not_ready_in_time(unit: Unit, now: float) -> Step:
    """The start took too long: say so and let it run, unless the policy wants it restarted."""
    detail = f": {unit.health.detail}" if unit.health.detail else ""
    reason = Reason("not_ready_in_time", f"not ready within {unit.spec.start_timeout:g} s{detail}")
    old = unit.health.status
    health = replace(unit.health, status=Health.UNHEALTHY, since=now)
    unit = unit.with_(health=health, reason=reason)
    told = _tell(unit, EventType.HEALTH, reason.sentence, **{"from": old.value, "to": health.status.value})
    return _punish(unit), (told,)


def _punish(unit: Unit) -> Unit:
    if unit.spec.restart.on_unhealthy and unit.health.status is Health.UNHEALTHY:
        return unit.with_(verdict=Reason("unhealthy", f"unhealthy: {unit.reason.sentence}"))
    return unit


# ── small steps ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _stop(unit: Unit, grace: float, reason: Reason, now: float) -> Step:
    since = now if unit.stopping_since is None else unit.stopping_since
    unit = unit.with_(deadline=now + grace + STOP_GUARD, stopping_since=since)
    unit, effects = _enter(unit, Phase.STOPPING, now, reason)
    checks = (StopChecks(unit.key),) if unit.spec.check else ()
    return unit, (*effects, *checks, Stop(unit.key, unit.epoch, grace))


def _seek(unit: Unit, now: float) -> Step:
    unit = unit.with_(deadline=None)
    unit, effects = _enter(unit, Phase.UNKNOWN, now, Reason("seeking", "the daemon was restarted and looks for it"))
    return unit, (*effects, Recover(unit.key, unit.epoch))


def _unknown(unit: Unit, why: str, now: float) -> Step:
    health = HealthState(status=Health.UNKNOWN, detail=why, since=now)
    unit = unit.with_(deadline=now + RECOVER_RETRY, health=health)
    unit, effects = _enter(unit, Phase.UNKNOWN, now, Reason("unknown", why))
    checks = (StopChecks(unit.key),) if unit.spec.check else ()
    return unit, (*effects, *checks)


def _resting(unit: Unit) -> Phase:
    return Phase.WAITING if unit.wanted is Wanted.UP else Phase.STOPPED


def _recent(unit: Unit, now: float) -> tuple[float, ...]:
    window = unit.spec.restart.window
    return (*(start for start in unit.starts if now - start < window), now)


def _enter(unit: Unit, phase: Phase, now: float, reason: Reason) -> Step:
    old = unit.phase
    unit = unit.with_(phase=phase, since=now, reason=reason)
    return unit, (_tell(unit, EventType.STATE, reason.sentence, **{"from": old.value, "to": phase.value}),)


def _tell(unit: Unit, type_: EventType, cause: str, **data: object) -> Tell:
    return Tell(type_, unit.key, unit.epoch, cause, unit.request, data)
