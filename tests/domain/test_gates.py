"""Who may start, and who must wait with stopping."""

from __future__ import annotations

import pytest

from harness_core.domain.gates import Block, Hold, Open, may_start, may_stop
from harness_core.domain.health import HealthState
from harness_core.domain.spec import Condition, Edge
from harness_core.domain.states import Health, Phase, Reason, Wanted
from harness_core.domain.unit import Unit
from tests.domain.build import edge, service, task

UP, DOWN = Wanted.UP, Wanted.DOWN


def dep(phase: Phase, health: Health = Health.NONE, wanted: Wanted = UP, reason: str = "", **fields: object) -> Unit:
    state = HealthState(status=health, detail="connection refused" if health is Health.STARTING else "")
    return Unit(service("b"), wanted=wanted, phase=phase, health=state, reason=Reason("x", reason)).with_(**fields)


def judged(condition: Condition, other: Unit | None, **fields: object) -> Open | Hold | Block:
    unit = Unit(service("a", edge("b", condition)), wanted=UP, phase=Phase.WAITING).with_(**fields)
    return may_start(unit, {} if other is None else {"s/b": other})


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        (Condition.STARTED, dep(Phase.RUNNING, Health.STARTING)),
        (Condition.STARTED, dep(Phase.RUNNING, Health.UNHEALTHY)),
        (Condition.STARTED, dep(Phase.COMPLETED)),
        (Condition.HEALTHY, dep(Phase.RUNNING, Health.HEALTHY)),
        (Condition.HEALTHY, dep(Phase.RUNNING, Health.NONE)),
        (Condition.LOG_READY, dep(Phase.RUNNING, Health.HEALTHY)),
        (Condition.COMPLETED, dep(Phase.COMPLETED)),
        (Condition.COMPLETED, dep(Phase.FAILED)),
        (Condition.COMPLETED_SUCCESSFULLY, dep(Phase.COMPLETED)),
    ],
)
def test_a_condition_that_is_met_opens_the_gate(condition: Condition, other: Unit) -> None:
    assert judged(condition, other) == Open()


@pytest.mark.parametrize(
    ("condition", "other", "sentence"),
    [
        (Condition.STARTED, dep(Phase.STARTING), "waits for b to start"),
        (Condition.HEALTHY, dep(Phase.STARTING), "waits for b to be healthy"),
        (
            Condition.HEALTHY,
            dep(Phase.RUNNING, Health.STARTING),
            "waits for b to be healthy: connection refused",
        ),
        (Condition.LOG_READY, dep(Phase.STARTING), "waits for b to log that it is ready"),
        (Condition.COMPLETED, dep(Phase.RUNNING), "waits for b to finish"),
        (
            Condition.STARTED,
            dep(Phase.BACKOFF, reason="exit code 1; starts again in 0.5 s"),
            "waits for b to start; exit code 1; starts again in 0.5 s",
        ),
        (
            Condition.STARTED,
            dep(Phase.WAITING).with_(reason=Reason("dependency", "…", "c")),
            "waits for b to start, which waits for c",
        ),
        (Condition.STARTED, dep(Phase.UNKNOWN, reason="link lost"), "waits for b: its state is unknown (link lost)"),
        (Condition.STARTED, dep(Phase.RUNNING, replace=True), "waits for b, which is being restarted"),
    ],
)
def test_what_is_not_there_yet_is_waited_for_by_name(condition: Condition, other: Unit, sentence: str) -> None:
    assert judged(condition, other) == Hold(Reason("dependency", sentence, "b"))


@pytest.mark.parametrize(
    ("condition", "other", "sentence"),
    [
        (Condition.STARTED, None, "b is not defined"),
        (Condition.STARTED, dep(Phase.STOPPED, wanted=DOWN), "b is stopped and not wanted up"),
        (Condition.STARTED, dep(Phase.NOT_STARTED, wanted=DOWN), "b is not started and not wanted up"),
        (Condition.STARTED, dep(Phase.FAILED, reason="exit code 3"), "b failed: exit code 3"),
        (Condition.HEALTHY, dep(Phase.COMPLETED, reason="exit code 0"), "b has ended (exit code 0)"),
        (Condition.HEALTHY, dep(Phase.RUNNING, Health.UNHEALTHY, reason="503"), "b is unhealthy: 503"),
        (Condition.COMPLETED_SUCCESSFULLY, dep(Phase.FAILED, reason="exit code 3"), "b failed: exit code 3"),
    ],
)
def test_what_cannot_come_about_blocks_and_names_the_culprit(
    condition: Condition, other: Unit | None, sentence: str
) -> None:
    assert judged(condition, other) == Block(Reason("dependency", sentence, "b"))


def test_a_done_task_counts_although_it_is_not_wanted_up_any_more() -> None:
    done = Unit(task("b"), wanted=DOWN, phase=Phase.COMPLETED)
    assert judged(Condition.COMPLETED_SUCCESSFULLY, done) == Open()


def test_a_chain_of_blocked_units_names_where_it_began_and_stays_short() -> None:
    units = {"s/u0": Unit(service("u0"), wanted=UP, phase=Phase.FAILED, reason=Reason("x", "exit code 3"))}
    for n in range(1, 50):
        unit = Unit(service(f"u{n}", f"u{n - 1}"), wanted=UP, phase=Phase.BLOCKED)
        gate = may_start(unit, units)
        assert isinstance(gate, Block)
        units[unit.key] = unit.with_(reason=gate.reason)
    assert units["s/u49"].reason == Reason("dependency", "u48 is blocked: u0 failed: exit code 3", "u48")


def test_blocked_units_that_blame_each_other_end_in_a_sentence_all_the_same() -> None:
    b = Unit(service("b"), wanted=UP, phase=Phase.BLOCKED, reason=Reason("dependency", "c is blocked", "c"))
    c = Unit(service("c"), wanted=UP, phase=Phase.BLOCKED, reason=Reason("dependency", "b is blocked", "b"))
    gate = may_start(Unit(service("a", "b"), wanted=UP, phase=Phase.WAITING), {"s/b": b, "s/c": c})
    assert isinstance(gate, Block)


def test_a_failure_blocks_at_once_even_while_others_are_awaited() -> None:
    unit = Unit(service("a", "b", "c"), wanted=UP, phase=Phase.WAITING)
    starting = dep(Phase.STARTING)
    failed = Unit(service("c"), wanted=UP, phase=Phase.FAILED, reason=Reason("x", "no"))
    assert may_start(unit, {"s/b": starting, "s/c": failed}) == Block(Reason("dependency", "c failed: no", "c"))


def test_the_first_one_awaited_is_the_one_that_is_named() -> None:
    unit = Unit(service("a", "b", "c"), wanted=UP, phase=Phase.WAITING)
    gate = may_start(unit, {"s/b": dep(Phase.STARTING), "s/c": Unit(service("c"), wanted=UP, phase=Phase.STARTING)})
    assert gate == Hold(Reason("dependency", "waits for b to start", "b"))


def test_an_optional_dependency_that_failed_is_only_noted() -> None:
    unit = Unit(service("a", edge("b", required=False), edge("c", required=False)), wanted=UP, phase=Phase.WAITING)
    gate = may_start(unit, {"s/b": dep(Phase.FAILED, reason="no")})
    assert gate == Open("b failed: no; c is not defined")


def test_an_optional_dependency_that_may_still_come_is_waited_for() -> None:
    unit = Unit(service("a", edge("b", required=False)), wanted=UP, phase=Phase.WAITING)
    assert isinstance(may_start(unit, {"s/b": dep(Phase.STARTING)}), Hold)


def test_who_starts_without_dependencies_looks_at_none() -> None:
    assert judged(Condition.HEALTHY, None, ungated=True) == Open()


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────────

RUNS = Unit(service("a"), wanted=DOWN, phase=Phase.RUNNING)


def dependent(phase: Phase, wanted: Wanted = DOWN, **fields: object) -> Unit:
    needs: Edge = edge("a")
    return Unit(service("c", needs), wanted=wanted, phase=phase).with_(**fields)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.STARTING, Phase.STOPPING])
def test_a_dependent_that_is_going_stops_first(phase: Phase) -> None:
    hold = Hold(Reason("dependent", "waits for c to stop first", "c"))
    assert may_stop(RUNS, [dependent(phase)]) == hold
    assert may_stop(RUNS, [dependent(phase, UP, replace=True)]) == hold


@pytest.mark.parametrize(
    "other",
    [
        dependent(Phase.STOPPED),
        dependent(Phase.RUNNING, UP),
        dependent(Phase.UNKNOWN),
    ],
    ids=["gone", "staying", "out of sight"],
)
def test_nobody_waits_for_a_dependent_that_is_gone_stays_or_cannot_be_seen(other: Unit) -> None:
    assert may_stop(RUNS, [other]) == Open()


def test_a_kill_and_a_verdict_wait_for_nobody() -> None:
    going = [dependent(Phase.RUNNING)]
    assert may_stop(RUNS.with_(grace=0.0), going) == Open()
    assert may_stop(RUNS.with_(verdict=Reason("unhealthy", "")), going) == Open()
