"""What people and programs are shown of the world."""

from __future__ import annotations

from typing import Any

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.health import HealthState
from harness_core.domain.spec import Condition, PortSpec
from harness_core.domain.states import Endpoint, Exit, Handle, Health, Phase, Reason, Started, Wanted
from harness_core.domain.unit import Done, Unit
from harness_core.domain.views import (
    Clocks,
    Rows,
    chain,
    event_row,
    exit_info,
    graph_result,
    health_info,
    instance,
    service_row,
    stack_row,
    status,
    story_line,
    task_row,
    word,
)
from harness_core.domain.world import World
from tests.domain.build import CHECK, edge, service, stack, task

CLOCKS = Clocks(100.0, 1_700_000_000.0)
UP: dict[str, Any] = {"wanted": Wanted.UP, "phase": Phase.RUNNING, "started_at": 90.0}
STARTED = Started(Handle("mock", {}), pid=7, endpoints={"http": Endpoint("127.0.0.1", 8000)})


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        (Unit(service("a"), **UP), "ready"),
        (Unit(service("a"), **UP, health=HealthState(status=Health.HEALTHY)), "ready"),
        (Unit(service("a"), **UP, health=HealthState(status=Health.STARTING)), "starting"),
        (Unit(service("a"), **UP, health=HealthState(status=Health.UNHEALTHY)), "unhealthy"),
        (Unit(service("a"), **UP, health=HealthState(status=Health.UNKNOWN)), "unknown"),
        (Unit(service("a"), **UP, replace=True), "stopping"),
        (Unit(service("a"), phase=Phase.RUNNING), "stopping"),
        (Unit(service("a"), phase=Phase.BACKOFF), "restarting"),
        (Unit(service("a")), "not started"),
        (Unit(service("a"), phase=Phase.FAILED), "failed"),
        (Unit(task("a"), **UP), "running"),
        (Unit(task("a"), phase=Phase.COMPLETED), "done"),
    ],
)
def test_one_word_says_phase_health_and_wish_together(unit: Unit, said: str) -> None:
    assert word(unit) == said


def test_a_running_service_is_shown_with_all_that_is_known() -> None:
    unit = Unit(
        service("a", "b", ports={"http": PortSpec(port=8000)}),
        **UP,
        epoch=3,
        started=STARTED,
        released_at=88.5,
        ready_at=91.0,
        ports={"http": 8000},
        restarts=2,
        running_digest="0",
    )
    row = service_row(unit, CLOCKS, 42)
    expected = {
        "name": "a",
        "stack": "s",
        "kind": "service",
        "target": "mock",
        "state": "ready",
        "phase": "running",
        "health": "none",
        "wanted": "up",
        "pid": 7,
        "container_id": None,
        "epoch": 3,
        "restarts": 2,
        "uptime_seconds": 10.0,
        "host": "127.0.0.1",
        "ports": {"http": 8000},
        "url": "http://127.0.0.1:8000",
        "endpoints": {"http": "http://127.0.0.1:8000"},
        "dependencies": ["b"],
        "next_in": None,
        "took_seconds": 2.5,
        "outdated": True,
        "seq": 42,
    }
    assert expected.items() <= row.items()


def test_what_does_not_run_has_no_pid_no_address_and_no_age() -> None:
    unit = Unit(service("a"), phase=Phase.STOPPED, started_at=90.0, exit=Exit(code=3, at=5.0), since=99.0)
    row = service_row(unit, CLOCKS, 1)
    assert (row["pid"], row["url"], row["uptime_seconds"], row["host"], row["took_seconds"]) == (
        None,
        None,
        None,
        "",
        None,
    )
    assert row["exit"] == {"code": 3, "signal": None, "oom": False, "at": 5.0, "text": "exit code 3"}
    assert row["since"] == 1_699_999_999.0


@pytest.mark.parametrize(("deadline", "shown"), [(104.0, 4.0), (99.0, 0.0), (None, None)])
def test_the_next_start_is_counted_down_while_it_backs_off(deadline: float | None, shown: float | None) -> None:
    unit = Unit(service("a"), phase=Phase.BACKOFF, deadline=deadline)
    assert service_row(unit, CLOCKS, 1)["next_in"] == shown


def test_a_reason_names_its_code_its_sentence_and_its_culprit() -> None:
    unit = Unit(service("a"), phase=Phase.WAITING, reason=Reason("dependency", "waits for b to start", "b"))
    row = service_row(unit, CLOCKS, 1)
    assert (row["reason_code"], row["reason"], row["culprit"]) == ("dependency", "waits for b to start", "b")


def test_health_is_shown_in_wall_time() -> None:
    health = HealthState(
        status=Health.UNHEALTHY, detail="503", since=95.0, failed_in_row=3, checks=9, last_duration=0.2
    )
    assert health_info(Unit(service("a", check=CHECK), health=health), CLOCKS) == {
        "status": "unhealthy",
        "detail": "503",
        "since": 1_699_999_995.0,
        "failures": 3,
        "checks": 9,
        "last_duration": 0.2,
    }
    assert health_info(Unit(service("a")), CLOCKS)["since"] is None


def test_no_exit_is_nothing() -> None:
    assert exit_info(None) is None


@pytest.mark.parametrize(
    ("units", "state", "ready"),
    [
        ([Unit(service("a")), Unit(service("b"))], "down", 0),
        ([Unit(service("a"), **UP), Unit(service("b"))], "up", 1),
        ([Unit(service("a"), **UP), Unit(service("b"), wanted=Wanted.UP, phase=Phase.STARTING)], "starting", 1),
        ([Unit(service("a"), **UP), Unit(service("b"), wanted=Wanted.UP, phase=Phase.FAILED)], "degraded", 1),
        ([Unit(service("a"), **UP, health=HealthState(status=Health.UNHEALTHY))], "degraded", 0),
        ([Unit(service("a"), wanted=Wanted.UP, phase=Phase.COMPLETED), Unit(task("t"), wanted=Wanted.UP)], "up", 1),
    ],
)
def test_a_stack_is_as_well_as_what_is_wanted_of_it(units: list[Unit], state: str, ready: int) -> None:
    world = World({"s": stack()}, {unit.key: unit for unit in units})
    row = stack_row(world, "s")
    assert (row["state"], row["ready"]) == (state, ready)


def test_kept_rows_are_those_that_would_be_made() -> None:
    unit = Unit(service("db"), phase=Phase.RUNNING, started=STARTED, started_at=90.0, since=90.0)
    waiting = Unit(service("app"), phase=Phase.BACKOFF, deadline=130.0)
    rows, later = Rows(), Clocks(120.0, 1_700_000_020.5)
    for clocks, seq in ((CLOCKS, 1), (later, 2)):
        for one in (unit, waiting):
            assert rows(one, clocks, seq) == service_row(one, clocks, seq)
    changed = unit.with_(phase=Phase.STOPPED, started=None)
    assert rows(changed, later, 3) == service_row(changed, later, 3)
    assert len(rows) == 2
    rows.keep({waiting.key})
    assert len(rows) == 1


def test_a_status_holds_the_rows_and_their_stacks() -> None:
    unit = Unit(service("a"), **UP)
    orphan = Unit(service("x").model_copy(update={"stack": "gone"}))
    world = World({"s": stack(service("a"))}, {unit.key: unit, orphan.key: orphan})
    result = status(world, world.units.values(), CLOCKS, 5)
    assert [row["name"] for row in result["services"]] == ["x", "a"], "by stack, whatever the order they came in"
    assert [row["name"] for row in result["stacks"]] == ["s"]
    assert (result["api_version"], result["seq"]) == ("harness/v1", 5)


def test_a_task_is_shown_with_its_memory_of_being_done() -> None:
    done = Done("f", 5.0, {"revision": "abc"})
    row = task_row(Unit(task("t"), phase=Phase.COMPLETED, done=done, fingerprint="f", exit=Exit(code=0)))
    assert (row["done"], row["done_at"], row["outputs"], row["state"]) == (True, 5.0, {"revision": "abc"}, "done")
    fresh = task_row(Unit(task("t")))
    assert (fresh["done"], fresh["done_at"], fresh["outputs"]) == (False, None, {})


def test_the_chain_of_causes_is_followed_to_its_end_and_never_in_a_circle() -> None:
    failed = Unit(service("c"), phase=Phase.FAILED, reason=Reason("exited", "exit code 3"))
    blocked = Unit(service("b"), phase=Phase.BLOCKED, reason=Reason("dependency", "c failed", "c"))
    waiting = Unit(service("a"), phase=Phase.BLOCKED, reason=Reason("dependency", "b is blocked", "b"))
    units = {unit.key: unit for unit in (failed, blocked, waiting)}
    assert chain(waiting, units) == ["a is blocked: b is blocked", "b is blocked: c failed", "c is failed: exit code 3"]
    circle = Unit(service("a"), phase=Phase.WAITING, reason=Reason("dependency", "waits for itself", "a"))
    assert chain(circle, {"s/a": circle}) == ["a is waiting: waits for itself"]
    assert chain(Unit(service("a"), phase=Phase.STOPPED), {}) == ["a is stopped"]


@pytest.mark.parametrize(
    ("type_", "data", "text"),
    [
        (EventType.STATE, {"from": "not_started", "to": "waiting"}, "not started → waiting"),
        (EventType.STARTED, {"pid": 7}, "started, life 2, pid 7"),
        (EventType.STARTED, {"container_id": "c0ffee"}, "started, life 2, c0ffee"),
        (EventType.STARTED, {}, "started, life 2"),
        (EventType.EXITED, {"uptime_seconds": 3.5}, "ended after 3.5 s"),
        (EventType.HEALTH, {"from": "starting", "to": "healthy"}, "health starting → healthy"),
        (EventType.TASK, {"outcome": "done"}, "task done"),
        (EventType.STACK, {}, "definition"),
        (EventType.DAEMON, {}, "daemon"),
    ],
)
def test_each_event_is_a_line_of_a_story(type_: EventType, data: dict[str, Any], text: str) -> None:
    event = Event(9, 5.0, type_, "s/a", 2, "because", "r1", data)
    assert story_line(event) == {"at": 5.0, "seq": 9, "text": text, "cause": "because"}
    assert event_row(event)["data"] == data


def test_the_graph_names_the_chain_that_made_the_start_long() -> None:
    units = [
        Unit(service("db"), released_at=0.0, ready_at=2.0),
        Unit(service("cache"), released_at=0.0, ready_at=0.5),
        Unit(service("api", edge("db", Condition.HEALTHY), "cache", "elsewhere"), released_at=2.0, ready_at=2.75),
        Unit(service("web")),
    ]
    result = graph_result(units)
    assert (result["critical_path"], result["critical_seconds"]) == (["db", "api"], 2.75)
    assert [(n["name"], n["wave"], n["took_seconds"], n["critical"]) for n in result["nodes"]] == [
        ("db", 0, 2.0, True),
        ("cache", 0, 0.5, False),
        ("api", 1, 0.75, True),
        ("web", 0, None, False),
    ]
    assert [(e["source"], e["target"], e["condition"]) for e in result["edges"]] == [
        ("api", "db", "healthy"),
        ("api", "cache", "started"),
    ]


def test_before_anything_was_started_no_chain_is_invented() -> None:
    result = graph_result([Unit(service("a"))])
    assert (result["critical_path"], result["critical_seconds"]) == ([], 0.0)


@pytest.mark.parametrize(
    ("started", "said"),
    [
        (STARTED, "pid 7"),
        (Started(Handle("mock", {}), pid=7, container_id="0123456789abcdef"), "container 0123456789ab"),
        (Started(Handle("mock", {})), "a"),
        (None, "a"),
    ],
)
def test_what_runs_is_called_by_the_name_that_the_machine_has_for_it(started: Started | None, said: str) -> None:
    assert instance(Unit(service("a"), started=started)) == said
