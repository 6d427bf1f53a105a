"""Which of the engine's containers is meant, and what is known of it, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executors.docker.finding import choose, plan_for
from executors.docker.handle import Container
from executors.docker.options import DockerOptions
from harness_core.domain.executor import Marker, StartFailed, StartSpec
from harness_core.domain.spec import LogsSpec

ONE, TWO, THREE = "abc1" + "0" * 60, "abc2" + "0" * 60, "fff" + "0" * 61
ROWS = [
    {"Id": ONE, "Names": ["/web/cache", "/redis"]},
    {"Id": TWO, "Names": ["/db"]},
    {"Id": THREE, "Names": ["/abc"]},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("redis", ONE), ("db", TWO), (TWO, TWO), ("abc1", ONE), ("abc", THREE), ("ff", THREE)],
)
def test_a_name_an_id_or_a_beginning_that_fits_no_other(wanted: str, found: str) -> None:
    assert choose(ROWS, wanted) == found


def test_several_that_fit_are_named_and_none_is_taken() -> None:
    with pytest.raises(StartFailed, match=r"db \(abc200000000\), redis \(abc100000000\)") as failed:
        choose(ROWS, "ab")
    assert failed.value.permanent


def test_one_that_is_not_there_is_waited_for() -> None:
    with pytest.raises(StartFailed, match="there is no container reddis") as failed:
        choose(ROWS, "reddis")
    assert (failed.value.absent, failed.value.hint) == (True, "did you mean redis?")


def container(**network: Any) -> Container:
    config: dict[str, Any] = {"ExposedPorts": {"6379/tcp": {}, "53/udp": {}}}
    return Container({"Id": ONE, "Name": "/redis", "Config": config, "NetworkSettings": network})


def spec(**more: Any) -> StartSpec:
    return StartSpec(Marker("shop", "cache", 1), DockerOptions(image="redis"), {}, Path("/"), **more)


def test_its_ports_are_all_that_it_has_unless_the_stack_says() -> None:
    plan = plan_for(container(Ports={"80/tcp": None}, Networks={"bridge": {}}), spec())
    assert plan.ports == {"80": ("80/tcp", "http"), "6379": ("6379/tcp", "http")}
    assert (plan.network, plan.alias) == ("", "")
    logs = LogsSpec(max_size=1000)
    plan = plan_for(container(Networks={"shared": {}}), spec(ports={"r": 6379}, schemes={"r": "redis"}, logs=logs))
    assert plan.ports == {"r": ("6379/tcp", "redis")}
    assert (plan.network, plan.alias, plan.logs) == ("docker/=shared", "redis", logs)
