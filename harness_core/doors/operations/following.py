"""Waiting for an outcome while telling the caller what happens: what start, stop, restart, wait and run share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness_core.domain import views
from harness_core.domain.events import Event
from harness_core.domain.outcome import Goal, Outcome, judge, settles_at
from harness_core.domain.protocol import Failure, FollowItem, OperationResult, ServiceRow
from harness_core.domain.select import with_dependents
from harness_core.domain.states import Phase
from harness_core.domain.unit import Unit
from harness_core.doors.table import Stream
from harness_core.runtime.manager import Manager

__all__ = ["follow_until", "result_of", "rows"]

#: how many of a failed service's own lines are shown
LAST_LINES = 10
#: seconds between two items of progress; what happens meanwhile is told together, and nothing of it is left out
_PACE = 0.03


async def follow_until(
    manager: Manager,
    goals: dict[str, Goal],
    stream: Stream,
    *,
    after: int,
    began: float,
    timeout: float | None,
    output: bool = True,
) -> OperationResult:
    """Send what happens to these units until each has got where it was wanted, or cannot any more.

    Ends with ``ended_by`` "timeout" after ``timeout`` seconds. Cancellation only ends the watching. Without ``output``
    nothing is shown that a service wrote, for callers who may not read logs.
    """
    feed, clock = manager.engine.feed, manager.clock
    deadline = None if timeout is None else clock.monotonic() + timeout
    await stream.send(_snapshot(manager, list(goals)))
    seq, verdicts, ended_by, tell_at = after, _Verdicts(goals), "", clock.monotonic()
    while True:
        now = clock.monotonic()
        wake = verdicts.pass_on(manager.world.units, now)
        if not verdicts.pending:
            break
        if deadline is not None and now >= deadline:
            ended_by = "timeout"
            break
        if feed.seq > seq and now >= tell_at:
            seq = await _tell(manager, goals, stream, seq)
            tell_at = now + _PACE
            continue
        wakes = [wake, deadline, tell_at if feed.seq > seq else None]
        later = [moment for moment in wakes if moment is not None and moment > now]
        await feed.wait(min(later) - now + 0.001 if later else None)
    while feed.seq > seq:
        seq = await _tell(manager, goals, stream, seq)
    result = await result_of(manager, goals, began=began, ended_by=ended_by, output=output)
    result["order"] = [key.split("/", 1)[1] for key in verdicts.order]
    return result


async def _tell(manager: Manager, goals: Mapping[str, Goal], stream: Stream, seq: int) -> int:
    """Send the next of what happened after ``seq`` to these units; returns how far it reaches."""
    events = await manager.engine.feed.after(seq)
    if mine := [event for event in events if event.service in goals]:
        await stream.send(_item(manager, mine))
    return events[-1].seq if events else manager.engine.feed.seq


class _Verdicts:
    """How far each unit is. Judges only what changed or what time may have changed: a thousand units are told of in
    hundreds of publications."""

    def __init__(self, goals: Mapping[str, Goal]) -> None:
        self._goals = goals
        self._judged: dict[str, Unit] = {}
        #: those that are on their way, with the moment at which time alone may bring them there
        self._pending: dict[str, float | None] = {}
        #: units in the order in which they arrived
        self.order: dict[str, None] = {}

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def pass_on(self, units: Mapping[str, Unit], now: float) -> float | None:
        """Judge anew where there is reason to; returns when the mere passing of time may be a reason."""
        for key in self._goals:
            unit = units.get(key)
            if unit is None:
                self._pending.pop(key, None)
            elif self._judged.get(key) is not unit or (self._pending.get(key) or now + 1) <= now:
                self._judge(key, unit, now)
        # one whose moment has passed in vain waits for news
        return min((moment for moment in self._pending.values() if moment is not None and moment > now), default=None)

    def _judge(self, key: str, unit: Unit, now: float) -> None:
        self._judged[key] = unit
        goal = self._goals[key]
        outcome = judge(unit, goal, now)
        if outcome is Outcome.PENDING:
            self._pending[key] = settles_at(unit, goal)
            return
        self._pending.pop(key, None)
        if outcome is Outcome.REACHED:
            self.order[key] = None


def _item(manager: Manager, events: Sequence[Event]) -> FollowItem:
    """What one publication brought: its events, and the units as they are after it."""
    item: FollowItem = {"seq": events[-1].seq, "rows": rows(manager, list({event.service: None for event in events}))}
    if len(events) == 1:
        item["event"] = views.event_row(events[0])
    else:
        item["events"] = [views.event_row(event) for event in events]
    return item


async def result_of(
    manager: Manager, goals: dict[str, Goal], *, began: float, ended_by: str = "", output: bool = True
) -> OperationResult:
    """How it stands now, with what a person needs to know about what failed."""
    now = manager.clock.monotonic()
    units = _units(manager, list(goals))
    outcomes = {unit.key: judge(unit, goals[unit.key], now) for unit in units}
    failed = [
        u for u in units if outcomes[u.key] is Outcome.FAILED or (ended_by and outcomes[u.key] is Outcome.PENDING)
    ]
    blamed = {u.key: u for u in failed if u.phase is not Phase.BLOCKED}
    failures = [await _failure(manager, unit, failed, output) for unit in (blamed.values() or failed)]
    return {
        "ok": not failed,
        "unchanged": False,
        "stack": units[0].spec.stack if units else "",
        "services": rows(manager, list(goals)),
        "failures": failures,
        "ended_by": ended_by,
        "seconds": round(now - began, 3),
        "rolled_back": False,
        "warnings": list(manager.problems),
        "order": [],
    }


def rows(manager: Manager, keys: Sequence[str]) -> list[ServiceRow]:
    clocks, seq = manager.clocks(), manager.engine.snapshot.seq
    return [views.service_row(unit, clocks, seq) for unit in _units(manager, keys)]


def _units(manager: Manager, keys: Sequence[str]) -> list[Unit]:
    units = manager.world.units
    return [units[key] for key in keys if key in units]


def _snapshot(manager: Manager, keys: list[str]) -> FollowItem:
    world, seq = manager.world, manager.engine.snapshot.seq
    return {"seq": seq, "snapshot": views.status(world, _units(manager, keys), manager.clocks(), seq)}


async def _failure(manager: Manager, unit: Unit, failed: list[Unit], output: bool) -> Failure:
    skipped = set(with_dependents(manager.world, [unit])) - {unit.key}
    lines = await manager.last_lines(unit.key, LAST_LINES) if unit.epoch and output else []
    name = unit.spec.name
    return {
        "service": name,
        "stack": unit.spec.stack,
        "state": views.word(unit),
        "reason": unit.reason.sentence,
        "exit": views.exit_info(unit.exit),
        "last_lines": lines,
        "skipped": [u.spec.name for u in failed if u.key in skipped and u.phase in (Phase.BLOCKED, Phase.WAITING)],
        "hint": f"harness logs {name}   harness explain {name}" if unit.epoch else f"harness explain {name}",
    }
