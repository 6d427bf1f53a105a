"""What those who wait are told: reached, still possible, or not any more."""

from __future__ import annotations

import pytest

from harness_core.domain.health import HealthState
from harness_core.domain.outcome import SETTLE, Goal, Outcome, judge, settles_at
from harness_core.domain.states import Health, Phase, Reason, Wanted
from harness_core.domain.unit import Unit
from tests.domain.build import CHECK, service, task

NOW = 100.0
PENDING, REACHED, FAILED = Outcome.PENDING, Outcome.REACHED, Outcome.FAILED
SERVICE = Unit(service("a"), wanted=Wanted.UP, started_at=NOW - 1, released_at=NOW - 2)
CHECKED = Unit(service("a", check=CHECK), wanted=Wanted.UP, started_at=NOW - 1, released_at=NOW - 2)
TASK = Unit(task("t"), wanted=Wanted.UP, started_at=NOW - 1, released_at=NOW - 2)


def ran(unit: Unit, health: Health, **fields: object) -> Unit:
    return unit.with_(phase=Phase.RUNNING, health=HealthState(status=health), **fields)


def down(phase: Phase) -> Unit:
    return SERVICE.with_(phase=phase, wanted=Wanted.DOWN)


@pytest.mark.parametrize(
    ("unit", "goal", "outcome"),
    [
        (ran(CHECKED, Health.HEALTHY), Goal.READY, REACHED),
        (ran(CHECKED, Health.HEALTHY), Goal.HEALTHY, REACHED),
        (ran(CHECKED, Health.STARTING), Goal.READY, PENDING),
        (ran(CHECKED, Health.STARTING), Goal.RUNNING, REACHED),
        (ran(CHECKED, Health.UNHEALTHY), Goal.READY, FAILED),
        (ran(CHECKED, Health.UNHEALTHY), Goal.HEALTHY, FAILED),
        (ran(CHECKED, Health.UNHEALTHY), Goal.RUNNING, REACHED),
        (ran(CHECKED, Health.UNHEALTHY, replace=True), Goal.READY, PENDING),
        (ran(CHECKED, Health.UNKNOWN), Goal.READY, PENDING),
        (ran(SERVICE, Health.NONE), Goal.READY, REACHED),
        (ran(SERVICE, Health.NONE), Goal.HEALTHY, FAILED),
        (ran(SERVICE, Health.NONE), Goal.COMPLETED, PENDING),
        (ran(SERVICE, Health.NONE, replace=True), Goal.RUNNING, PENDING),
        (ran(SERVICE, Health.NONE, wanted=Wanted.DOWN), Goal.READY, PENDING),
        (ran(TASK, Health.NONE), Goal.READY, PENDING),
        (ran(TASK, Health.NONE), Goal.COMPLETED, PENDING),
        (TASK.with_(phase=Phase.COMPLETED), Goal.READY, REACHED),
        (TASK.with_(phase=Phase.COMPLETED), Goal.COMPLETED, REACHED),
        (TASK.with_(phase=Phase.COMPLETED), Goal.HEALTHY, FAILED),
        (TASK.with_(phase=Phase.COMPLETED, wanted=Wanted.DOWN), Goal.COMPLETED, REACHED),
        (TASK.with_(phase=Phase.BACKOFF, released_at=0.0), Goal.COMPLETED, PENDING),
        (SERVICE.with_(phase=Phase.WAITING), Goal.READY, PENDING),
        (SERVICE.with_(phase=Phase.STARTING), Goal.READY, PENDING),
        (SERVICE.with_(phase=Phase.UNKNOWN), Goal.READY, PENDING),
        (SERVICE.with_(phase=Phase.FAILED), Goal.READY, FAILED),
        (SERVICE.with_(phase=Phase.BLOCKED), Goal.RUNNING, FAILED),
        (SERVICE.with_(phase=Phase.BACKOFF), Goal.READY, PENDING),
        (SERVICE.with_(phase=Phase.BACKOFF, released_at=None), Goal.READY, PENDING),
        (SERVICE.with_(phase=Phase.BACKOFF, released_at=NOW - 121), Goal.READY, FAILED),
        (down(Phase.STOPPED), Goal.READY, FAILED),
        (down(Phase.STOPPING), Goal.READY, PENDING),
        (down(Phase.STOPPED), Goal.STOPPED, REACHED),
        (down(Phase.NOT_STARTED), Goal.STOPPED, REACHED),
        (down(Phase.STOPPING), Goal.STOPPED, PENDING),
        (down(Phase.STOPPING).with_(reason=Reason("unkillable", "pid 7")), Goal.STOPPED, FAILED),
        (down(Phase.UNKNOWN), Goal.STOPPED, PENDING),
        (SERVICE.with_(phase=Phase.FAILED), Goal.STOPPED, REACHED),
        (SERVICE.with_(phase=Phase.BACKOFF), Goal.STOPPED, PENDING),
        (SERVICE.with_(phase=Phase.WAITING), Goal.STOPPED, PENDING),
    ],
)
def test_each_situation_has_one_outcome(unit: Unit, goal: Goal, outcome: Outcome) -> None:
    assert judge(unit, goal, NOW) is outcome


def test_a_service_without_a_check_counts_once_it_has_lived_a_moment() -> None:
    unit = ran(SERVICE, Health.NONE, started_at=NOW)
    assert judge(unit, Goal.READY, NOW) is PENDING
    moment = settles_at(unit, Goal.READY)
    assert moment == NOW + SETTLE
    assert judge(unit, Goal.READY, moment) is REACHED
    assert judge(unit.with_(started_at=None), Goal.READY, NOW) is PENDING


def test_a_service_that_keeps_falling_over_is_given_its_start_timeout() -> None:
    unit = SERVICE.with_(phase=Phase.BACKOFF)
    moment = settles_at(unit, Goal.READY)
    assert moment is not None
    assert judge(unit, Goal.READY, moment) is PENDING
    assert judge(unit, Goal.READY, moment + 0.001) is FAILED


def test_where_only_news_can_change_the_outcome_no_moment_is_named() -> None:
    assert settles_at(SERVICE.with_(phase=Phase.STARTING), Goal.READY) is None
    assert settles_at(ran(CHECKED, Health.STARTING), Goal.HEALTHY) is None
    assert settles_at(SERVICE.with_(phase=Phase.BACKOFF, released_at=None), Goal.READY) is None
