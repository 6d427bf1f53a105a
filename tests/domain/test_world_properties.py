"""A whole stack under random wishes, news, faults and daemon restarts, against a model of the outside.

The machine plays the engine: it carries out what the world orders, late, out of order or not at all when the daemon
"dies", and then lets the daemon come back with what was stored. After every step: never two copies of one service, no
start before what it depends on is there, nobody stranded, a user's stop obeyed.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness_core.domain import gates
from harness_core.domain.effects import Effect, Forget, Recover, Spawn, Stop
from harness_core.domain.executor import Ended, Gone, Running, StopReport, Unknown
from harness_core.domain.spec import Condition, RestartPolicy, RestartSpec
from harness_core.domain.states import ACTIVE, Exit, Phase, Wanted
from harness_core.domain.stimuli import (
    Apply,
    Boot,
    Checked,
    Exited,
    Give,
    Lost,
    Recovered,
    Spawned,
    SpawnFailed,
    StopEnded,
    Taken,
    TimePassed,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import unit_from_json, unit_to_json
from harness_core.domain.world import World, dependents_of, handle
from tests.domain.build import CHECK, edge, service, stack, started, task

DB = service("db", check=CHECK, start_timeout=20.0)
MIGRATE = task("migrate", edge("db", Condition.HEALTHY), retries=1)
API = service(
    "api",
    edge("db", Condition.HEALTHY, restart=True),
    edge("migrate", Condition.COMPLETED_SUCCESSFULLY),
    restart=RestartSpec(policy=RestartPolicy.ALWAYS, burst=3),
)
WEB = service("web", edge("api"), edge("extra", required=False), restart=RestartSpec(policy=RestartPolicy.NO))
EXTRA = service("extra")
STACK = stack(DB, MIGRATE, API, WEB, EXTRA)
EDITED = stack(DB, MIGRATE, API.model_copy(update={"digest": "2"}), WEB)
KEYS = tuple(f"s/{name}" for name in STACK.units)

keys = st.sampled_from(KEYS)


class Daemon(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.world = World()
        #: what really lives: (key, epoch)
        self.alive: set[tuple[str, int]] = set()
        #: what ended and was not yet asked about, with its exit
        self.ended: dict[tuple[str, int], Exit] = {}
        self.flying: list[Effect] = []
        self.watched: set[tuple[str, int]] = set()

    # ── the engine's part ────────────────────────────────────────────────────────────────────────────────────────────

    def feel(self, stimulus: object) -> None:
        before = self.world
        self.world, effects = handle(self.world, stimulus, self.now)  # type: ignore[arg-type]
        for effect in effects:
            if isinstance(effect, Spawn):
                self._may_be_born(before, effect)
            if isinstance(effect, (Spawn, Stop, Recover)):
                self.flying.append(effect)
            elif isinstance(effect, Forget):
                self.alive = {a for a in self.alive if a != (effect.key, effect.epoch)}

    def _may_be_born(self, before: World, effect: Spawn) -> None:
        unit = self.world.units[effect.key]
        assert unit.wanted is Wanted.UP, "started against the user's wish"
        assert not any(key == effect.key for key, _ in self.alive), "started while an instance lives"
        assert not any(isinstance(e, Spawn) and e.key == effect.key for e in self.flying), "two starts at once"
        del before
        gate = gates.may_start(unit.with_(phase=Phase.WAITING), self.world.units)
        assert isinstance(gate, gates.Open), f"started although {gate}"

    @initialize()
    def define(self) -> None:
        self.feel(Apply(STACK, KEYS))

    # ── wishes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(key=keys, restart=st.booleans())
    def want_up(self, key: str, restart: bool) -> None:
        self.feel(WantUp((key,), restart=restart, rerun=restart))

    @rule(names=st.sets(keys, min_size=1), grace=st.sampled_from([None, None, 0.0]))
    def want_down(self, names: set[str], grace: float | None) -> None:
        self.feel(WantDown(tuple(sorted(names)), grace=grace))

    @rule(edited=st.booleans(), want=st.booleans())
    def apply(self, edited: bool, want: bool) -> None:
        definition = EDITED if edited else STACK
        self.feel(Apply(definition, tuple(f"s/{name}" for name in definition.units) if want else ()))

    @rule(key=keys)
    def give_up(self, key: str) -> None:
        self.feel(Give(key))

    @rule(key=keys)
    def take_over(self, key: str) -> None:
        unit = self.world.units.get(key)
        if unit is not None and unit.phase not in ACTIVE:
            self.alive.add((key, unit.epoch + 1))
        self.feel(Taken(key, started(99)))

    # ── the outside ──────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def effect_lands(self, data: st.DataObject) -> None:
        effect = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        key, epoch = effect.key, effect.epoch  # type: ignore[union-attr]
        match effect:
            case Spawn():
                how = data.draw(st.sampled_from(["well", "well", "well", "fails", "never", "unanswered"]))
                if how in ("well", "unanswered"):
                    self.alive.add((key, epoch))
                if how == "well":
                    self.feel(Spawned(key, epoch, started()))
                elif how == "unanswered":
                    self.feel(Lost(key, epoch, "no answer"))
                else:
                    self.feel(SpawnFailed(key, epoch, "no", permanent=how == "never"))
            case Stop():
                if (key, epoch) in self.alive and data.draw(st.booleans()):
                    self.feel(StopEnded(key, epoch, StopReport(None, leftovers=("pid 7",))))
                    return
                self.alive.discard((key, epoch))
                exit_ = self.ended.pop((key, epoch), Exit(signal=15))
                self.feel(StopEnded(key, epoch, StopReport(exit_)))
            case Recover():
                self.feel(Recovered(key, epoch, self._truth(key, epoch, data.draw(st.booleans()))))

    def _truth(self, key: str, epoch: int, frozen: bool) -> Running | Ended | Gone | Unknown:
        if frozen:
            return Unknown("frozen")
        if (key, epoch) in self.alive:
            return Running(started())
        return Ended(self.ended[key, epoch]) if (key, epoch) in self.ended else Gone()

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), code=st.sampled_from([0, 1]), seen=st.booleans())
    def instance_ends(self, data: st.DataObject, code: int, seen: bool) -> None:
        key, epoch = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard((key, epoch))
        self.ended[key, epoch] = Exit(code=code)
        if seen:
            self.feel(Exited(key, epoch, Exit(code=code)))
        else:
            self.feel(Lost(key, epoch, "the watch broke"))

    @rule(key=keys, ok=st.sampled_from([True, True, False, None]))
    def check(self, key: str, ok: bool | None) -> None:
        if key in self.world.units:
            self.feel(Checked(key, self.world.units[key].epoch, ok, "answer"))

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.feel(TimePassed())

    @rule(reboot=st.integers(0, 4).map(lambda n: n == 0))
    def daemon_dies(self, reboot: bool) -> None:
        """What was ordered and not yet done is lost; what was stored comes back through JSON."""
        if reboot:
            self.alive.clear()
            self.ended.clear()
        self.flying.clear()
        units = {key: unit_from_json(unit.spec, unit_to_json(unit)) for key, unit in self.world.units.items()}
        assert units == self.world.units
        self.world = World(self.world.stacks, units, dependents_of(units.values()))
        self.feel(Boot(same_boot=not reboot))

    # ── what must always hold ────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def never_two_copies(self) -> None:
        living = [key for key, _ in self.alive]
        assert len(living) == len(set(living)), f"two copies: {sorted(self.alive)}"

    @invariant()
    def nothing_lives_unknown(self) -> None:
        for key, epoch in self.alive:
            unit = self.world.units[key]
            assert unit.phase in ACTIVE, f"{key} lives and is {unit.phase}"
            assert unit.epoch == epoch, f"{key} lives in life {epoch}, known is {unit.epoch}"

    @invariant()
    def nobody_is_stranded(self) -> None:
        for key, unit in self.world.units.items():
            flying = any(e.key == key and e.epoch == unit.epoch for e in self.flying)  # type: ignore[union-attr]
            match unit.phase:
                case Phase.STARTING:
                    assert flying, f"{key} waits for a start that nobody makes"
                case Phase.STOPPING | Phase.UNKNOWN:
                    assert flying or unit.deadline is not None, f"{key} is stranded in {unit.phase}"
                case Phase.BACKOFF:
                    assert unit.deadline is not None
                case Phase.WAITING | Phase.BLOCKED:
                    assert unit.wanted is Wanted.UP
                    assert unit.reason.culprit in self.world.units or unit.reason.culprit == "" or unit.reason.sentence
                    assert not isinstance(gates.may_start(unit, self.world.units), gates.Open), f"{key} could start"
                case Phase.RUNNING if unit.wanted is Wanted.DOWN or unit.replace:
                    dependents = [self.world.units[k] for k in self.world.dependents.get(key, ())]
                    assert isinstance(gates.may_stop(unit, dependents), gates.Hold), f"{key} could stop"

    @invariant()
    def a_hold_ends_somewhere(self) -> None:
        """Whoever waits for another waits, in the end, for one that moves or that somebody must look at."""
        for key, unit in self.world.units.items():
            seen: set[str] = set()
            at = unit
            while at.phase in (Phase.WAITING, Phase.RUNNING) and at.reason.culprit:
                assert at.key not in seen, f"{key} waits in a circle: {seen}"
                seen.add(at.key)
                nearest = self.world.units.get(f"s/{at.reason.culprit}")
                if nearest is None:
                    break
                at = nearest


Daemon.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
TestWorld = Daemon.TestCase
