"""A thousand units are arithmetic: the work grows with the graph, not with its square."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import pytest

from harness_core.domain.effects import Spawn, Stop
from harness_core.domain.executor import StopReport
from harness_core.domain.spec import UnitSpec
from harness_core.domain.states import Exit, Phase
from harness_core.domain.stimuli import Give, Spawned, StopEnded, WantDown
from tests.domain.build import Play, service, started


def chain(count: int) -> list[UnitSpec]:
    return [service(f"u{n}", *([f"u{n - 1}"] if n else [])) for n in range(count)]


def hub(count: int) -> list[UnitSpec]:
    return [service("u0"), *(service(f"u{n}", "u0") for n in range(1, count))]


def layers(count: int) -> list[UnitSpec]:
    """Ten layers, each unit on three of the layer before."""
    wide = count // 10
    return [
        service(f"u{n}", *(f"u{(n // wide - 1) * wide + (n + k) % wide}" for k in range(3) if n >= wide))
        for n in range(count)
    ]


def live_through(specs: list[UnitSpec]) -> float:
    """Start all, stop all, forget all; seconds of this thread's own time."""
    began = time.thread_time()
    play = Play(*specs)
    births = deque(effect for effect in play.effects if isinstance(effect, Spawn))
    while births:
        effect = births.popleft()
        births.extend(e for e in play.feel(Spawned(effect.key, effect.epoch, started())) if isinstance(e, Spawn))
    assert {unit.phase for unit in play.world.units.values()} == {Phase.RUNNING}
    ends = deque(e for e in play.feel(WantDown(tuple(play.world.units))) if isinstance(e, Stop))
    while ends:
        stop = ends.popleft()
        gone = StopEnded(stop.key, stop.epoch, StopReport(Exit(signal=15)))
        ends.extend(e for e in play.feel(gone) if isinstance(e, Stop))
    assert {unit.phase for unit in play.world.units.values()} == {Phase.STOPPED}
    play.feel(Give("s"))
    assert not play.world.units
    return time.thread_time() - began


@pytest.mark.parametrize("shape", [chain, hub, layers])
def test_a_thousand_units_start_stop_and_go_in_little_more_than_four_times_the_work_of_a_quarter(
    shape: Callable[[int], list[UnitSpec]],
) -> None:
    live_through(shape(50))
    small = min(live_through(shape(250)) for _ in range(2))
    large = live_through(shape(1000))
    assert large < 3.0
    assert large < 9 * small, f"{small:.3f} s for 250, {large:.3f} s for 1000"
