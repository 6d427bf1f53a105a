"""Units among each other: dependencies, orders of starting and stopping, definitions that come, change and go."""

from __future__ import annotations

import pytest

from harness_core.domain.effects import Effect, Forget, Spawn, StartChecks, Stop, StopChecks, Tell, Watch
from harness_core.domain.events import EventType
from harness_core.domain.executor import StopReport
from harness_core.domain.spec import Condition, RestartPolicy, RestartSpec, UnitSpec
from harness_core.domain.states import Exit, Health, Phase, Wanted
from harness_core.domain.stimuli import (
    Apply,
    Checked,
    Exited,
    Give,
    Lost,
    Spawned,
    SpawnFailed,
    StopEnded,
    Taken,
    TimePassed,
    WantDown,
    WantUp,
)
from harness_core.domain.world import World, handle
from tests.domain.build import CHECK, Play, edge, service, stack, started, task

DB = service("db", check=CHECK)
MIGRATE = task("migrate", edge("db", Condition.HEALTHY))
API = service("api", edge("db", Condition.HEALTHY), edge("migrate", Condition.COMPLETED_SUCCESSFULLY))


def up(play: Play, name: str) -> list[Effect]:
    return play.feel(Spawned(f"s/{name}", play[name].epoch, started()))


def gone(play: Play, name: str, exit_: Exit | None = None) -> list[Effect]:
    return play.feel(StopEnded(f"s/{name}", play[name].epoch, StopReport(exit_ or Exit(signal=15))))


def all_up(*specs: UnitSpec) -> Play:
    """Everything runs; specs in an order in which they can start."""
    play = Play(*specs)
    for spec in specs:
        up(play, spec.name)
        assert play[spec.name].phase is Phase.RUNNING
    play.effects.clear()
    return play


def told(play: Play) -> list[str]:
    return [e.cause for e in play.effects if isinstance(e, Tell) and e.type is EventType.STACK]


# ── starting in order ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stack_starts_in_the_order_of_its_conditions() -> None:
    play = Play(API, MIGRATE, DB)
    assert [e for e in play.effects if isinstance(e, Spawn)] == [Spawn("s/db", 1)]
    assert play["api"].reason.culprit == "db"
    up(play, "db")
    assert play.feel(Checked("s/db", 1, True, "ok")) == [Spawn("s/migrate", 1)]
    assert play["api"].reason.sentence == "waits for migrate to finish"
    up(play, "migrate")
    play.feel(Exited("s/migrate", 1, Exit(code=0)))
    assert gone(play, "migrate") == [Spawn("s/api", 1)]


def test_what_is_independent_starts_together() -> None:
    play = Play(service("a"), service("b"), service("c"))
    assert [e for e in play.effects if isinstance(e, Spawn)] == [Spawn("s/a", 1), Spawn("s/b", 1), Spawn("s/c", 1)]


def test_a_failed_dependency_blocks_and_its_recovery_lets_go() -> None:
    play = Play(service("b", restart=RestartSpec(policy=RestartPolicy.NO)), service("a", "b"), service("z", "a"))
    play.feel(SpawnFailed("s/b", 1, "no such file", permanent=True))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.BLOCKED, "b failed: no such file")
    assert (play["z"].phase, play["z"].reason.sentence) == (Phase.BLOCKED, "a is blocked: b failed: no such file")
    play.feel(WantUp(("s/b",)))
    assert play["a"].phase is play["z"].phase is Phase.WAITING
    assert up(play, "b") == [Watch("s/b", 2), Spawn("s/a", 1)]


def test_a_blocked_unit_says_what_blocks_it_now() -> None:
    play = Play(service("b"), service("a", "b"), want=("a",))
    assert play["a"].reason.sentence == "b is not started and not wanted up"
    play.feel(WantUp(("s/b",)))
    play.feel(SpawnFailed("s/b", 1, "no such file", permanent=True))
    assert play["a"].reason.sentence == "b failed: no such file"
    play.feel(WantDown(("s/b",)))
    assert play["a"].reason.sentence == "b is stopped and not wanted up"


def test_who_waits_is_told_when_the_check_of_the_other_says_something_new() -> None:
    play = Play(DB, service("a", edge("db", Condition.HEALTHY)))
    up(play, "db")
    play.feel(Checked("s/db", 1, False, "connection refused"))
    assert play["a"].reason.sentence == "waits for db to be healthy: connection refused"


def test_an_optional_dependency_that_failed_is_named_in_the_start() -> None:
    play = Play(service("b"), service("a", edge("b", required=False)))
    assert play.feel(SpawnFailed("s/b", 1, "no", permanent=True)) == [Spawn("s/a", 1)]
    assert play["a"].reason.sentence == "b failed: no"


def test_a_dependency_that_is_out_of_sight_is_waited_for() -> None:
    play = all_up(service("b"))
    play.feel(Lost("s/b", 1, "link lost"))
    play.feel(Apply(stack(service("b"), service("a", "b")), ("s/a",)))
    assert (play["a"].phase, play["a"].reason.culprit) == (Phase.WAITING, "b")


def test_a_start_without_dependencies_waits_for_nothing() -> None:
    play = Play(service("b"), service("a", "b"), want=())
    assert play.feel(WantUp(("s/a",), ungated=True)) == [Spawn("s/a", 1)]


# ── stopping and restarting in order ─────────────────────────────────────────────────────────────────────────────────


def test_a_stack_stops_in_the_reverse_order() -> None:
    play = all_up(service("db"), service("api", "db"), service("web", "api"))
    assert play.feel(WantDown(("s/db", "s/api", "s/web"))) == [Stop("s/web", 1, 10.0)]
    assert play["db"].reason.sentence == "waits for api to stop first"
    assert gone(play, "web") == [Stop("s/api", 1, 10.0)]
    assert gone(play, "api") == [Stop("s/db", 1, 10.0)]
    gone(play, "db")
    assert {unit.phase for unit in play.world.units.values()} == {Phase.STOPPED}


def test_a_unit_with_several_dependents_waits_for_each_of_them() -> None:
    play = all_up(service("db"), service("x", "db"), service("y", "db"))
    play.feel(WantDown(("s/db", "s/x", "s/y")))
    assert play["db"].reason.sentence == "waits for y to stop first"
    assert gone(play, "y") == []
    assert play["db"].reason.sentence == "waits for x to stop first"
    assert gone(play, "x") == [Stop("s/db", 1, 10.0)]


def test_stopping_one_leaves_those_that_depend_on_it_running() -> None:
    play = all_up(service("db"), service("api", "db"))
    assert play.feel(WantDown(("s/db",))) == [Stop("s/db", 1, 10.0)]
    assert play["api"].phase is Phase.RUNNING


@pytest.mark.parametrize(("ill", "sentence"), [(False, ""), (True, "503")])
def test_a_stop_that_is_taken_back_while_it_was_held_leaves_no_trace(ill: bool, sentence: str) -> None:
    play = all_up(service("db", check=CHECK), service("api", "db"))
    play.feel(Checked("s/db", 1, True, "ok"))
    for _ in range(2 if ill else 0):
        play.feel(Checked("s/db", 1, False, "503"))
    play.feel(WantDown(("s/db", "s/api")))
    assert play["db"].reason.culprit == "api"
    assert play.feel(WantUp(("s/db",))) == []
    assert (play["db"].phase, play["db"].reason.sentence) == (Phase.RUNNING, sentence)


def test_nobody_starts_because_of_one_that_is_about_to_be_restarted_along() -> None:
    play = Play(service("db"), service("api", edge("db", restart=True)), service("web", "api"))
    up(play, "db")
    play.feel(WantUp(("s/db",), restart=True))
    assert up(play, "api") == [Watch("s/api", 1), Stop("s/api", 1, 10.0)]
    assert play["web"].phase is Phase.WAITING


def test_killing_everything_waits_for_nobody() -> None:
    play = all_up(service("db"), service("api", "db"))
    assert play.feel(WantDown(("s/db", "s/api"), grace=0.0)) == [Stop("s/db", 1, 0.0), Stop("s/api", 1, 0.0)]


def test_what_restarts_along_stops_before_and_starts_after_its_dependency() -> None:
    play = all_up(service("db"), service("api", edge("db", restart=True)), service("web", "api"))
    assert play.feel(WantUp(("s/db",), restart=True)) == [Stop("s/api", 1, 10.0)]
    assert gone(play, "api") == [Stop("s/db", 1, 10.0)]
    assert gone(play, "db") == [Spawn("s/db", 2)]
    assert up(play, "db") == [Watch("s/db", 2), Spawn("s/api", 2)]
    assert play["web"].epoch == 1, "who did not ask to be restarted along stays"


def test_what_restarts_along_also_follows_a_crash() -> None:
    play = all_up(service("db"), service("api", edge("db", restart=True)))
    effects = play.feel(Exited("s/db", 1, Exit(code=1)))
    assert Stop("s/api", 1, 10.0) in effects
    gone(play, "api")
    gone(play, "db")
    assert play["api"].phase is Phase.WAITING
    assert play.later(0.5) == [Spawn("s/db", 2)]
    assert up(play, "db") == [Watch("s/db", 2), Spawn("s/api", 2)]


def test_what_the_user_stops_restarts_nobody_along() -> None:
    play = all_up(service("db"), service("api", edge("db", restart=True)))
    play.feel(WantDown(("s/db",)))
    gone(play, "db")
    assert (play["api"].phase, play["api"].replace) == (Phase.RUNNING, False)


# ── definitions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_defining_a_stack_starts_only_what_is_wanted() -> None:
    play = Play(service("a"), service("b"), want=("a",), ports={"s/a": {"http": 8000}})
    assert [e for e in play.effects if isinstance(e, Spawn)] == [Spawn("s/a", 1)]
    assert (play["a"].ports, play["b"].phase) == ({"http": 8000}, Phase.NOT_STARTED)
    assert told(play) == ["added", "added"]


def test_applying_the_same_definition_again_changes_nothing() -> None:
    play = all_up(service("a"))
    before = play.world.units
    assert play.feel(Apply(stack(service("a")), ("s/a",))) == []
    assert play.world.units == before
    assert told(play) == []


def test_a_definition_that_changed_restarts_what_is_wanted_and_says_what_changed() -> None:
    play = all_up(service("a"))
    changed = service("a", target={"type": "mock", "lines": ["x"]}, digest="2")
    assert play.feel(Apply(stack(changed))) == [], "not without being asked"
    assert play["a"].outdated
    assert told(play) == ["changed: target.lines"]
    assert play.feel(Apply(stack(changed), ("s/a",))) == [Stop("s/a", 1, 10.0)]
    assert gone(play, "a") == [Spawn("s/a", 2)]


def test_what_left_the_file_is_stopped_and_then_forgotten() -> None:
    play = all_up(service("a"), service("b"))
    assert play.feel(Apply(stack(service("a")))) == [Stop("s/b", 1, 10.0)]
    assert play["b"].removed
    assert play.feel(WantUp(("s/b",))) == [], "it cannot be wanted any more"
    assert gone(play, "b") == [Forget("s/b", 1)]
    assert list(play.world.units) == ["s/a"]


def test_what_left_the_file_and_came_back_while_it_stopped_is_started_anew() -> None:
    play = all_up(service("a"), service("b"))
    play.feel(Apply(stack(service("a"))))
    play.feel(Apply(stack(service("a"), service("b")), ("s/b",)))
    assert gone(play, "b") == [Spawn("s/b", 2)]


def test_what_left_the_file_and_never_ran_is_forgotten_at_once() -> None:
    play = Play(service("a"), service("b", "a"), want=())
    assert play.feel(Apply(stack(service("b", "a")))) == [Forget("s/a", 0)]
    assert play.world.dependents == {"s/a": ("s/b",)}
    play.feel(WantUp(("s/b",)))
    assert play["b"].reason.sentence == "a is not defined"


def test_who_is_blocked_is_told_when_what_it_waits_for_left_the_file() -> None:
    play = Play(service("a"), service("b", "a"), want=("b",))
    play.feel(Apply(stack(service("b", "a"))))
    assert play["b"].reason.sentence == "a is not defined"


def test_new_dependencies_hold_from_then_on() -> None:
    play = Play(service("a"), service("b"), want=())
    play.feel(Apply(stack(service("a"), service("b", "a")), ("s/b", "s/a")))
    assert play["b"].phase is Phase.WAITING
    assert up(play, "a") == [Watch("s/a", 1), Spawn("s/b", 1)]


def test_a_check_that_is_new_is_made_from_now_on_and_readiness_waits_for_it() -> None:
    play = all_up(service("a"))
    assert play.feel(Apply(stack(service("a", check=CHECK)))) == [StartChecks("s/a", 1)]
    assert (play["a"].health.status, play["a"].deadline) == (Health.STARTING, None)
    play.feel(Checked("s/a", 1, True, "ok"))
    assert play["a"].ready


def test_a_check_that_changed_is_made_anew_and_the_judgement_stays_until_it_speaks() -> None:
    play = all_up(service("a", check=CHECK))
    play.feel(Checked("s/a", 1, True, "ok"))
    other = CHECK.model_copy(update={"interval": 9.0})
    assert play.feel(Apply(stack(service("a", check=other)))) == [StartChecks("s/a", 1)]
    assert play["a"].ready


@pytest.mark.parametrize("ready_before", [True, False])
def test_a_check_that_was_taken_away_leaves_nothing_behind(ready_before: bool) -> None:
    play = all_up(service("a", check=CHECK))
    if ready_before:
        play.feel(Checked("s/a", 1, True, "ok"))
    for _ in range(2):
        play.feel(Checked("s/a", 1, False, "503"))
    assert play.feel(Apply(stack(service("a")))) == [StopChecks("s/a")]
    assert (play["a"].ready, play["a"].deadline, play["a"].reason.sentence) == (True, None, "")
    assert play.feel(Checked("s/a", 1, False, "503")) == [], "a last answer is dropped"
    assert play.later(1000.0) == []


# ── forgetting ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stack_that_is_down_can_be_forgotten() -> None:
    play = all_up(service("a"), service("b", "a"))
    assert play.feel(Give("s")) == [], "not while it runs"
    play.feel(WantDown(("s/a", "s/b")))
    gone(play, "b")
    gone(play, "a")
    assert play.feel(Give("s")) == [Forget("s/a", 1), Forget("s/b", 1)]
    assert (play.world.stacks, play.world.units, play.world.dependents) == ({}, {}, {})
    assert told(play)[-1] == "forgotten"


# ── what makes no sense changes nothing ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "stimulus",
    [
        WantUp(("s/x",)),
        WantDown(("s/x",)),
        Give("s/x"),
        Give("x"),
        Taken("s/x", started()),
        Spawned("s/x", 1, started()),
        Exited("s/x", 1, Exit(code=0)),
        TimePassed(),
    ],
)
def test_what_concerns_nobody_changes_nothing(stimulus: object) -> None:
    play = all_up(service("a"))
    world, effects = handle(play.world, stimulus, 101.0)  # type: ignore[arg-type]
    assert (world.units, effects) == (play.world.units, ())


def test_the_next_moment_is_the_nearest_of_all_deadlines() -> None:
    assert World().deadline is None
    play = all_up(service("a", check=CHECK, start_timeout=9.0), service("b", check=CHECK, start_timeout=5.0))
    assert play.world.deadline == 105.0
    play.now = 200.0
    play.feel(TimePassed())
    assert {unit.health.status for unit in play.world.units.values()} == {Health.UNHEALTHY}


def test_the_same_stimuli_give_the_same_effects_in_the_same_order() -> None:
    plays = [Play(*(service(f"u{n}", *(f"u{m}" for m in range(n))) for n in range(6))) for _ in range(2)]
    for play in plays:
        for n in range(6):
            up(play, f"u{n}")
        play.feel(WantDown(tuple(play.world.units)))
    assert plays[0].effects == plays[1].effects


def test_a_wish_for_what_is_wanted_already_does_not_start_it_twice() -> None:
    play = Play(service("b"), service("a", "b"))
    assert play.feel(WantUp(("s/a", "s/b"))) == []
    assert play["a"].wanted is Wanted.UP
