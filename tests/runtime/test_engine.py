"""The engine's promises: on disk before it is done, done before it is told, nothing lost while the disk refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness_core.domain.effects import Effect, Recover, Spawn, Stop, Watch
from harness_core.domain.errors import Overloaded, ReadOnly
from harness_core.domain.events import EventType
from harness_core.domain.executor import StopReport
from harness_core.domain.states import Exit, Phase, Wanted
from harness_core.domain.stimuli import Checked, Exited, Spawned, StopEnded, WantDown, WantUp
from harness_core.domain.store import Batch, StoreError
from harness_core.domain.world import World
from harness_core.runtime import engine as engine_module
from harness_core.testing.store import FailingStore, MemoryStore
from tests.domain.build import CHECK, service, started
from tests.runtime.rig import PATIENCE, Rig, until


def full(inner: MemoryStore | None = None, **how: Any) -> FailingStore:
    """A disk that is full from the third commit on: the boot and the definition are stored."""
    return FailingStore(inner, **({"at": 3, "times": None} | how))


# ── the order of things ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_intent_is_on_disk_before_anything_irreversible_begins() -> None:
    rig, stored = Rig(), []

    def look(effect: Effect, world: World) -> None:
        if isinstance(effect, Spawn):
            stored.append(rig.store.load()["unit", effect.key])

    rig.seen = look
    async with rig.running():
        await rig.apply(service("a"))
        assert rig.effects == [Spawn("s/a", 1)]
    (row,) = stored
    assert (row["phase"], row["epoch"], row["wanted"]) == ("starting", 1, "up")


async def test_a_state_is_published_only_when_it_is_on_disk() -> None:
    class Watching(MemoryStore):
        def commit(self, batch: Batch) -> None:
            shown.append({key: unit.phase for key, unit in rig.engine.snapshot.world.units.items()})
            super().commit(batch)

    shown: list[dict[str, Phase]] = []
    rig = Rig(Watching())
    async with rig.running():
        await rig.apply(service("a"))
        assert shown[-1] == {}, "while it is written, nobody sees it"
        assert rig["a"].phase is Phase.STARTING


async def test_events_are_numbered_without_gaps_and_the_snapshot_names_the_last() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a"), service("b"))
        events = rig.store.events()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert rig.engine.snapshot.seq == rig.engine.feed.seq == len(events)


async def test_what_waits_together_is_one_commit() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(*(service(f"u{n}") for n in range(50)))
        before = rig.store.commits
        for n in range(50):
            rig.engine.post(Spawned(f"s/u{n}", 1, started()))
        await until(lambda: rig["u49"].phase is Phase.RUNNING, rig.engine)
        assert rig.store.commits == before + 1


async def test_a_check_that_came_out_as_before_writes_nothing() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a", check=CHECK))
        rig.engine.post(Spawned("s/a", 1, started()))
        rig.engine.post(Checked("s/a", 1, True, "ok"))
        await until(lambda: rig["a"].ready, rig.engine)
        before = rig.store.commits
        for n in range(5):
            rig.engine.post(Checked("s/a", 1, True, f"ok in {n} ms"))
            await until(lambda n=n: rig["a"].health.detail == f"ok in {n} ms", rig.engine)  # type: ignore[misc]
        assert rig.store.commits == before
        rig.engine.post(Checked("s/a", 1, None, "link lost"))
        await until(lambda: not rig["a"].ready, rig.engine)
        assert rig.store.commits == before + 1


async def test_wishes_are_answered_with_the_world_that_they_made() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a"), service("b"))
        snapshots = await asyncio.gather(rig.engine.submit(WantDown(("s/a",))), rig.engine.submit(WantDown(("s/b",))))
        assert all(shot.world.units["s/a"].wanted is Wanted.DOWN for shot in snapshots)


async def test_a_caller_who_leaves_stops_nobody_else() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a"))
        leaver = asyncio.create_task(rig.engine.submit(WantDown(("s/a",))))
        await asyncio.sleep(0)
        leaver.cancel()
        await rig.engine.submit(WantUp(("s/a",)))
        assert rig["a"].wanted is Wanted.UP


async def test_a_deadline_that_passed_is_acted_on_without_being_asked() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a"))
        rig.engine.post(Spawned("s/a", 1, started()))
        rig.engine.post(Exited("s/a", 1, Exit(code=1)))
        rig.engine.post(StopEnded("s/a", 1, StopReport(None)))
        await until(lambda: rig["a"].phase is Phase.BACKOFF, rig.engine)
        rig.clock.advance(0.6)
        await rig.turn()
        assert rig.effects[-1] == Spawn("s/a", 2)


async def test_the_daemons_own_words_are_events_in_their_turn() -> None:
    rig = Rig()
    async with rig.running():
        rig.engine.tell("the daemon started", pid=7)
        await until(lambda: rig.engine.feed.seq == 1, rig.engine)
        (event,) = rig.store.events(types=[EventType.DAEMON])
        assert (event.cause, event.data) == ("the daemon started", {"pid": 7})


# ── too much, and too late ───────────────────────────────────────────────────────────────────────────────────────────


async def test_too_many_wishes_at_once_are_refused_and_news_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_MAX_WISHES", 2)
    rig = Rig()
    async with rig.running():
        results = await asyncio.gather(*(rig.engine.submit(WantUp(("s/x",))) for _ in range(9)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, Overloaded)]
        assert len(refused) == 6
        assert refused[0].data == {"retry_after": 1}


async def test_a_daemon_that_leaves_takes_in_what_waits_and_nothing_more() -> None:
    rig = Rig()
    async with rig.running():
        await rig.apply(service("a"))
        rig.engine.post(Spawned("s/a", 1, started()))
    assert rig["a"].phase is Phase.RUNNING
    assert rig.store.load()["unit", "s/a"]["phase"] == "running"
    with pytest.raises(Overloaded, match="the daemon is leaving"):
        await rig.engine.submit(WantUp(("s/a",)))


async def test_a_defect_in_the_engine_is_told_to_whoever_watches_it() -> None:
    class Broken(MemoryStore):
        def commit(self, batch: Batch) -> None:
            if batch.events:
                raise ZeroDivisionError("a defect")
            super().commit(batch)

    rig = Rig(Broken())
    await rig.engine.wait_failed()
    await rig.engine.open()
    rig.engine.tell("anything")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ZeroDivisionError):
            await rig.engine.wait_failed()
    with pytest.raises(ZeroDivisionError):
        await rig.engine.close()


# ── the disk refuses ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_while_the_disk_refuses_wishes_are_refused_and_change_nothing() -> None:
    rig = Rig(full())
    async with rig.running():
        await rig.apply(service("a"))
        world = rig.engine.snapshot.world
        with pytest.raises(ReadOnly, match="cannot change anything: cannot write the registry: the disk is full"):
            await rig.engine.submit(WantDown(("s/a",)))
        with pytest.raises(ReadOnly) as caught:
            await rig.engine.submit(WantDown(("s/a",)))
        assert "harness tries again by itself" in caught.value.hint
        assert rig.engine.snapshot.world is world
        assert rig.engine.read_only.startswith("cannot write the registry")
        rig.store.heal()


async def test_it_recovers_by_itself_and_tells_what_it_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_RETRY", 0.02)
    rig = Rig(full(times=2))
    async with rig.running():
        await rig.apply(service("a"))
        with pytest.raises(ReadOnly):
            await rig.engine.submit(WantDown(("s/a",)))
        await until(lambda: rig.engine.read_only == "", rig.engine)  # nobody asks
        assert rig.store.attempts == 5
        assert [e.cause for e in rig.store.events(types=[EventType.DAEMON])] == [
            "a change was refused: cannot write the registry: the disk is full"
        ]
        await rig.engine.submit(WantDown(("s/a",)))
        assert rig["a"].wanted is Wanted.DOWN


async def test_news_is_not_lost_while_the_disk_refuses_and_what_needs_no_disk_is_done() -> None:
    inner = MemoryStore()
    rig = Rig(full(inner))
    async with rig.running():
        await rig.apply(service("a"))
        rig.engine.post(Spawned("s/a", 1, started()))
        await until(lambda: rig["a"].phase is Phase.RUNNING, rig.engine)
        assert rig.effects == [Spawn("s/a", 1), Watch("s/a", 1)], "watching needs no disk"
        assert inner.load()["unit", "s/a"]["phase"] == "starting"
        rig.store.heal()
        await rig.turn()
        assert inner.load()["unit", "s/a"]["phase"] == "running"
        assert [e.seq for e in inner.events()] == list(range(1, rig.engine.feed.seq + 1))
        assert inner.events(types=[EventType.STARTED])


async def test_what_cannot_be_taken_back_waits_for_the_disk_and_is_done_once() -> None:
    rig = Rig(full(at=4))
    async with rig.running():
        await rig.apply(service("a"))
        rig.engine.post(Spawned("s/a", 1, started()))
        await until(lambda: rig["a"].phase is Phase.RUNNING, rig.engine)
        rig.effects.clear()
        rig.engine.post(Exited("s/a", 1, Exit(code=1)))
        await until(lambda: rig["a"].phase is Phase.STOPPING, rig.engine)
        rig.clock.advance(60.0)  # the watchdog of the stop orders it again, to kill
        await rig.turn()
        assert rig.effects == []
        rig.store.heal()
        await rig.turn()
        assert rig.effects == [Stop("s/a", 1, 10.0)]


async def test_a_refused_wish_that_reached_the_disk_all_the_same_is_written_over() -> None:
    """The treacherous half of a failed commit: stored, and reported as not stored."""
    inner = MemoryStore()
    rig = Rig(full(inner, times=1, takes_effect=True))
    async with rig.running():
        await rig.apply(service("a"))
        with pytest.raises(ReadOnly):
            await rig.engine.submit(WantDown(("s/a",), request="r9"))
        assert inner.load()["unit", "s/a"]["wanted"] == "down"
        await rig.turn()
        assert inner.load()["unit", "s/a"]["wanted"] == "up"


async def test_events_of_a_refused_wish_that_reached_the_disk_hide_no_later_event() -> None:
    inner = MemoryStore()
    rig = Rig(full(inner, times=1, takes_effect=True))
    async with rig.running():
        await rig.apply(service("a"))
        with pytest.raises(ReadOnly):
            await rig.apply(service("a"), service("b"))
        known = rig.engine.feed.seq
        await rig.turn()
        rig.engine.post(Spawned("s/a", 1, started()))
        await until(lambda: rig["a"].phase is Phase.RUNNING, rig.engine)
        followed = await rig.engine.feed.after(known)
        assert [e.type for e in followed] == [EventType.DAEMON, EventType.STATE, EventType.STARTED]
        stored = {event.seq: event for event in inner.events()}
        assert all(stored[event.seq] == event for event in followed), "the journal holds what was told"


async def test_a_stack_that_was_refused_leaves_nothing_behind() -> None:
    inner = MemoryStore()
    rig = Rig(FailingStore(inner, at=2, times=1, takes_effect=True))
    async with rig.running():
        with pytest.raises(ReadOnly):
            await rig.apply(service("a"))
        await rig.turn()
        assert set(inner.load()) == {("meta", "boot")}
        assert rig.effects == []


async def test_a_daemon_opens_with_a_full_disk_and_looks_for_what_runs() -> None:
    inner = MemoryStore()
    first = Rig(inner)
    async with first.running():
        await first.apply(service("a"))
        first.engine.post(Spawned("s/a", 1, started()))
    second = Rig(FailingStore(inner, times=None))
    async with second.running():
        assert second.effects == [Recover("s/a", 1)]
        assert second["a"].phase is Phase.UNKNOWN
        with pytest.raises(ReadOnly):
            await second.engine.submit(WantDown(("s/a",)))
        second.store.heal()


async def test_a_store_that_cannot_be_read_stops_the_daemon_from_opening() -> None:
    class Unreadable(MemoryStore):
        def load(self) -> dict[tuple[str, str], dict[str, Any]]:
            raise StoreError("cannot read the registry")

    rig = Rig(Unreadable())
    with pytest.raises(StoreError):
        await rig.engine.open()
    await rig.engine.close()


# ── the machine was restarted, or not ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("boot_id", "phase"), [("boot-1", Phase.UNKNOWN), ("boot-2", Phase.STOPPED)])
async def test_after_a_restart_of_the_machine_nothing_is_looked_for(boot_id: str, phase: Phase) -> None:
    store = MemoryStore()
    first = Rig(store)
    async with first.running("boot-1"):
        await first.apply(service("a"))
        first.engine.post(Spawned("s/a", 1, started()))
    second = Rig(store)
    async with second.running(boot_id):
        assert second["a"].phase is phase
        assert store.load()["meta", "boot"]["id"] == boot_id


async def test_without_a_record_of_the_boot_what_may_live_is_sought() -> None:
    store = MemoryStore()
    first = Rig(store)
    async with first.running():
        await first.apply(service("a"))
        first.engine.post(Spawned("s/a", 1, started()))
    store.commit(Batch({("meta", "boot"): None}))
    second = Rig(store)
    async with second.running("boot-2"):
        assert second.effects == [Recover("s/a", 1)]
