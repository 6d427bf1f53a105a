"""Whether and when something that ended is started again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.restart import GiveUp, Leave, Retry, decide
from harness_core.domain.spec import RestartPolicy, RestartSpec


def end(spec: RestartSpec | None = None, **facts: Any) -> Retry | GiveUp | Leave:
    usual = {"success": False, "starts": (99.0,), "last_delay": 0.0, "ran_for": 1.0, "now": 100.0, "jitter": 0.0}
    return decide(spec or RestartSpec(), **(usual | facts))


@pytest.mark.parametrize(
    ("policy", "success", "again"),
    [
        (RestartPolicy.NO, False, False),
        (RestartPolicy.NO, True, False),
        (RestartPolicy.ON_FAILURE, False, True),
        (RestartPolicy.ON_FAILURE, True, False),
        (RestartPolicy.ALWAYS, False, True),
        (RestartPolicy.ALWAYS, True, True),
    ],
)
def test_the_policy_says_whether_it_is_started_again(policy: RestartPolicy, success: bool, again: bool) -> None:
    decision = end(RestartSpec(policy=policy), success=success)
    assert isinstance(decision, Retry if again else Leave)


def test_delays_double_from_half_a_second_to_thirty() -> None:
    spec, delays, last = RestartSpec(burst=0), [], 0.0
    for _ in range(9):
        decision = end(spec, last_delay=last)
        assert isinstance(decision, Retry)
        last = decision.base
        delays.append(decision.delay)
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_after_a_long_good_life_the_delay_is_small_again() -> None:
    assert end(last_delay=16.0, ran_for=30.0) == Retry(0.5, 0.5, "starts again in 0.5 s, start 2 of 5 in 10 s")
    assert isinstance(short := end(last_delay=16.0, ran_for=29.9), Retry)
    assert short.base == 30.0


def test_the_fifth_start_in_ten_seconds_is_the_last() -> None:
    assert end(starts=(91.0, 92.0, 93.0, 94.0, 95.0)) == GiveUp("gave up after 5 starts in 10 s")
    assert isinstance(end(starts=(90.0, 92.0, 93.0, 94.0, 95.0)), Retry), "the first of them is out of the window"


def test_without_a_budget_it_never_gives_up() -> None:
    decision = end(RestartSpec(burst=0), starts=tuple(range(90, 100)))
    assert isinstance(decision, Retry)
    assert decision.reason == "starts again in 0.5 s"


@given(jitter=st.floats(0, 1, exclude_max=True), last=st.floats(0, 60))
def test_jitter_adds_at_most_a_tenth_and_nothing_exceeds_the_longest_delay(jitter: float, last: float) -> None:
    decision = end(jitter=jitter, last_delay=last)
    assert isinstance(decision, Retry)
    assert decision.base <= decision.delay <= min(decision.base * 1.1, 30.0)
