from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.health import HealthState, judge
from harness_core.domain.spec import Check
from harness_core.domain.states import Health


def check(**fields: Any) -> Check:
    return Check.model_validate({"tcp": True, **fields})


def run(
    rules: Check,
    answers: list[tuple[float, bool | None]],
    *,
    state: HealthState | None = None,
) -> list[Health]:
    """The status after each answer; times are seconds since the start at 100."""
    state = HealthState.begin(rules, 100.0) if state is None else state
    seen = []
    for at, ok in answers:
        state = judge(state, rules, ok, "answer", 0.01, 100.0 + at, 100.0)
        seen.append(state.status)
    return seen


def test_without_a_check_there_is_no_judgement() -> None:
    state = HealthState.begin(None, 5.0)
    assert state.status is Health.NONE
    assert judge(state, None, False, "x", 1.0, 6.0, 5.0) is state


def test_a_check_that_was_taken_away_leaves_no_judgement_behind() -> None:
    state = judge(HealthState.begin(check(), 0.0), check(), True, "fine", 0.1, 1.0, 0.0)
    assert judge(state, None, True, "x", 0.1, 9.0, 0.0) == HealthState(since=9.0)


def test_the_first_success_makes_it_healthy_and_the_answer_is_kept() -> None:
    state = judge(HealthState.begin(check(), 100.0), check(), True, "connected", 0.25, 101.0, 100.0)
    assert state == HealthState(Health.HEALTHY, "connected", 101.0, True, 1, 0, 1, 0.25)


def test_since_stays_while_the_status_stays() -> None:
    state = HealthState.begin(check(), 100.0)
    for at in (1.0, 2.0, 3.0):
        state = judge(state, check(), True, f"at {at}", 0.1, 100.0 + at, 100.0)
    assert (state.since, state.detail, state.checks) == (101.0, "at 3.0", 3)


def test_it_takes_as_many_failures_in_a_row_as_retries() -> None:
    answers = [(0.0, True), (10.0, False), (20.0, False), (30.0, False), (40.0, True)]
    assert run(check(retries=3), answers) == ["healthy", "healthy", "healthy", "unhealthy", "healthy"]


def test_it_takes_as_many_successes_as_the_threshold() -> None:
    answers = [(0.0, True), (1.0, False), (2.0, True), (3.0, True)]
    assert run(check(success_threshold=2), answers) == ["starting", "starting", "starting", "healthy"]


def test_a_square_wave_below_the_thresholds_never_flaps() -> None:
    wave = [(float(at), at % 3 == 0) for at in range(60)]
    assert set(run(check(retries=3), wave)) == {Health.HEALTHY}


def test_a_recovery_below_the_threshold_does_not_flap_either() -> None:
    rules = check(retries=1, success_threshold=2)
    answers = [(0.0, True), (1.0, True), *((float(at), at % 2 == 1) for at in range(2, 20))]
    assert set(run(rules, answers)[2:]) == {Health.UNHEALTHY}


def test_quick_looks_while_starting_do_not_use_up_the_patience() -> None:
    rules = check(interval=1.0, retries=3)
    quick = [(0.0, False), (0.02, False), (0.06, False), (0.5, False), (2.9, False)]
    assert set(run(rules, quick)) == {Health.STARTING}
    assert run(rules, [*quick, (3.0, False)])[-1] is Health.UNHEALTHY


def test_failures_within_the_start_period_do_not_count() -> None:
    rules = check(interval=1.0, retries=2, start_period=30.0)
    assert run(rules, [(29.0, False), (29.9, False), (32.0, False), (33.0, False)]) == [
        "starting",
        "starting",
        "starting",
        "unhealthy",
    ]


def test_once_healthy_the_start_period_protects_no_longer() -> None:
    rules = check(retries=2, start_period=30.0)
    assert run(rules, [(1.0, True), (2.0, False), (3.0, False)])[-1] is Health.UNHEALTHY


def test_patience_begins_after_the_initial_delay() -> None:
    rules = check(interval=1.0, retries=1, initial_delay=5.0)
    assert run(rules, [(5.0, False), (5.9, False), (6.0, False)]) == ["starting", "starting", "unhealthy"]


def test_an_answer_that_could_not_be_had_is_unknown_and_counts_for_nothing() -> None:
    rules = check(retries=2)
    assert run(rules, [(0.0, True), (1.0, False), (2.0, None), (3.0, False)]) == [
        "healthy",
        "healthy",
        "unknown",
        "unhealthy",
    ]
    assert run(rules, [(0.0, True), (1.0, None), (2.0, True)]) == ["healthy", "unknown", "healthy"]
    assert run(rules, [(0.0, True), (1.0, None), (2.0, False)])[-1] is Health.UNKNOWN


def test_a_link_lost_while_starting_does_not_end_the_patience() -> None:
    rules = check(interval=1.0, retries=1)
    assert run(rules, [(0.0, None), (0.1, False)])[-1] is Health.UNKNOWN


@pytest.mark.parametrize(
    "state",
    [
        HealthState(),
        HealthState(Health.UNHEALTHY, "GET / answered 503", 12.5, True, 0, 4, 19, 0.03),
        HealthState(Health.UNKNOWN, "ünïcode\x1b", 0.0),
    ],
)
def test_json_round_trip(state: HealthState) -> None:
    assert HealthState.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_json_of_an_older_version_gets_defaults() -> None:
    assert HealthState.from_json({}) == HealthState()


@given(
    retries=st.integers(1, 5),
    threshold=st.integers(1, 5),
    answers=st.lists(st.sampled_from([True, False, None]), max_size=60),
)
def test_a_change_needs_a_full_row_of_answers(retries: int, threshold: int, answers: list[bool | None]) -> None:
    rules = check(retries=retries, success_threshold=threshold, interval=0.0)
    state = HealthState.begin(rules, 0.0)
    for number, ok in enumerate(answers, start=1):
        after = judge(state, rules, ok, "", 0.0, float(number), 0.0)
        decided = [answer for answer in answers[:number] if answer is not None]
        if after.status is not state.status and after.status is Health.HEALTHY:
            assert decided[-threshold:] == [True] * threshold
        if after.status is not state.status and after.status is Health.UNHEALTHY:
            assert decided[-retries:] == [False] * retries
        assert after.checks == number
        state = after
