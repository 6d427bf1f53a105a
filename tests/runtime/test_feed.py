"""Following events by a cursor: from memory or from the journal, without a gap and without a duplicate."""

from __future__ import annotations

import asyncio

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch
from harness_core.runtime import feed as feed_module
from harness_core.runtime.feed import Feed
from harness_core.testing.store import MemoryStore


def event(seq: int) -> Event:
    return Event(seq, 0.0, EventType.STATE, "s/a")


def publish(feed: Feed, store: MemoryStore, *numbers: int) -> None:
    events = [event(seq) for seq in numbers]
    store.commit(Batch(events=events))
    feed.publish(events)


async def followed(feed: Feed, seq: int) -> list[int]:
    """Every number that a follower sees who reads on until it has all."""
    seen: list[int] = []
    while events := await feed.after(seq):
        seen += [e.seq for e in events]
        seq = seen[-1]
    return seen


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring and a page so small that their boundaries are reached."""
    monkeypatch.setattr(feed_module, "_RING", 4)
    monkeypatch.setattr(feed_module, "_PAGE", 3)


@pytest.mark.parametrize("old", range(6))
@pytest.mark.parametrize("new", range(7))
@pytest.mark.usefixtures("small")
async def test_a_follower_sees_every_event_once_wherever_it_begins(old: int, new: int) -> None:
    store = MemoryStore()
    store.commit(Batch(events=[event(seq) for seq in range(1, old + 1)]))
    feed = Feed(store)
    publish(feed, store, *range(old + 1, old + new + 1))
    for begin in range(old + new + 1):
        assert await followed(feed, begin) == list(range(begin + 1, old + new + 1))


@pytest.mark.usefixtures("small")
async def test_numbers_that_were_never_told_are_passed_over() -> None:
    store = MemoryStore()
    feed = Feed(store)
    numbers = [1, 2, 5, 6, 9, 12, 13]
    for number in numbers:
        publish(feed, store, number)
    for begin in range(14):
        assert await followed(feed, begin) == [n for n in numbers if n > begin]


async def test_recent_events_come_from_memory() -> None:
    class Unread(MemoryStore):
        def events(self, **question: object) -> list[Event]:
            raise AssertionError("the journal was asked")

    store = Unread()
    feed = Feed(store)
    publish(feed, store, 1, 2, 3)
    assert await followed(feed, 1) == [2, 3]
    assert await feed.after(3) == []
    assert await feed.after(99) == []


async def test_waiting_ends_with_the_next_publication_or_with_time() -> None:
    feed = Feed(MemoryStore())
    assert not await feed.wait(0.01)
    waiting = [asyncio.create_task(feed.wait(5)) for _ in range(3)]
    await asyncio.sleep(0)
    feed.publish([])
    assert await asyncio.gather(*waiting) == [True, True, True]
    assert not await feed.wait(0.01), "a publication is news once"


async def test_a_feed_goes_on_where_the_journal_ends() -> None:
    store = MemoryStore()
    store.commit(Batch(events=[event(41)]))
    assert Feed(store).seq == 41
