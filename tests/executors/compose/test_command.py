"""What the tool is told, and how a project is judged: tables of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from executors.compose.command import LABELS, Part, order_of, outcome, project_name
from executors.compose.handle import ComposeHandle, front
from executors.compose.options import ComposeOptions
from executors.docker.handle import Container
from harness_core.domain.executor import Marker
from harness_core.domain.states import Endpoint, Handle

BASE = Path("/srv/shop")
COMMON = ["dc", "--project-name", "p", "--project-directory", "/srv/shop"]


def part(service: str, status: str = "running", code: int = 0, health: str = "", ports: Any = None) -> Part:
    state: dict[str, Any] = {"Status": status, "ExitCode": code, "Pid": 7}
    if status != "created":
        state |= {"StartedAt": "2026-01-01T00:00:00.5Z", "FinishedAt": "2026-01-01T00:00:09Z"}
    if health:
        state["Health"] = {"Status": health}
    labels = {LABELS.SERVICE: service, LABELS.NUMBER: "1", LABELS.ONEOFF: "False"}
    raw = {"Id": f"id-{service}", "Name": f"/p_{service}_1", "State": state, "Config": {"Labels": labels}}
    return Part(Container({**raw, "NetworkSettings": {"Ports": ports or {}}}))


ORDERS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({}, COMMON, []),
    ({"files": "a.yml"}, [*COMMON, "--file", "/srv/shop/a.yml"], []),
    (
        {"files": ["a.yml", "/b.yml"], "profiles": ["x"], "env_file": "~/.env"},
        [*COMMON, "--file", "/srv/shop/a.yml", "--file", "/b.yml", "--profile", "x", "--env-file", "/home/me/.env"],
        [],
    ),
    ({"working_dir": "app"}, [*COMMON[:4], "/srv/shop/app"], []),
    ({"services": ["a", "b"], "build": True}, COMMON, ["--build", "a", "b"]),
]


@pytest.mark.parametrize(("keys", "common", "rest"), ORDERS)
def test_the_tool_is_told_to_bring_it_up(keys: dict[str, Any], common: list[str], rest: list[str]) -> None:
    order = order_of(ComposeOptions(**keys), "p", BASE, "/home/me")
    assert order.up(["dc"]) == [*common, "--ansi", "never", "up", "--detach", "--remove-orphans", *rest]
    assert order.config(["dc"]) == [*common, "--ansi", "never", "config", "--quiet"]
    assert order.pull(["dc"]) is None


def test_the_tool_is_told_to_end_it() -> None:
    order = order_of(ComposeOptions(remove_volumes=True, pull="always", services=["a"]), "p", BASE)
    common = [*COMMON, "--ansi", "never"]
    assert order.stop(["dc"], 9.6) == [*common, "stop", "--timeout", "10"]
    assert order.down(["dc"]) == [*common, "down", "--remove-orphans", "--timeout", "0", "--volumes"]
    assert order.pull(["dc"]) == [*common, "pull", "--quiet", "a"]


def test_names_of_projects_are_those_of_nobody_else() -> None:
    marker = Marker("my.shop", "web", 3)
    own = project_name("state-0123456789abcdef", marker, ComposeOptions())
    assert own == "my-shop-web-89abcdef"
    assert own == project_name("state-0123456789abcdef", Marker("my.shop", "web", 4), ComposeOptions())
    assert project_name("x", marker, ComposeOptions(project="legacy")) == "legacy"
    with pytest.raises(ValidationError):
        ComposeOptions(project="No Name")


OUTCOMES: list[tuple[list[Part], str | None, Any]] = [
    ([], None, None),
    ([part("a"), part("b")], None, None),
    ([part("a"), part("b", "exited")], None, None),
    ([part("a", "restarting", 1)], None, None),
    ([part("a", "created")], None, None),
    ([part("a", "exited"), part("b", "created")], None, None),
    ([part("a", "exited"), part("b", "exited")], None, (0, "")),
    ([part("a"), part("b", "exited", 3)], None, (3, "b-1: exit code 3")),
    ([part("a"), part("b", "exited", 3)], "a", None),
    ([part("a", "exited", 4), part("b")], "a", (4, "")),
    ([part("a", "exited", 0), part("b")], "a", (0, "")),
]


@pytest.mark.parametrize(("parts", "main", "expected"), OUTCOMES)
def test_how_a_project_ends(parts: list[Part], main: str | None, expected: Any) -> None:
    exit_ = outcome(parts, main)
    assert (None if exit_ is None else (exit_.code, exit_.note)) == expected


def test_what_is_told_of_a_living_one() -> None:
    ports = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}], "53/udp": [{"HostPort": "1"}], "9/tcp": None}
    more = {"1/tcp": [{"HostPort": "5"}], "2/tcp": [{"HostPort": "6"}]}
    parts = [part("Db", ports=more), part("web", ports=ports)]
    started = ComposeHandle("p", "e", "web", {"http": (80, "https")}).started(parts, "127.0.0.1")
    assert (started.container_id, started.pid) == ("id-web", 7)
    assert started.endpoints == {
        "http": Endpoint("127.0.0.1", 80, "https"),
        "web": Endpoint("127.0.0.1", 32768),
        "db": Endpoint("127.0.0.1", 5),
        "db-2": Endpoint("127.0.0.1", 6),
    }
    assert ComposeHandle.of(started.handle) == ComposeHandle("p", "e", "web", {"http": (80, "https")})


def test_the_front_is_a_living_one() -> None:
    dead, alive = part("a", "exited"), part("b")
    assert front([dead, alive], None) is alive
    assert front([dead, alive], "a") is dead
    assert front([], None) is None


@pytest.mark.parametrize(
    "handle",
    [
        Handle("docker", {}),
        Handle("compose", {}, 2),
        Handle("compose", {}),
        Handle("compose", {"project": "p", "engine": "e", "main": None, "ports": {"a": 1}}),
    ],
)
def test_handles_of_others_are_refused(handle: Handle) -> None:
    with pytest.raises(ValueError, match="handle"):
        ComposeHandle.of(handle)
