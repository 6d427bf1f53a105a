"""The life of one unit: a pure machine. It is given what happened and returns the unit as it is now and what to do.

Every way to die leads through one door: ``STOPPING``, in which the executor verifies that nothing of the instance is
left, and only its answer (``StopEnded``) lets a new life begin. That is what keeps two copies from existing.

Here are the wishes, what the gates decide, time and the restart of a daemon; how news is taken is in ``news``, what
follows a death in ``aftermath``. Which dependencies let a unit start, and which dependents hold its stop, is judged by
``gates``; this file is told through ``release``, ``hold``, ``block`` and ``end``. Deadlines are fields: what a passed
deadline means follows from the phase alone. A unit that waits has a deadline, an effect in flight, or another unit that
it waits for.
"""

from __future__ import annotations

from harness_core.domain.effects import Forget, Recover, Spawn, Stop, StopChecks, Tell
from harness_core.domain.events import EventType
from harness_core.domain.health import HealthState
from harness_core.domain.news import alive, hear
from harness_core.domain.patience import not_ready_in_time, recheck
from harness_core.domain.states import ACTIVE, SETTLED, Health, Kind, Phase, Reason, Wanted
from harness_core.domain.steps import STOP_GUARD, Step, enter, stop, tell
from harness_core.domain.stimuli import Boot, Give, Taken, WantDown, WantUp
from harness_core.domain.unit import Unit

__all__ = [
    "Step",
    "block",
    "boot",
    "end",
    "give",
    "hear",
    "hold",
    "pass_time",
    "recheck",
    "release",
    "take",
    "want_down",
    "want_up",
]


# ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def want_up(unit: Unit, wish: WantUp, now: float) -> Step:
    """The user wants it up: nothing for what is up already, a fresh start with a fresh budget for what is not."""
    if unit.removed:
        return unit, ()
    fingerprint = wish.fingerprints.get(unit.key, unit.fingerprint)
    unit = unit.with_(request=wish.request, fingerprint=fingerprint, ungated=wish.ungated)
    if unit.spec.kind is Kind.TASK:
        unit = unit.with_(rerun=unit.rerun or wish.rerun)
        if unit.phase not in ACTIVE and unit.is_done:
            done = unit.with_(wanted=Wanted.UP, deadline=None, delay=0.0)
            if unit.phase is Phase.COMPLETED:
                return done, ()
            reason = Reason("already_done", "done before and unchanged since")
            done, effects = enter(done, Phase.COMPLETED, now, reason)
            return done, (*effects, tell(done, EventType.TASK, reason.sentence, outcome="skipped"))
    again = wish.restart or unit.outdated
    if unit.phase in ACTIVE:
        # a stop that is under way cannot be called back, so a new life follows it
        dying = unit.wanted is Wanted.DOWN and unit.stopping_since is not None
        grace = unit.grace if dying else None
        fresh = unit.with_(wanted=Wanted.UP, replace=unit.replace or again or dying, grace=grace)
        if unit.phase is Phase.RUNNING and unit.reason.code == "dependent":
            # its stop was held until now; should the new wish hold it again, the gate says so
            ill = unit.health.status in (Health.UNHEALTHY, Health.UNKNOWN)
            fresh = fresh.with_(reason=Reason(unit.health.status.value, unit.health.detail) if ill else Reason())
        if unit.wanted is Wanted.DOWN or again:
            fresh = fresh.with_(restarts=0, starts=(), delay=0.0, attempts=0, released_at=None)
        elif unit.ready_at is None:
            fresh = fresh.with_(released_at=now)
        return fresh, ()
    if unit.wanted is Wanted.UP and unit.phase is Phase.WAITING and not again:
        return unit, ()
    unit = unit.with_(wanted=Wanted.UP, restarts=0, starts=(), delay=0.0, attempts=0, released_at=None, deadline=None)
    return enter(unit, Phase.WAITING, now, Reason("asked", wish.cause))


def want_down(unit: Unit, wish: WantDown, now: float) -> Step:
    """The user wants it down; from here on nothing but the user starts it again."""
    unit = unit.with_(wanted=Wanted.DOWN, replace=False, rerun=False, grace=wish.grace, request=wish.request)
    match unit.phase:
        case Phase.NOT_STARTED | Phase.STOPPED | Phase.COMPLETED:
            return unit, ()
        case Phase.STARTING if unit.deadline is not None:
            # what it was to attach to has not appeared, and nobody is looking for it at this moment
            return enter(unit.with_(deadline=None), Phase.STOPPED, now, Reason("asked", wish.cause))
        case Phase.WAITING | Phase.BLOCKED | Phase.BACKOFF | Phase.FAILED:
            return enter(unit.with_(deadline=None), Phase.STOPPED, now, Reason("asked", wish.cause))
        case Phase.STOPPING if wish.grace is not None:
            return unit.with_(deadline=now + wish.grace + STOP_GUARD), (Stop(unit.key, unit.epoch, wish.grace),)
        case _:
            return unit, ()


def take(unit: Unit, news: Taken, now: float) -> Step:
    """Something that ran already becomes this unit's instance, with a life of its own number.

    A unit that has an instance, or is about to, takes over none.
    """
    if unit.phase in ACTIVE:
        return unit, ()
    unit = unit.with_(
        wanted=Wanted.UP,
        epoch=unit.epoch + 1,
        restarts=0,
        starts=(),
        delay=0.0,
        exit=None,
        grace=None,
        released_at=now,
        running_digest=unit.spec.digest,
        request=news.request,
    )
    return alive(unit, news.started, now, "taken over")


def give(unit: Unit, wish: Give, now: float) -> Step:
    """Give the unit up without touching what runs of it.

    While it is being started or stopped there is nothing that could be left alone, and nothing changes.
    """
    if unit.phase in (Phase.STARTING, Phase.STOPPING):
        return unit, ()
    epoch = unit.epoch
    left = unit.with_(
        wanted=Wanted.DOWN,
        epoch=epoch + 1,
        started=None,
        started_at=None,
        ready_at=None,
        released_at=None,
        deadline=None,
        replace=False,
        verdict=None,
        stopping_since=None,
        health=HealthState(),
        request=wish.request,
    )
    left, effects = enter(left, Phase.NOT_STARTED, now, Reason("given_up", "given up; what ran of it was left alone"))
    told = Tell(EventType.STACK, unit.key, epoch, "given up", wish.request)
    return left, (*effects, StopChecks(unit.key), Forget(unit.key, epoch), told)


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
    unit, effects = enter(unit, Phase.STARTING, now, Reason("starting", note))
    return unit, (*effects, Spawn(unit.key, unit.epoch))


def hold(unit: Unit, reason: Reason, now: float) -> Step:
    """Something that it depends on is not there yet, or what depends on it has not stopped yet."""
    if unit.phase is Phase.BLOCKED:
        return enter(unit, Phase.WAITING, now, reason)
    return (unit if unit.reason == reason else unit.with_(reason=reason)), ()


def block(unit: Unit, reason: Reason, now: float) -> Step:
    """Something that it depends on failed; should that recover, the unit goes on."""
    if unit.phase is Phase.BLOCKED:
        return (unit if unit.reason == reason else unit.with_(reason=reason)), ()
    return enter(unit, Phase.BLOCKED, now, reason)


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
    return stop(unit, grace, reason, now)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pass_time(unit: Unit, now: float) -> Step:
    """The deadline of this unit has passed."""
    unit = unit.with_(deadline=None)
    match unit.phase:
        case Phase.BACKOFF:
            return enter(unit, Phase.WAITING, now, Reason("retry", "starts again"))
        case Phase.STARTING:
            return unit, (Spawn(unit.key, unit.epoch),)
        case Phase.UNKNOWN:
            return unit, (Recover(unit.key, unit.epoch),)
        case Phase.STOPPING:
            return unit.with_(deadline=now + STOP_GUARD), (Stop(unit.key, unit.epoch, 0.0),)
        case Phase.RUNNING if unit.spec.kind is Kind.TASK:
            return unit.with_(verdict=Reason("timeout", f"took longer than {unit.spec.timeout or 0:g} s")), ()
        case Phase.RUNNING:
            return not_ready_in_time(unit, now)
        case _:
            return unit, ()


def boot(unit: Unit, news: Boot, now: float) -> Step:
    """A new daemon looks at what an earlier one left: what may live is sought, never assumed.

    What a copied state directory tells of belongs to the original: it is neither sought nor started by itself.
    """
    if news.same_boot and not news.copied:
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
        attempts=0,
        replace=False,
        verdict=None,
        stopping_since=None,
        health=HealthState(),
    )
    starts = unit.wanted is Wanted.UP and unit.spec.autostart and not news.copied
    if starts and unit.phase is not Phase.COMPLETED:
        return enter(unit, Phase.WAITING, now, Reason("autostart", "starts because the machine was restarted"))
    if unit.phase in SETTLED:
        return unit, ()
    unit = unit.with_(wanted=Wanted.DOWN)
    if news.copied:
        return enter(unit, Phase.STOPPED, now, Reason("copied", "ran for the state directory that this is a copy of"))
    return enter(unit, Phase.STOPPED, now, Reason("rebooted", "the machine was restarted since"))


def _seek(unit: Unit, now: float) -> Step:
    unit = unit.with_(deadline=None)
    unit, effects = enter(unit, Phase.UNKNOWN, now, Reason("seeking", "the daemon was restarted and looks for it"))
    return unit, (*effects, Recover(unit.key, unit.epoch))


def _recent(unit: Unit, now: float) -> tuple[float, ...]:
    window = unit.spec.restart.window
    return (*(start for start in unit.starts if now - start < window), now)
