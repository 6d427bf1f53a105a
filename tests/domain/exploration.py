"""The explorer of the lifecycle: every state that a unit can reach, under every order of news, wishes and time.

Time is abstracted to "the deadline passes" and epochs are made relative, so that the graph of states closes. Beside the
machine stands a model of the outside: instances that live or not, whether or not anybody knows. One neighbour, a unit
that it depends on or that depends on it, may stand beside it and live a simple life of its own. The invariants are
checked in every state that is reached, and a story that breaks one is told from its beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from harness_core.domain import gates
from harness_core.domain.effects import Effect, Recover, Spawn, Stop
from harness_core.domain.executor import Ended, Gone, Running, StopReport, Unknown
from harness_core.domain.health import HealthState
from harness_core.domain.spec import RestartPolicy, RestartSpec, UnitSpec
from harness_core.domain.states import ACTIVE, Exit, Phase, Reason, Wanted
from harness_core.domain.stimuli import (
    Boot,
    Checked,
    Exited,
    Lost,
    Progressed,
    Recovered,
    Spawned,
    SpawnFailed,
    Stimulus,
    StopEnded,
    TimePassed,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import Unit, unit_to_json
from harness_core.domain.world import World, dependents_of, handle
from tests.domain.build import CHECK, edge, service, started, task

__all__ = ["LIMIT", "SPECS", "Found", "explore", "explored"]

#: more states than this mean that the abstraction of time or epochs is broken
LIMIT = 60_000

#: one bad answer after a good one makes it ill
FRAIL = CHECK.model_copy(update={"retries": 1})

#: what kind of unit, and the neighbour that stands beside it
SPECS: dict[str, tuple[UnitSpec, Unit | None]] = {
    "service": (service("a", restart=RestartSpec(burst=2)), None),
    "service with a check": (service("a", check=FRAIL, start_timeout=5.0, restart=RestartSpec(burst=1)), None),
    "restarted when ill": (service("a", check=FRAIL, restart=RestartSpec(on_unhealthy=True, burst=1)), None),
    "never restarted": (service("a", restart=RestartSpec(policy=RestartPolicy.NO)), None),
    "always restarted": (service("a", restart=RestartSpec(policy=RestartPolicy.ALWAYS, burst=0)), None),
    "autostart": (service("a", autostart=True, restart=RestartSpec(burst=1)), None),
    "task": (task("a", timeout=3.0, retries=1), None),
    "depends on another": (
        service("a", edge("b", restart=True), restart=RestartSpec(burst=1)),
        Unit(service("b", restart=RestartSpec(policy=RestartPolicy.NO))),
    ),
    "another depends on it": (
        service("a", restart=RestartSpec(burst=1)),
        Unit(service("c", edge("a", restart=True), restart=RestartSpec(policy=RestartPolicy.NO))),
    ),
}


@dataclass(frozen=True)
class State:
    """The unit, its neighbour, the truth outside, and the effects that are under way."""

    unit: Unit
    neighbour: Unit | None
    #: epochs of instances that really live
    alive: frozenset[int]
    #: instances that ended, with nothing told yet
    dead: frozenset[int]
    flying: tuple[Effect, ...]

    @property
    def world(self) -> World:
        units = {unit.key: unit for unit in (self.unit, self.neighbour) if unit is not None}
        return World({}, units, dependents_of(units.values()))


@dataclass(frozen=True)
class Found:
    """What an exploration came across."""

    states: int
    phases: frozenset[Phase]
    #: from which phase, by what, to which phase
    edges: frozenset[tuple[Phase, str, Phase]]


def explore(spec: UnitSpec, neighbour: Unit | None = None) -> Found:
    """Visit all states that a new unit can reach. Raises ``AssertionError`` with the story of a broken one."""
    now = 10_000.0
    first = State(Unit(spec), neighbour, frozenset(), frozenset(), ())
    seen = {normal(first, now)}
    edges: set[tuple[Phase, str, Phase]] = set()
    queue: deque[tuple[State, float, tuple[str, ...]]] = deque([(first, now, ())])
    while queue:
        state, now, path = queue.popleft()
        for name, stimulus, outside in moves(state):
            at = now
            if isinstance(stimulus, TimePassed):
                assert state.unit.deadline is not None
                at = max(now, state.unit.deadline)
            result = _after(outside, stimulus, at)
            story = (*path, name)
            check_invariants(result, story)
            check_order(state, result, story)
            edges.add((state.unit.phase, name, result.unit.phase))
            key = normal(result, at)
            if key not in seen:
                seen.add(key)
                assert len(seen) < LIMIT, f"the states do not close: {story}"
                queue.append((result, at, story))
    return Found(len(seen), frozenset(to for _, _, to in edges), frozenset(edges))


@cache
def explored(name: str) -> Found:
    """The exploration of one of ``SPECS``, made once for all tests."""
    return explore(*SPECS[name])


# ── what can happen ──────────────────────────────────────────────────────────────────────────────────────────────────


def moves(state: State) -> Iterator[tuple[str, Stimulus | None, State]]:
    """Everything that can happen next: a name, the stimulus if anybody hears of it, and the outside as it is then."""
    unit, key, epoch = state.unit, state.unit.key, state.unit.epoch
    yield "asked to start", WantUp((key,)), state
    yield "asked to stop", WantDown((key,)), state
    yield "asked to kill", WantDown((key,), grace=0.0), state
    yield "asked to restart", WantUp((key,), restart=True), state
    if unit.deadline is not None:
        yield "deadline passes", TimePassed(), state
    for effect in state.flying:
        landed = tuple(e for e in state.flying if e is not effect)
        yield from _answers(replace(state, flying=landed), effect)
    for living in state.alive:
        dead = replace(state, alive=state.alive - {living}, dead=state.dead | {living})
        if living == epoch and unit.phase is Phase.RUNNING:
            yield "exits well", Exited(key, living, Exit(code=0)), dead
            yield "crashes", Exited(key, living, Exit(code=1)), dead
            yield "link lost", Lost(key, living, "link"), state
        yield "dies unseen", None, dead
    if unit.spec.check is not None and unit.phase is Phase.RUNNING:
        yield "check succeeds", Checked(key, epoch, True, "ok"), state
        yield "check fails", Checked(key, epoch, False, "no"), state
    yield "late news", Exited(key, epoch - 1, Exit(code=0)), state
    yield "daemon restarts", Boot(same_boot=True), replace(state, flying=())
    yield "machine restarts", Boot(same_boot=False), replace(state, flying=(), alive=frozenset(), dead=frozenset())
    if state.neighbour is not None:
        yield from _of_neighbour(state, state.neighbour)


def _answers(state: State, effect: Effect) -> Iterator[tuple[str, Stimulus, State]]:
    match effect:
        case Spawn(key, epoch):
            born = replace(state, alive=state.alive | {epoch})
            yield "is started", Spawned(key, epoch, started()), born
            yield "start fails", SpawnFailed(key, epoch, "no"), state
            yield "start is impossible", SpawnFailed(key, epoch, "no", permanent=True), state
            yield "is not there yet", SpawnFailed(key, epoch, "no", absent=True), state
            yield "takes long", Progressed(key, epoch, "half"), replace(state, flying=(effect, *state.flying))
            yield "start unanswered", Lost(key, epoch, "timeout"), born
            yield "start unanswered and void", Lost(key, epoch, "timeout"), state
        case Stop(key, epoch):
            gone = replace(state, alive=state.alive - {epoch}, dead=state.dead - {epoch})
            yield "nothing is left", StopEnded(key, epoch, StopReport(Exit(signal=15))), gone
            yield "nothing is left after a good end", StopEnded(key, epoch, StopReport(Exit(code=0))), gone
            if epoch in state.alive:
                yield "is let go", StopEnded(key, epoch, StopReport(None, released=True)), gone
                yield "does not die", StopEnded(key, epoch, StopReport(None, leftovers=("pid 7",))), state
        case Recover(key, epoch):
            if epoch in state.alive:
                yield "found running", Recovered(key, epoch, Running(started())), state
                yield "found halted", Recovered(key, epoch, Unknown("paused", started())), state
            elif epoch in state.dead:
                yield "found ended", Recovered(key, epoch, Ended(Exit(code=1))), state
                yield "found gone", Recovered(key, epoch, Gone()), replace(state, dead=state.dead - {epoch})
            else:
                yield "never was", Recovered(key, epoch, Gone()), state
            yield "cannot tell", Recovered(key, epoch, Unknown("frozen")), state


def _of_neighbour(state: State, other: Unit) -> Iterator[tuple[str, Stimulus, State]]:
    """A life without surprises: it starts when it may, ends badly, is asked for again, and is asked to stop."""
    key, epoch = other.key, other.epoch
    match other.phase:
        case Phase.STARTING:
            yield "neighbour is started", Spawned(key, epoch, started()), state
        case Phase.RUNNING if other.wanted is Wanted.UP:
            yield "neighbour crashes", Exited(key, epoch, Exit(code=1)), state
            yield "neighbour is asked to stop", WantDown((key,)), state
        case Phase.STOPPING:
            yield "neighbour has ended", StopEnded(key, epoch, StopReport(Exit(code=1))), state
        case Phase.UNKNOWN:
            yield "neighbour is found gone", Recovered(key, epoch, Gone()), state
        case _:
            yield "neighbour is asked to start", WantUp((key,)), state


def _after(outside: State, stimulus: Stimulus | None, now: float) -> State:
    if stimulus is None:
        return outside
    world, effects = handle(outside.world, stimulus, now)
    unit = world.units[outside.unit.key]
    neighbour = world.units[outside.neighbour.key] if outside.neighbour else None
    flying: dict[str, Effect] = {}
    for effect in (*outside.flying, *effects):
        # what can only be answered with dropped news is left out, except that a start brings an instance to life
        current = isinstance(effect, (Stop, Recover)) and effect.key == unit.key and effect.epoch == unit.epoch
        if current or (isinstance(effect, Spawn) and effect.key == unit.key):
            flying[f"{type(effect).__name__} {effect.epoch}"] = effect
    return State(unit, neighbour, outside.alive, outside.dead & {unit.epoch}, tuple(flying.values()))


# ── what must always hold ────────────────────────────────────────────────────────────────────────────────────────────


def check_invariants(state: State, story: tuple[str, ...]) -> None:
    unit = state.unit
    assert len(state.alive) <= 1, f"two copies live: {story}"
    spawning = [e for e in state.flying if isinstance(e, Spawn)]
    assert not (spawning and state.alive), f"a start is under way beside a living instance: {story}"
    assert len(spawning) <= 1, f"two starts under way: {story}"
    assert not state.alive or unit.phase in ACTIVE, f"an instance lives and nobody knows: {unit.phase} {story}"
    answered = any(getattr(e, "epoch", -1) == unit.epoch for e in state.flying)
    match unit.phase:
        case Phase.STARTING:
            assert answered or unit.deadline is not None, f"waits for a start that nobody makes: {story}"
        case Phase.STOPPING | Phase.UNKNOWN:
            assert answered or unit.deadline is not None, f"stranded in {unit.phase}: {story}"
        case Phase.BACKOFF:
            assert unit.deadline is not None, f"backs off for ever: {story}"
            assert unit.wanted is Wanted.UP, f"would start again against the user's wish: {story}"
        case Phase.WAITING | Phase.BLOCKED:
            assert unit.wanted is Wanted.UP, f"waits against the user's wish: {story}"
            gate = gates.may_start(unit, state.world.units)
            assert not isinstance(gate, gates.Open), f"nothing holds it and it does not start: {story}"
            assert unit.reason.culprit, f"waits and does not say for whom: {story}"
        case Phase.RUNNING:
            assert unit.started is not None, f"runs and nobody knows what: {story}"
            if unit.wanted is Wanted.DOWN or unit.replace or unit.verdict:
                assert _going(state.neighbour), f"runs on although it is to end: {story}"
        case _:
            assert unit.deadline is None, f"something would happen to what rests: {story}"


def check_order(before: State, after: State, story: tuple[str, ...]) -> None:
    """What depends on the unit and is going, too, goes first, unless the unit has ended or is killed."""
    unit = after.unit
    asked = before.unit.phase is Phase.RUNNING and unit.phase is Phase.STOPPING and unit.exit is None
    if asked and unit.verdict is None and unit.grace != 0:
        assert not _going(after.neighbour), f"is stopped before what depends on it: {story}"


def _going(neighbour: Unit | None) -> bool:
    """Whether the unit that depends on the explored one is on its way down, and known to be."""
    if neighbour is None or not neighbour.spec.edges:
        return False
    known = neighbour.phase in ACTIVE and neighbour.phase is not Phase.UNKNOWN
    return known and (neighbour.wanted is Wanted.DOWN or neighbour.replace)


# ── when two states are the same ─────────────────────────────────────────────────────────────────────────────────────


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
        health=HealthState(status=unit.health.status, proven=unit.health.proven),
        exit=None if unit.exit is None else replace(unit.exit, at=None),
        verdict=Reason(unit.verdict.code) if unit.verdict else None,
        stopping_since=None if unit.stopping_since is None else 0.0,
        done=None if unit.done is None else replace(unit.done, at=0.0),
        grace=None if unit.grace is None else 0.0,
        request="",
    )
    flying = tuple(sorted((_relative(e, base) for e in state.flying), key=repr))
    alive, dead = sorted(e - base for e in state.alive), sorted(e - base for e in state.dead)
    other = state.neighbour
    beside = None if other is None else (other.phase.value, other.wanted.value, other.replace)
    return repr((unit_to_json(unit), alive, dead, flying, beside))


def _relative(effect: Effect, base: int) -> Effect:
    moved = replace(effect, epoch=getattr(effect, "epoch", 0) - base)  # type: ignore[call-arg]
    return replace(moved, grace=0.0) if isinstance(moved, Stop) else moved
