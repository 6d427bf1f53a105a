"""The whole of what harness knows, as one value, and the only function that changes it.

    world, effects = handle(world, stimulus, now)

``handle`` does arithmetic on values: no clock, no disk, no chance. Whoever owns the world (the engine, or a test)
stores what changed, then carries out the effects, then posts what came of them. Ordered containers only, so that the
same stimuli always give the same effects in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import assert_never

from harness_core.domain import gates, lifecycle
from harness_core.domain.definition import StackDefinition
from harness_core.domain.effects import Effect, Forget, Tell
from harness_core.domain.events import EventType
from harness_core.domain.lifecycle import Step
from harness_core.domain.states import ACTIVE, Phase, Wanted
from harness_core.domain.stimuli import (
    Apply,
    Boot,
    Checked,
    Exited,
    Give,
    Lost,
    Progressed,
    Recovered,
    Spawned,
    SpawnFailed,
    Stimulus,
    StopEnded,
    Taken,
    TimePassed,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import Unit
from harness_core.domain.units import changes

__all__ = ["World", "dependents_of", "handle"]


@dataclass(frozen=True, slots=True)
class World:
    """Stacks as defined and units as they are; the key of a unit is ``"stack/name"``."""

    stacks: Mapping[str, StackDefinition] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    #: by unit key, the keys of the units that have an edge to it; follows from ``units``
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def deadline(self) -> float | None:
        """The next moment, monotonic, at which something happens by itself."""
        return min((u.deadline for u in self.units.values() if u.deadline is not None), default=None)

    def of_stack(self, stack: str) -> list[Unit]:
        return [u for u in self.units.values() if u.spec.stack == stack]


def handle(world: World, stimulus: Stimulus, now: float) -> tuple[World, tuple[Effect, ...]]:
    """Take in one stimulus. Total: what makes no sense changes nothing."""
    turn = _Turn(world, now)
    match stimulus:
        case WantUp():
            for key in stimulus.keys:
                turn.step(key, lambda unit: lifecycle.want_up(unit, stimulus, now))
        case WantDown():
            for key in stimulus.keys:
                turn.step(key, lambda unit: lifecycle.want_down(unit, stimulus, now))
        case Apply():
            turn.apply(stimulus)
        case Give():
            turn.give(stimulus)
        case Taken():
            turn.step(stimulus.key, lambda unit: lifecycle.take(unit, stimulus, now))
        case Spawned() | SpawnFailed() | Progressed() | Exited() | StopEnded() | Lost() | Recovered() | Checked():
            turn.step(stimulus.key, lambda unit: lifecycle.hear(unit, stimulus, now))
        case TimePassed():
            for key, unit in world.units.items():
                if unit.deadline is not None and unit.deadline <= now:
                    turn.step(key, lambda unit: lifecycle.pass_time(unit, now))
        case Boot():
            for key in world.units:
                turn.step(key, lambda unit: lifecycle.boot(unit, stimulus, now))
            turn.dirty.update(dict.fromkeys(world.units))
        case _:
            assert_never(stimulus)
    return turn.settle()


class _Turn:
    """The workings of one ``handle``: steps taken, effects gathered, units whose gates must be judged again."""

    def __init__(self, world: World, now: float) -> None:
        self.world = world
        self.now = now
        self.units = dict(world.units)
        self.effects: list[Effect] = []
        #: keys to judge again, in the order in which they were touched
        self.dirty: dict[str, None] = {}
        #: units came, went or have other edges, so that ``dependents`` must be made anew in the end
        self.rewired = False

    def step(self, key: str, move: Callable[[Unit], Step]) -> None:
        unit = self.units.get(key)
        if unit is None:
            return
        after, effects = move(unit)
        self.effects += effects
        if after is not unit:
            self.units[key] = after
            self._touch(key, unit, after)

    def _touch(self, key: str, before: Unit, after: Unit) -> None:
        """Have the unit judged again, and its neighbours where the change is one that their gates look at.

        What it depends on comes first: should that restart it along, nobody is to start because of it.
        """
        moved = before.phase is not after.phase or before.wanted is not after.wanted or before.replace != after.replace
        if moved:
            self.dirty.update((f"{after.spec.stack}/{edge.name}", None) for edge in after.spec.edges)
        self.dirty[key] = None
        ill = before.health.detail != after.health.detail and not after.ready
        told = before.reason != after.reason and (
            after.phase is not Phase.WAITING or before.reason.culprit != after.reason.culprit
        )
        if moved or told or ill or before.health.status is not after.health.status:
            self.dirty.update(dict.fromkeys(self.world.dependents.get(key, ())))

    # ── gates ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> tuple[World, tuple[Effect, ...]]:
        """Judge the gates of all that was touched, and of what that touches, until nothing moves any more."""
        while self.dirty:
            key = next(iter(self.dirty))
            del self.dirty[key]
            unit = self.units.get(key)
            if unit is not None:
                self._judge(key, unit)
        dependents = dependents_of(self.units.values()) if self.rewired else self.world.dependents
        return replace(self.world, units=self.units, dependents=dependents), tuple(self.effects)

    def _judge(self, key: str, unit: Unit) -> None:
        # first, so that what is restarted with it is on its way down before its own stop is judged
        self._follow_restart(key, unit)
        match unit.phase:
            case Phase.WAITING | Phase.BLOCKED if unit.wanted is Wanted.UP:
                self._judge_start(key, unit)
            case Phase.RUNNING:
                self._judge_run(key, unit)
            case _ if unit.removed and unit.phase not in ACTIVE:
                self._drop(key, unit)
            case _:
                pass

    def _judge_start(self, key: str, unit: Unit) -> None:
        gate = gates.may_start(unit, self.units)
        match gate:
            case gates.Open(note):
                self.step(key, lambda unit: lifecycle.release(unit, self.now, note))
            case gates.Hold(reason):
                self.step(key, lambda unit: lifecycle.hold(unit, reason, self.now))
            case gates.Block(reason):
                self.step(key, lambda unit: lifecycle.block(unit, reason, self.now))
            case _:
                assert_never(gate)

    def _judge_run(self, key: str, unit: Unit) -> None:
        if not (unit.wanted is Wanted.DOWN or unit.replace or unit.verdict):
            return
        keys: Iterable[str] = reversed(self.world.dependents.get(key, ()))
        if unit.reason.code == "dependent":
            # whom it waited for until now is asked first, so that a thousand dependents are not gone through each time
            keys = chain((f"{unit.spec.stack}/{unit.reason.culprit}",), keys)
        match gates.may_stop(unit, (self.units[k] for k in keys if k in self.units)):
            case gates.Hold(reason):
                self.step(key, lambda unit: lifecycle.hold(unit, reason, self.now))
            case _:
                self.step(key, lambda unit: lifecycle.end(unit, self.now))

    def _follow_restart(self, key: str, unit: Unit) -> None:
        """Restart what asked to be restarted with this unit: when it is about to be, or has ended by itself."""
        before = self.world.units.get(key)
        if before is None or unit.wanted is Wanted.DOWN:
            return
        died = before.phase is Phase.RUNNING and unit.phase in (Phase.STOPPING, Phase.BACKOFF, Phase.STARTING)
        if not (unit.replace or died):
            return
        for other_key in self.world.dependents.get(key, ()):
            other = self.units.get(other_key)
            if other is None or other.phase is not Phase.RUNNING or other.replace or other.wanted is Wanted.DOWN:
                continue
            if any(edge.restart and edge.name == unit.spec.name for edge in other.spec.edges):
                self.step(other_key, lambda other: (other.with_(replace=True, released_at=None), ()))

    # ── definitions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, wish: Apply) -> None:
        """Bring in a definition: new units, changed ones, removed ones; then want what is wanted."""
        new = wish.definition
        for spec in new.units.values():
            unit = self.units.get(spec.key)
            ports = wish.ports.get(spec.key, {})
            if unit is None:
                self.units[spec.key] = Unit(spec, since=self.now, ports=dict(ports), request=wish.request)
                self._told(spec.key, "added", wish)
            else:
                self._redefine(spec.key, unit, unit.with_(spec=spec, ports=dict(ports), removed=False), wish)
            self.dirty[spec.key] = None
        for unit in self.world.of_stack(new.name):
            if unit.spec.name not in new.units:
                self._remove(unit.key, wish)
        stacks = {**self.world.stacks, new.name: new}
        self.world = replace(self.world, stacks=stacks, dependents=dependents_of(self.units.values()))
        up = WantUp(wish.want, wish.request, rerun=wish.rerun, ungated=wish.ungated, fingerprints=wish.fingerprints)
        for key in wish.want:
            self.step(key, lambda unit: lifecycle.want_up(unit, up, self.now))

    def _redefine(self, key: str, old: Unit, new: Unit, wish: Apply) -> None:
        if new == old:
            return
        self.units[key] = new
        self._touch(key, old, new)
        if differing := changes(old.spec, new.spec):
            self._told(key, f"changed: {', '.join(differing)}", wish, changes=differing)
        if new.phase is Phase.RUNNING and old.spec.check != new.spec.check:
            self.step(key, lambda unit: lifecycle.recheck(unit, old.spec.check, self.now))

    def _remove(self, key: str, wish: Apply) -> None:
        down = WantDown((key,), wish.request, "no longer in the stack file")
        self.step(key, lambda unit: lifecycle.want_down(unit.with_(removed=True), down, self.now))
        self._told(key, "removed", wish)

    def _told(self, key: str, cause: str, wish: Apply, **data: object) -> None:
        self.effects.append(Tell(EventType.STACK, key, 0, cause, wish.request, data))

    def give(self, wish: Give) -> None:
        """Give up a unit without touching what runs; for a stack's name, its record once all of it is down."""
        if wish.key in self.units:
            self.step(wish.key, lambda unit: lifecycle.give(unit, wish, self.now))
        elif wish.key in self.world.stacks and not any(u.phase in ACTIVE for u in self.world.of_stack(wish.key)):
            stacks = {name: stack for name, stack in self.world.stacks.items() if name != wish.key}
            for unit in self.world.of_stack(wish.key):
                self._drop(unit.key, unit)
            self.world = replace(self.world, stacks=stacks)
            self.effects.append(Tell(EventType.STACK, wish.key, 0, "forgotten", wish.request))

    def _drop(self, key: str, unit: Unit) -> None:
        del self.units[key]
        self.effects.append(Forget(key, unit.epoch))
        self.dirty.update(dict.fromkeys(self.world.dependents.get(key, ())))
        self.rewired = True


def dependents_of(units: Iterable[Unit]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for unit in units:
        for edge in unit.spec.edges:
            found.setdefault(f"{unit.spec.stack}/{edge.name}", []).append(unit.key)
    return {key: tuple(dict.fromkeys(keys)) for key, keys in found.items()}
