"""From the answers of checks to a judgement about health: thresholds, the patience given to a start, no flapping.

Only arithmetic on values. Who asks, how often and how is the runtime's affair; here one answer after the other is
weighed. Times are seconds on one monotonic clock, which is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness_core.domain.spec import Check
from harness_core.domain.states import Health

__all__ = ["HealthState", "judge"]


@dataclass(frozen=True, slots=True)
class HealthState:
    """What is known about the health of one instance."""

    status: Health = Health.NONE
    #: the sentence of the last answer: "GET http://127.0.0.1:8000/healthz answered 503"
    detail: str = ""
    #: when ``status`` last changed, on the clock of ``judge``'s ``now``
    since: float | None = None
    #: whether it was healthy at least once; until then it is given the patience of a start
    proven: bool = False
    #: successes since the last failure
    ok_in_row: int = 0
    #: failures since the last success, those that do not count left out
    failed_in_row: int = 0
    #: answers so far, all of them
    checks: int = 0
    #: seconds the last check took
    last_duration: float | None = None

    @classmethod
    def begin(cls, check: Check | None, now: float) -> HealthState:
        """The state of an instance that has just been started, before any answer."""
        return cls(status=Health.NONE if check is None else Health.STARTING, since=now)

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "detail": self.detail,
            "since": self.since,
            "proven": self.proven,
            "ok_in_row": self.ok_in_row,
            "failed_in_row": self.failed_in_row,
            "checks": self.checks,
            "last_duration": self.last_duration,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HealthState:
        """Read what ``to_json`` wrote; fields that are not there have their defaults."""
        since, duration = value.get("since"), value.get("last_duration")
        return cls(
            status=Health(value.get("status", Health.NONE)),
            detail=str(value.get("detail", "")),
            since=None if since is None else float(since),
            proven=bool(value.get("proven", False)),
            ok_in_row=int(value.get("ok_in_row", 0)),
            failed_in_row=int(value.get("failed_in_row", 0)),
            checks=int(value.get("checks", 0)),
            last_duration=None if duration is None else float(duration),
        )


def judge(
    state: HealthState,
    check: Check | None,
    ok: bool | None,
    detail: str,
    seconds: float,
    now: float,
    started_at: float,
) -> HealthState:
    """Weigh one answer. ``ok`` None means that it could not be found out (the link to the host is lost).

    - ``success_threshold`` successes in a row make it healthy, ``retries`` failures in a row make it unhealthy; in
      between it stays what it was.
    - Until it was healthy for the first time, failures within ``start_period`` do not count, and it is looked at more
      often than ``interval`` says. These extra looks must not shorten its patience: it is unhealthy only when as much
      time has passed as ``retries`` checks at ``interval`` would have taken.
    - An answer that could not be had makes it unknown and leaves both counts alone.
    """
    if check is None:
        return state if state.status is Health.NONE else HealthState(since=now)
    seen = replace(state, detail=detail, checks=state.checks + 1, last_duration=seconds)
    if ok is None:
        return _become(seen, Health.UNKNOWN, now)
    if ok:
        seen = replace(seen, ok_in_row=state.ok_in_row + 1, failed_in_row=0)
        if seen.ok_in_row < check.success_threshold:
            return seen
        return _become(replace(seen, proven=True), Health.HEALTHY, now)
    age = now - started_at
    if not state.proven and age < check.start_period:
        return replace(seen, ok_in_row=0)
    seen = replace(seen, ok_in_row=0, failed_in_row=state.failed_in_row + 1)
    patience = 0.0 if state.proven else max(check.start_period, check.initial_delay) + check.retries * check.interval
    if seen.failed_in_row >= check.retries and age >= patience:
        return _become(seen, Health.UNHEALTHY, now)
    return seen


def _become(state: HealthState, status: Health, now: float) -> HealthState:
    return state if state.status is status else replace(state, status=status, since=now)
