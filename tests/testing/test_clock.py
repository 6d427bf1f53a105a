"""Time stands still until it is moved."""

from __future__ import annotations

import asyncio

import pytest

from harness_core.runtime.clock import Clock
from harness_core.testing.clock import ManualClock


def test_it_is_a_clock_and_moves_both_faces() -> None:
    manual = ManualClock(monotonic=5.0, wall=100.0)
    clock: Clock = manual
    manual.advance(2.5)
    assert (clock.monotonic(), clock.wall()) == (7.5, 102.5)
    manual.set_wall(50.0)
    assert (clock.monotonic(), clock.wall()) == (7.5, 50.0)


def test_it_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(-1)


async def test_sleepers_wake_in_their_order() -> None:
    clock = ManualClock()
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (3, 1, 2, 0)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert woken == [0]
    assert clock.next_wake == clock.monotonic() + 1
    clock.advance(2)
    await asyncio.sleep(0)
    assert woken == [0, 1, 2]
    clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == [0, 1, 2, 3]
    assert clock.next_wake is None


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert clock.next_wake is None
    clock.advance(5)
