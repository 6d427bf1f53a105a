"""One unit as a value: what follows from its fields, and its way to the disk and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.health import HealthState
from harness_core.domain.spec import PortSpec, RunWhen
from harness_core.domain.states import Endpoint, Exit, Handle, Health, Inside, Phase, Reason, Started, Wanted
from harness_core.domain.unit import Done, Unit, unit_from_json, unit_to_json
from tests.domain.build import CHECK, service, started, task

SPEC = service("a", check=CHECK)

numbers = st.floats(0, 1e9)
maybe = st.none() | numbers
names = st.text(max_size=8)
exits = st.builds(Exit, st.none() | st.integers(0, 255), st.none() | st.integers(1, 64), st.booleans(), maybe, names)
endpoints = st.dictionaries(names, st.builds(Endpoint, names, st.integers(1, 65535), names), max_size=2)
starteds = st.builds(
    Started,
    st.builds(Handle, names, st.dictionaries(names, st.integers() | names, max_size=2), st.integers(1, 9)),
    st.none() | st.integers(1, 2**22),
    st.none() | names,
    endpoints,
    names,
    st.none() | st.builds(Inside, names, names, names, endpoints),
)
units = st.builds(
    Unit,
    spec=st.just(SPEC),
    wanted=st.sampled_from(Wanted),
    phase=st.sampled_from(Phase),
    epoch=st.integers(0, 10**6),
    since=numbers,
    reason=st.builds(Reason, names, names, names),
    deadline=maybe,
    health=st.builds(HealthState, st.sampled_from(Health), names, maybe, st.booleans()),
    started=st.none() | starteds,
    started_at=maybe,
    released_at=maybe,
    ready_at=maybe,
    ports=st.dictionaries(names, st.integers(1, 65535), max_size=3),
    exit=st.none() | exits,
    restarts=st.integers(0, 99),
    starts=st.lists(numbers, max_size=5).map(tuple),
    delay=numbers,
    attempts=st.integers(0, 9),
    replace=st.booleans(),
    verdict=st.none() | st.builds(Reason, names, names, names),
    grace=maybe,
    ungated=st.booleans(),
    removed=st.booleans(),
    running_digest=names,
    fingerprint=names,
    rerun=st.booleans(),
    done=st.none() | st.builds(Done, names, numbers, st.dictionaries(names, names, max_size=2)),
    stopping_since=maybe,
    request=names,
)


@given(unit=units)
def test_every_unit_comes_back_from_the_disk_as_it_went(unit: Unit) -> None:
    assert unit_from_json(SPEC, json.loads(json.dumps(unit_to_json(unit)))) == unit


@pytest.mark.parametrize(
    "damage",
    [
        {"phase": "no such phase"},
        {"wanted": None},
        {"epoch": "many"},
        {"reason": 5},
        {"exit": 5},
        {"started": {"handle": []}},
    ],
)
def test_a_damaged_record_is_refused_and_not_guessed_at(damage: dict[str, Any]) -> None:
    record = unit_to_json(Unit(SPEC)) | damage
    with pytest.raises((KeyError, TypeError, ValueError)):
        unit_from_json(SPEC, record)


def test_a_record_with_a_field_missing_is_refused() -> None:
    record = unit_to_json(Unit(SPEC))
    del record["epoch"]
    with pytest.raises(KeyError):
        unit_from_json(SPEC, record)


@pytest.mark.parametrize(
    ("health", "ready"),
    [
        (Health.NONE, True),
        (Health.HEALTHY, True),
        (Health.STARTING, False),
        (Health.UNHEALTHY, False),
        (Health.UNKNOWN, False),
    ],
)
def test_a_service_is_ready_when_it_runs_and_its_health_is_not_in_doubt(health: Health, ready: bool) -> None:
    unit = Unit(SPEC, phase=Phase.RUNNING, health=HealthState(status=health))
    assert unit.ready is ready
    assert not unit.with_(phase=Phase.STOPPING).ready


def test_a_task_is_ready_when_it_is_done() -> None:
    assert Unit(task("t"), phase=Phase.COMPLETED).ready
    assert not Unit(task("t"), phase=Phase.RUNNING).ready


@pytest.mark.parametrize(
    ("run", "done", "rerun", "is_done"),
    [
        (RunWhen.ON_CHANGE, Done("now", 1.0), False, True),
        (RunWhen.ON_CHANGE, Done("then", 1.0), False, False),
        (RunWhen.ON_CHANGE, Done("now", 1.0), True, False),
        (RunWhen.ON_CHANGE, None, False, False),
        (RunWhen.ONCE, Done("then", 1.0), False, True),
        (RunWhen.ALWAYS, Done("now", 1.0), False, False),
    ],
)
def test_what_was_done_for_what_it_would_do_now_need_not_run(
    run: RunWhen, done: Done | None, rerun: bool, is_done: bool
) -> None:
    assert Unit(task("t", run=run), fingerprint="now", done=done, rerun=rerun).is_done is is_done


def test_outputs_are_those_of_the_last_time_it_was_done() -> None:
    assert Unit(task("t")).outputs == {}
    assert Unit(task("t"), done=Done("f", 1.0, {"k": "v"})).outputs == {"k": "v"}


def test_an_instance_of_an_older_definition_is_outdated_while_it_lives() -> None:
    unit = Unit(SPEC, phase=Phase.RUNNING, running_digest="0")
    assert unit.outdated
    assert unit.with_(phase=Phase.STARTING).outdated
    assert not unit.with_(phase=Phase.STOPPED).outdated
    assert not unit.with_(running_digest="1").outdated
    assert not unit.with_(running_digest="").outdated


def test_endpoints_are_what_the_executor_says_else_the_chosen_ports_on_its_host() -> None:
    spec = service("a", ports={"http": PortSpec(port=80), "db": PortSpec(port=81, scheme="postgres")})
    unit = Unit(spec, ports={"http": 80, "db": 81, "no longer": 82})
    assert unit.endpoints == {"http": Endpoint("127.0.0.1", 80), "db": Endpoint("127.0.0.1", 81, "postgres")}
    there = Started(Handle("mock", {}), host="10.0.0.7")
    assert unit.with_(started=there).endpoints["http"] == Endpoint("10.0.0.7", 80)
    mapped = {"http": Endpoint("127.0.0.1", 49153)}
    told = Started(Handle("mock", {}), endpoints=mapped)
    assert unit.with_(started=told).endpoints == mapped
    assert started().endpoints == {}


def test_a_target_may_say_which_exit_codes_are_good() -> None:
    plain = Unit(service("a"))
    assert plain.succeeded(Exit(code=0))
    assert not plain.succeeded(Exit(code=3))
    assert not plain.succeeded(Exit())
    told = Unit(service("a", target={"type": "mock", "success_exit_codes": [3]}))
    assert told.succeeded(Exit(code=3))
    assert not told.succeeded(Exit(code=0))
    assert not told.succeeded(Exit(signal=9))
