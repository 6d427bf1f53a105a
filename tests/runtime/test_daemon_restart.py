"""A daemon leaves, or is killed, and a new one comes over the same disk and the same instances."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness_core.domain import news
from harness_core.domain.spec import RestartSpec, StopSpec
from harness_core.domain.states import Exit, Phase
from harness_core.domain.stimuli import WantDown, WantUp
from harness_core.domain.store import Batch
from harness_core.runtime.runner import Runner
from tests.domain.build import CHECK, edge, service, task
from tests.runtime.rig import Lair, reach, start, until


@pytest.fixture
def lair(tmp_path: Path) -> Lair:
    return Lair(tmp_path)


def mock(**options: object) -> dict[str, object]:
    return {"type": "mock", **options}


async def test_what_runs_goes_on_with_its_number_and_is_not_started_twice(lair: Lair) -> None:
    names = [f"u{n}" for n in range(20)]
    async with lair.daemon() as manager:
        await start(manager, *(service(name) for name in names))
        for name in names:
            await reach(manager, name, Phase.RUNNING)
        before = {key: (unit.epoch, unit.started, unit.started_at) for key, unit in manager.world.units.items()}
    async with lair.daemon() as manager:
        assert {key: (u.epoch, u.started, u.started_at) for key, u in manager.world.units.items()} == before
        assert {unit.phase for unit in manager.world.units.values()} == {Phase.RUNNING}, "taken back before it answers"
    assert set(lair.mock.births.values()) == {1}


async def test_what_ended_meanwhile_ended_with_its_true_exit_code(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a", restart=RestartSpec(policy="no")))
        await reach(manager, "a", Phase.RUNNING)
    lair.mock.end("s/a", Exit(code=7))
    async with lair.daemon() as manager:
        unit = await reach(manager, "a", Phase.FAILED)
        assert unit.exit == Exit(code=7)


async def test_a_daemon_that_died_between_intent_and_start_starts_it_once(
    lair: Lair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "carry_out", lambda *_: None)
        async with lair.daemon() as manager:
            await start(manager, service("a"))
    assert lair.mock.births == {}
    async with lair.daemon() as manager:
        unit = await reach(manager, "a", Phase.RUNNING)
        assert unit.epoch == 2
    assert lair.mock.births == {"s/a": 1}


async def test_a_daemon_that_died_during_a_start_finds_the_instance_by_its_marker(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a", target=mock(start_delay=60)))
        await until(lambda: lair.mock.births, manager.engine)
        assert manager.world.units["s/a"].phase is Phase.STARTING
    async with lair.daemon() as manager:
        unit = await reach(manager, "a", Phase.RUNNING)
        assert unit.epoch == 1
    assert lair.mock.births == {"s/a": 1}


async def test_a_stop_that_was_under_way_goes_on(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a", target=mock(stop_delay=0.2), stop=StopSpec(timeout=5)))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        await reach(manager, "a", Phase.STOPPING)
    async with lair.daemon() as manager:
        await reach(manager, "a", Phase.STOPPED)
    assert lair.mock.births == {"s/a": 1}
    assert not lair.mock.living()


async def test_a_stop_wins_over_everything_that_a_new_daemon_finds(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a", restart=RestartSpec(policy="always")))
        await reach(manager, "a", Phase.RUNNING)
        await manager.engine.submit(WantDown(("s/a",)))
        await reach(manager, "a", Phase.STOPPED)
    async with lair.daemon() as manager:
        assert manager.world.units["s/a"].phase is Phase.STOPPED
    assert lair.mock.births == {"s/a": 1}


async def test_a_back_off_is_kept_and_ends_when_it_would_have(lair: Lair) -> None:
    patient = RestartSpec(delay=0.3, max_delay=0.3)
    async with lair.daemon() as manager:
        await start(manager, service("a", target=mock(run_for=0.01, exit_code=3), restart=patient))
        before = await reach(manager, "a", Phase.BACKOFF)
    async with lair.daemon() as manager:
        unit = manager.world.units["s/a"]
        assert (unit.phase, unit.deadline, unit.restarts) == (Phase.BACKOFF, before.deadline, 1)
        await until(lambda: manager.world.units["s/a"].epoch == 2, manager.engine)
        assert before.deadline is not None
        assert manager.clock.monotonic() >= before.deadline
        await manager.engine.submit(WantDown(("s/a",)))


async def test_a_task_half_way_is_not_run_twice_and_lets_go_what_waits_for_it(lair: Lair) -> None:
    done = edge("t", condition="completed_successfully")
    async with lair.daemon() as manager:
        await start(manager, task("t"), service("a", done))
        await reach(manager, "t", Phase.RUNNING)
    async with lair.daemon() as manager:
        assert manager.world.units["s/a"].phase is Phase.WAITING
        lair.mock.end("s/t")
        await reach(manager, "t", Phase.COMPLETED)
        await reach(manager, "a", Phase.RUNNING)
    async with lair.daemon() as manager:
        await manager.engine.submit(WantUp(("s/t",)))
        assert manager.world.units["s/t"].phase is Phase.COMPLETED
    assert lair.mock.births == {"s/t": 1, "s/a": 1}


async def test_what_cannot_be_seen_is_unknown_until_it_can(lair: Lair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "RECOVER_RETRY", 0.02)
    async with lair.daemon() as manager:
        await start(manager, service("a"))
        await reach(manager, "a", Phase.RUNNING)
    lair.mock.unreachable.add("s/a")
    async with lair.daemon() as manager:
        unit = manager.world.units["s/a"]
        assert (unit.phase, unit.reason.sentence) == (Phase.UNKNOWN, "the mock was told not to know")
        lair.mock.unreachable.clear()
        await reach(manager, "a", Phase.RUNNING)
    assert lair.mock.births == {"s/a": 1}


async def test_a_lost_record_costs_no_service_and_starts_no_second_one(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a"))
        await reach(manager, "a", Phase.RUNNING)
    lair.store.commit(Batch({("unit", "s/a"): None}))
    async with lair.daemon() as manager:
        unit = await reach(manager, "a", Phase.RUNNING)
        assert (unit.epoch, unit.started is not None) == (1, True)
    assert lair.mock.births == {"s/a": 1}


async def test_the_numbers_of_events_go_on(lair: Lair) -> None:
    async with lair.daemon() as manager:
        await start(manager, service("a", check=CHECK.model_copy(update={"initial_delay": 60.0})))
        await reach(manager, "a", Phase.RUNNING)
        last = manager.engine.feed.seq
    async with lair.daemon() as manager:
        events = await manager.engine.feed.after(last)
        assert [event.seq for event in events] == list(range(last + 1, last + len(events) + 1))
        assert events[0].data == {"from": "running", "to": "unknown"}
