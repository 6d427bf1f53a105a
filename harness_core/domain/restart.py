"""Whether and when something that ended is started again: facts in, one decision out, with the reason in words.

The numbers have precedents: 0.5 s doubling to 30 s, small again after 30 s of running, as in Pebble; five starts in
ten seconds give up, as in systemd. Jitter of up to a tenth keeps services that died together from coming back together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness_core.domain.spec import RestartPolicy, RestartSpec

__all__ = ["GiveUp", "Leave", "Retry", "decide"]

_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Retry:
    """Start again after ``delay`` seconds; ``base`` is what the next delay doubles."""

    delay: float
    base: float
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It ended too often in too short a time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The policy does not want it started again."""


def decide(
    spec: RestartSpec,
    *,
    success: bool,
    starts: Sequence[float],
    last_delay: float,
    ran_for: float,
    now: float,
    jitter: float,
) -> Retry | GiveUp | Leave:
    """Decide about one end.

    ``starts`` are the monotonic times of the recent starts, ``last_delay`` the previous back-off without its jitter
    (0 for the first), ``ran_for`` how long the instance lived, ``jitter`` a random number in [0, 1).
    """
    if spec.policy is RestartPolicy.NO or (spec.policy is RestartPolicy.ON_FAILURE and success):
        return Leave()
    recent = sum(1 for start in starts if now - start < spec.window)
    if spec.burst and recent >= spec.burst:
        return GiveUp(f"gave up after {recent} starts in {spec.window:g} s")
    fresh = last_delay == 0 or ran_for >= spec.reset_after
    base = spec.delay if fresh else min(last_delay * 2, spec.max_delay)
    delay = min(base * (1 + _JITTER * jitter), spec.max_delay)
    tries = f", start {recent + 1} of {spec.burst} in {spec.window:g} s" if spec.burst else ""
    return Retry(delay, base, f"starts again in {delay:.1f} s{tries}")
