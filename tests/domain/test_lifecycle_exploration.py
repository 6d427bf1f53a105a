"""The lifecycle explored exhaustively: every state that a unit can reach, under every order of news, wishes and time.

Time is abstracted to "the deadline passes" and epochs are made relative, so that the graph of states closes. Beside the
machine stands a model of the outside: instances that live or not, whether or not anybody knows. The invariants are
checked in every state that is reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from harness_core.domain import gates, lifecycle
from harness_core.domain.effects import Effect, Recover, Spawn, Stop
from harness_core.domain.executor import Ended, Gone, Running, StopReport, Unknown
from harness_core.domain.health import HealthState
from harness_core.domain.spec import RestartPolicy, RestartSpec, UnitSpec
from harness_core.domain.states import ACTIVE, Exit, Kind, Phase, Reason, Wanted
from harness_core.domain.stimuli import (
    Boot,
    Checked,
    Exited,
    Lost,
    Recovered,
    Spawned,
    SpawnFailed,
    StopEnded,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import Unit, unit_to_json
from harness_core.domain.world import World, handle
from tests.domain.build import CHECK, service, started, task

DT = 1000.0


@dataclass(frozen=True)
class State:
    """The unit, the truth outside, and the effects that are under way."""

    unit: Unit
    #: epochs of instances that really live
    alive: frozenset[int]
    #: instances that ended, with nothing told yet
    dead: frozenset[int]
    flying: tuple[Effect, ...]


def normal(state: State, now: float) -> str:
    """The same state with time and epochs made relative, so that equal situations are equal values."""
    unit, base = state.unit, state.unit.epoch
    unit = unit.with_(
        epoch=0,
        since=0.0,
        reason=Reason(unit.reason.code),
        deadline=None if unit.deadline is None else 1.0,
        started=started() if unit.started else None,
        started_at=None if unit.started_at is None else 0.0,
        released_at=None,
        ready_at=None if unit.ready_at is None else 0.0,
        starts=(0.0,) * min(unit.spec.restart.burst, sum(now - s < unit.spec.restart.window for s in unit.starts)),
        delay=0.0,
        restarts=0,
        health=HealthState(status=unit.health.status),
        exit=None if unit.exit is None else replace(unit.exit, at=None),
        verdict=Reason(unit.verdict.code) if unit.verdict else None,
        stopping_since=None if unit.stopping_since is None else 0.0,
        done=None if unit.done is None else replace(unit.done, at=0.0),
        grace=None if unit.grace is None else 0.0,
        request="",
    )
    flying = tuple(sorted((replace(e, epoch=e.epoch - base) for e in state.flying), key=repr))
    alive, dead = sorted(e - base for e in state.alive), sorted(e - base for e in state.dead)
    return repr((unit_to_json(unit), alive, dead, [_graceless(e) for e in flying]))


def _graceless(effect: Effect) -> Effect:
    return replace(effect, grace=0.0) if isinstance(effect, Stop) else effect


def moves(state: State) -> Iterator[tuple[str, object, State]]:
    """Everything that can happen next: a name, the stimulus, and the outside as it is then."""
    unit, key, epoch = state.unit, state.unit.key, state.unit.epoch
    yield "want up", WantUp((key,)), state
    yield "want down", WantDown((key,)), state
    yield "kill", WantDown((key,), grace=0.0), state
    yield "restart", WantUp((key,), restart=True), state
    if unit.deadline is not None:
        yield "deadline", None, state
    for effect in state.flying:
        landed = tuple(e for e in state.flying if e is not effect)
        yield from _answers(replace(state, flying=landed), effect)
    for living in state.alive:
        dead = replace(state, alive=state.alive - {living}, dead=state.dead | {living})
        if living == epoch and unit.phase is Phase.RUNNING:
            yield "exits well", Exited(key, living, Exit(code=0)), dead
            yield "crashes", Exited(key, living, Exit(code=1)), dead
            yield "is lost", Lost(key, living, "link"), state
        yield "dies unseen", "nothing", dead
    if unit.spec.check is not None and unit.phase is Phase.RUNNING:
        yield "is healthy", Checked(key, epoch, True, "ok"), state
        yield "is ill", Checked(key, epoch, False, "no"), state
    yield "late news", Exited(key, epoch - 1, Exit(code=0)), state
    yield "daemon restarts", Boot(same_boot=True), replace(state, flying=())
    yield "machine restarts", Boot(same_boot=False), replace(state, flying=(), alive=frozenset(), dead=frozenset())


def _answers(state: State, effect: Effect) -> Iterator[tuple[str, object, State]]:
    key, epoch = effect.key, effect.epoch
    match effect:
        case Spawn():
            born = replace(state, alive=state.alive | {epoch})
            yield "spawned", Spawned(key, epoch, started()), born
            yield "spawn failed", SpawnFailed(key, epoch, "no"), state
            yield "spawn impossible", SpawnFailed(key, epoch, "no", permanent=True), state
            yield "spawn unanswered", Lost(key, epoch, "timeout"), born
            yield "spawn unanswered and void", Lost(key, epoch, "timeout"), state
        case Stop():
            gone = replace(state, alive=state.alive - {epoch}, dead=state.dead - {epoch})
            yield "stopped", StopEnded(key, epoch, StopReport(Exit(signal=15))), gone
            yield "stopped well", StopEnded(key, epoch, StopReport(Exit(code=0))), gone
            if epoch in state.alive:
                yield "unkillable", StopEnded(key, epoch, StopReport(None, leftovers=("pid 7",))), state
        case Recover():
            if epoch in state.alive:
                yield "found", Recovered(key, epoch, Running(started())), state
            elif epoch in state.dead:
                yield "found dead", Recovered(key, epoch, Ended(Exit(code=1))), state
                yield "found gone", Recovered(key, epoch, Gone()), replace(state, dead=state.dead - {epoch})
            else:
                yield "never was", Recovered(key, epoch, Gone()), state
            yield "cannot tell", Recovered(key, epoch, Unknown("frozen")), state


def explore(spec: UnitSpec) -> tuple[set[Phase], set[tuple[Phase, str, Phase]]]:
    """All states that can be reached from a new unit, and the edges between their phases."""
    now = 10_000.0
    first = State(Unit(spec), frozenset(), frozenset(), ())
    seen = {normal(first, now)}
    reached = {first.unit.phase}
    edges: set[tuple[Phase, str, Phase]] = set()
    queue = deque([(first, now, ())])
    while queue:
        state, now, path = queue.popleft()
        for name, stimulus, outside in moves(state):
            at = now
            unit = outside.unit
            if stimulus is None:
                assert unit.deadline is not None
                at = max(now, unit.deadline)
            after, effects = _apply(unit, stimulus, at)
            result = _with(outside, after, effects)
            story = (*path, name)
            check_invariants(result, story)
            edges.add((unit.phase, name, after.phase))
            key = normal(result, at)
            if key not in seen:
                seen.add(key)
                reached.add(after.phase)
                assert len(seen) < 60_000, f"the states do not close: {story}"
                queue.append((result, at, story))
    return reached, edges


def _with(outside: State, unit: Unit, effects: tuple[Effect, ...]) -> State:
    """The outside with new effects under way; what can only be answered with dropped news is left out."""
    flying: dict[str, Effect] = {}
    for effect in (*outside.flying, *effects):
        if isinstance(effect, Spawn) or (isinstance(effect, (Stop, Recover)) and effect.epoch == unit.epoch):
            flying[f"{type(effect).__name__} {effect.epoch}"] = effect
    dead = outside.dead & {unit.epoch}
    return State(unit, outside.alive, dead, tuple(flying.values()))


def _apply(unit: Unit, stimulus: object, now: float) -> tuple[Unit, tuple[Effect, ...]]:
    if stimulus == "nothing":
        return unit, ()
    world = World({}, {unit.key: unit}, {})
    from harness_core.domain.stimuli import TimePassed

    world, effects = handle(world, TimePassed() if stimulus is None else stimulus, now)  # type: ignore[arg-type]
    return world.units[unit.key], effects


def check_invariants(state: State, story: tuple[str, ...]) -> None:
    unit = state.unit
    assert len(state.alive) <= 1, f"two copies live: {story}"
    spawning = [e for e in state.flying if isinstance(e, Spawn)]
    assert not (spawning and state.alive), f"a start is under way beside a living instance: {story}"
    assert len(spawning) <= 1, f"two starts under way: {story}"
    if state.alive and unit.phase not in ACTIVE:
        pytest.fail(f"an instance lives and nobody knows: {unit.phase} {story}")
    answered = any(getattr(e, "epoch", -1) == unit.epoch for e in state.flying)
    match unit.phase:
        case Phase.STARTING:
            assert answered, f"waits for a start that nobody makes: {story}"
        case Phase.STOPPING | Phase.UNKNOWN:
            assert answered or unit.deadline is not None, f"stranded in {unit.phase}: {story}"
        case Phase.BACKOFF:
            assert unit.deadline is not None, f"backs off for ever: {story}"
            assert unit.wanted is Wanted.UP, f"would start again against the user's wish: {story}"
        case Phase.WAITING | Phase.BLOCKED:
            pytest.fail(f"nothing holds it and it does not start: {story}")
        case Phase.RUNNING:
            assert unit.wanted is Wanted.UP, f"runs on although it is to stop: {story}"
            assert not unit.replace, f"runs on although it is to be replaced: {story}"
            assert unit.started is not None
        case _:
            assert unit.deadline is None, f"something would happen to what rests: {story}"


SPECS = {
    "service": service("a", restart=RestartSpec(burst=2)),
    "service with a check": service("a", check=CHECK, start_timeout=5.0, restart=RestartSpec(burst=1)),
    "restarted when ill": service("a", check=CHECK, restart=RestartSpec(on_unhealthy=True, burst=1)),
    "never restarted": service("a", restart=RestartSpec(policy=RestartPolicy.NO)),
    "always restarted": service("a", restart=RestartSpec(policy=RestartPolicy.ALWAYS, burst=0)),
    "autostart": service("a", autostart=True, restart=RestartSpec(burst=1)),
    "task": task("a", timeout=3.0, retries=1),
}


@pytest.mark.parametrize("name", SPECS)
def test_every_reachable_state_keeps_the_invariants(name: str) -> None:
    reached, edges = explore(SPECS[name])
    expected = set(Phase) - {Phase.SETUP_REQUIRED, Phase.SETTING_UP, Phase.WAITING, Phase.BLOCKED}
    if SPECS[name].kind is Kind.SERVICE and SPECS[name].restart.policy is RestartPolicy.ALWAYS:
        expected -= {Phase.COMPLETED}
    if SPECS[name].restart.policy is RestartPolicy.NO:
        expected -= {Phase.BACKOFF}
    assert reached == expected
    assert edges


def test_waiting_units_wait_for_something_that_moves() -> None:
    """Gates: an unsatisfied dependency holds or blocks, with a culprit that is named."""
    dep = Unit(service("b"), wanted=Wanted.UP, phase=Phase.BACKOFF, deadline=1.0)
    unit = Unit(service("a", "b"), wanted=Wanted.UP, phase=Phase.WAITING)
    gate = gates.may_start(unit, {"s/b": dep})
    assert isinstance(gate, gates.Hold)
    assert gate.reason.culprit == "b"
    held, effects = lifecycle.hold(unit, gate.reason, 1.0)
    assert held.reason.culprit == "b"
    assert effects == ()
