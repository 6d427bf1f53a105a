"""What every store promises, tried on all of them: a fake that differed from the disk would prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch, Store, StoreError
from harness_core.testing.store import FailingStore, MemoryStore
from registry.sqlite import SqliteStore


def event(seq: int, service: str = "shop/db", type_: EventType = EventType.STATE, at: float = 0.0) -> Event:
    return Event(seq, at, type_, service, epoch=seq, cause=f"cause {seq}", request="r", data={"n": seq})


@pytest.fixture(params=["memory", "sqlite", "healed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "state" / "registry.db", ballast_size=0),
        "healed": lambda: FailingStore(times=0),
    }
    store = makers[request.param]()
    yield store
    store.close()


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.load() == {}
    assert store.events() == []
    assert (store.first_seq(), store.last_seq()) == (0, 0)
    assert store.damaged == []


def test_records_are_replaced_whole_and_removed(store: Store) -> None:
    store.commit(Batch({("unit", "shop/db"): {"a": 1, "b": 2}, ("unit", "shop/api"): {"a": 1}}))
    store.commit(Batch({("unit", "shop/db"): {"a": 3}, ("unit", "shop/api"): None, ("unit", "never"): None}))
    assert store.load() == {("unit", "shop/db"): {"a": 3}}


def test_kinds_are_apart(store: Store) -> None:
    store.commit(Batch({("unit", "shop"): {"a": 1}, ("stack", "shop"): {"a": 2}}))
    assert store.load() == {("unit", "shop"): {"a": 1}, ("stack", "shop"): {"a": 2}}


def test_events_come_back_as_they_were(store: Store) -> None:
    odd = Event(
        7, 1.5, EventType.EXITED, "", 3, "so \udc80 said\x00 'he' ✓", "id", {"code": None, "deep": {"x": [1, "é"]}}
    )
    store.commit(Batch(events=[odd]))
    assert store.events() == [odd]
    assert (store.first_seq(), store.last_seq()) == (7, 7)


def test_repeating_a_batch_changes_nothing(store: Store) -> None:
    batch = Batch({("unit", "shop/db"): {"a": 1}}, [event(1), event(2)])
    store.commit(batch)
    store.commit(batch)
    store.commit(Batch(events=[event(2, service="another/one"), event(3)]))
    assert [(e.seq, e.service) for e in store.events()] == [(1, "shop/db"), (2, "shop/db"), (3, "shop/db")]


def test_an_empty_batch_is_nothing(store: Store) -> None:
    store.commit(Batch())
    assert store.load() == {}


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"after": 4}, [5, 6]),
        ({"after": 6}, []),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "newest": True}, [5, 6]),
        ({"limit": 2, "newest": True, "after": 5}, [6]),
        ({"limit": 0}, []),
        ({"limit": 0, "newest": True}, []),
        ({"services": ["shop/db"]}, [1, 4]),
        ({"services": ["shop"]}, [1, 2, 4, 5]),
        ({"services": ["shop/api", "shopping"]}, [2, 3]),
        ({"services": [""]}, [6]),
        ({"services": []}, []),
        ({"services": ["sh_p", "shop/d%"]}, []),
        ({"types": ["exited"]}, [4]),
        ({"types": []}, []),
        ({"types": ["exited", "state"], "services": ["shop/db"]}, [1, 4]),
        ({"since": 4.0}, [4, 5, 6]),
        ({"services": ["shop"], "newest": True, "limit": 1}, [5]),
    ],
)
def test_the_journal_is_queried(store: Store, wish: dict[str, Any], expected: list[int]) -> None:
    store.commit(
        Batch(
            events=[
                event(1, at=1.0),
                event(2, "shop/api", at=2.0),
                event(3, "shopping/db", at=3.0),
                event(4, type_=EventType.EXITED, at=4.0),
                event(5, "shop", EventType.STACK, at=5.0),
                event(6, "", EventType.DAEMON, at=6.0),
            ]
        )
    )
    assert [e.seq for e in store.events(**wish)] == expected


def test_a_query_may_name_thousands(store: Store) -> None:
    store.commit(Batch(events=[event(1), event(2, "other/x")]))
    names = [f"shop/s{n}" for n in range(40_000)] + ["other"]
    assert [e.seq for e in store.events(services=names)] == [2]


@pytest.mark.parametrize("value", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_what_is_not_json_is_refused_before_anything_is_written(store: Store, value: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        store.commit(Batch({("unit", "good"): {}, ("unit", "bad"): value}))
    assert store.load() == {}


def test_nothing_that_is_changed_later_reaches_the_store(store: Store) -> None:
    value: dict[str, Any] = {"list": [1]}
    store.commit(Batch({("unit", "x"): value}))
    value["list"].append(2)
    store.load()["unit", "x"]["list"].append(3)
    assert store.load() == {("unit", "x"): {"list": [1]}}


def test_a_failing_store_fails_exactly_when_told() -> None:
    store = FailingStore(at=2, times=2)
    store.commit(Batch({("unit", "a"): {}}))
    for _ in range(2):
        with pytest.raises(StoreError, match="the disk is full"):
            store.commit(Batch({("unit", "b"): {}}))
    assert store.load() == {("unit", "a"): {}}
    store.commit(Batch({("unit", "b"): {}}))
    assert set(store.load()) == {("unit", "a"), ("unit", "b")}


def test_a_failing_store_may_have_stored_it_all_the_same() -> None:
    store = FailingStore(takes_effect=True, times=None)
    with pytest.raises(StoreError):
        store.commit(Batch(events=[event(1)]))
    assert store.last_seq() == 1
    store.heal()
    store.commit(Batch(events=[event(1), event(2)]))
    assert store.last_seq() == 2
