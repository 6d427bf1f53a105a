"""The same reference, asked from this machine, from the same network, from another one."""

from __future__ import annotations

import pytest

from harness_core.domain.addresses import HERE, Viewpoint, probed, value_of
from harness_core.domain.references import UnresolvedReference
from harness_core.domain.spec import PortSpec
from harness_core.domain.states import Endpoint, Handle, Inside, Started
from harness_core.domain.unit import Done, Unit
from tests.domain.build import service, task

SAME = Viewpoint("docker/s", "host.docker.internal")
OTHER = Viewpoint("docker/=other", "host.docker.internal")

INSIDE = Inside(
    "docker/s",
    "db",
    "172.18.0.2",
    {"pg": Endpoint("db", 5432, "postgres"), "admin": Endpoint("db", 80), "hidden": Endpoint("db", 9)},
)
CONTAINER = Unit(
    service("db"),
    started=Started(
        Handle("docker", {}),
        endpoints={"pg": Endpoint("127.0.0.1", 21432, "postgres"), "admin": Endpoint("10.0.0.7", 8080)},
        inside=INSIDE,
    ),
)
PROCESS = Unit(service("api", ports={"http": PortSpec()}), ports={"http": 20080}, started=Started(Handle("mock", {})))


@pytest.mark.parametrize(
    ("unit", "attribute", "here", "same", "other"),
    [
        (CONTAINER, "host", "127.0.0.1", "db", "host.docker.internal"),
        (CONTAINER, "ip", "127.0.0.1", "172.18.0.2", "host.docker.internal"),
        (CONTAINER, "port", "21432", "5432", "21432"),
        (CONTAINER, "ports.pg", "21432", "5432", "21432"),
        (CONTAINER, "ports.admin", "8080", "80", "8080"),
        (CONTAINER, "url", "postgres://127.0.0.1:21432", "postgres://db:5432", "postgres://host.docker.internal:21432"),
        (PROCESS, "host", "127.0.0.1", "host.docker.internal", "host.docker.internal"),
        (PROCESS, "port", "20080", "20080", "20080"),
        (PROCESS, "url", "http://127.0.0.1:20080", *["http://host.docker.internal:20080"] * 2),
    ],
)
def test_it_depends_on_who_asks(unit: Unit, attribute: str, here: str, same: str, other: str) -> None:
    assert [value_of(unit, attribute, viewpoint) for viewpoint in (HERE, SAME, OTHER)] == [here, same, other]


def test_an_address_that_is_not_loopback_is_the_same_from_everywhere() -> None:
    for host, seen in (("10.0.0.7", "10.0.0.7"), ("gpu-box", "gpu-box"), ("localhost", "host.docker.internal")):
        unit = PROCESS.with_(started=Started(Handle("mock", {}), host=host))
        assert value_of(unit, "host", SAME) == seen


def test_before_its_start_a_unit_is_on_this_machine() -> None:
    assert value_of(PROCESS.with_(started=None), "host") == "127.0.0.1"
    assert probed(PROCESS.with_(started=None)) == ({"http": Endpoint("127.0.0.1", 20080)}, "127.0.0.1")


def test_a_container_without_a_known_number_is_reached_by_name() -> None:
    unit = CONTAINER.with_(started=Started(Handle("docker", {}), inside=Inside("docker/s", "db")))
    assert value_of(unit, "ip", SAME) == "db"
    assert probed(unit) == ({}, "127.0.0.1")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UnresolvedReference, match="db has no port 'web'"):
        value_of(CONTAINER, "ports.web")
    with pytest.raises(UnresolvedReference, match="a has no port"):
        value_of(Unit(service("a")), "port")


def test_a_task_has_outputs() -> None:
    unit = Unit(task("migrate"), done=Done("", 0.0, {"revision": "7"}))
    assert value_of(unit, "revision", SAME) == "7"
    with pytest.raises(UnresolvedReference, match="the task migrate has no output called 'host'"):
        value_of(unit, "host")


def test_checks_look_at_published_ports_by_name_and_by_the_number_inside() -> None:
    endpoints, host = probed(CONTAINER)
    assert {name: one.port for name, one in endpoints.items()} == {
        "pg": 21432,
        "admin": 8080,
        "5432": 21432,
        "80": 8080,
    }
    assert next(iter(endpoints)) == "pg"
    assert host == "172.18.0.2"
