"""A compose project as one service: up, told, killed at each step, taken over, down; with a real engine and tool."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Harness, until
from tests.engine import IMAGE, Engine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

COMPOSE = f"""\
version: "3.7"
services:
  web:
    image: {IMAGE}
    init: true
    command: httpd -f -p 8080 -h /etc
    ports: ["127.0.0.1::8080"]
    healthcheck: {{test: [CMD, wget, "-qO-", "http://127.0.0.1:8080/group"], interval: 1s, timeout: 2s, retries: 30}}
  worker:
    image: {IMAGE}
    init: true
    command: ["sh", "-c", "echo working for $$SITE; echo trouble >&2; exec sleep 100000"]
    environment: {{SITE: "${{SITE:-nobody}}"}}
  seed:
    image: {IMAGE}
    command: echo seeded
"""
STACK = """\
name: shop
services:
  project:
    target: {type: compose, working_dir: ./app, main: web, env: {SITE: the shop}}
    restart: "no"
"""


@pytest.fixture
def shop(harness: Harness, engine: Engine) -> Iterator[Harness]:
    if shutil.which("docker-compose") is None:
        pytest.skip("apt-get install docker-compose")
    harness.env["DOCKER_HOST"] = engine.host
    harness.write("app/compose.yaml", COMPOSE)
    harness.write("harness.yaml", STACK)
    yield harness
    harness.env.pop("HARNESS_FAILPOINTS", None)
    harness.run("stop", "--all", "-y", "--grace", "1s")


def states(engine: Engine) -> dict[str, str]:
    """By compose service, how its container is."""
    return {row["Labels"]["com.docker.compose.service"]: row["State"] for row in engine.containers()}


def tool(folder: Path, engine: Engine, *words: str) -> None:
    """The compose tool in somebody else's hand."""
    env = {**os.environ, "DOCKER_HOST": engine.host, "SITE": "the shop"}
    subprocess.run(["docker-compose", *words], cwd=folder, env=env, check=True, capture_output=True, timeout=60)


def test_it_is_one_service_from_up_to_down(shop: Harness, engine: Engine) -> None:
    shop.ok("start")
    row = shop.rows()["project"]
    assert (row["state"], row["target"]) == ("ready", "compose")
    assert states(engine) == {"web": "running", "worker": "running", "seed": "exited"}
    assert any(one["Id"] == row["container_id"] for one in engine.containers())

    told = shop.ok("describe", "project").out
    assert "running, healthy" in told
    assert "exited, exit code 0" in told
    until(lambda: "seed-1 | seeded" in shop.ok("logs", "project", "--tail", "all").out, "the task's output")
    written = shop.ok("logs", "project", "--tail", "all").out
    assert "worker-1 | working for the shop" in written
    assert "worker-1 | trouble" in written
    assert shop.ok("exec", "project", "--", "cat", "/etc/hostname").out.strip() == row["container_id"][:12]
    assert shop.run("exec", "project", "--", "sh", "-c", "exit 7").code == 7

    shop.ok("stop", "project", "-y")
    assert states(engine) == {}
    assert [one["Name"] for one in engine.call("GET", "/networks") if "shop" in one["Name"]] == []


POINTS = ["compose.up.before", "compose.up.after", "compose.log.journal", "engine.act.spawn"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_it_starts_there_is_one_of_each(shop: Harness, engine: Engine, tmp_path: Path, point: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    shop.env |= {"HARNESS_FAILPOINTS": f"{point}=kill", "HARNESS_FAILPOINTS_FIRED": str(fired)}
    shop.run("start")
    until(lambda: (fired / point).exists(), "the daemon to be killed")
    del shop.env["HARNESS_FAILPOINTS"]
    shop.ok("start")
    until(lambda: shop.rows()["project"]["state"] == "ready", "the project to be ready")
    assert sorted(row["Labels"]["com.docker.compose.service"] for row in engine.containers()) == [
        "seed",
        "web",
        "worker",
    ]
    until(lambda: "working for the shop" in shop.ok("logs", "project", "--tail", "all").out, "its output")
    shop.ok("stop", "--all", "-y")
    assert states(engine) == {}


@pytest.mark.parametrize("point", ["compose.stop.before", "compose.stop.ended", "compose.down.after"])
def test_killed_while_it_stops_nothing_is_left(shop: Harness, engine: Engine, tmp_path: Path, point: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    shop.env |= {"HARNESS_FAILPOINTS": f"{point}=kill", "HARNESS_FAILPOINTS_FIRED": str(fired)}
    shop.ok("start")
    shop.run("stop", "project", "-y")
    until(lambda: (fired / point).exists(), "the daemon to be killed")
    del shop.env["HARNESS_FAILPOINTS"]
    shop.run("daemon", "start")
    shop.ok("stop", "project", "-y")
    until(lambda: states(engine) == {}, "the containers to be gone")
    assert shop.rows()["project"]["wanted"] == "down"


def test_a_killed_daemon_takes_it_back_with_every_line(shop: Harness, engine: Engine) -> None:
    script = "i=0; while [ $$i -lt 3000 ]; do i=$$((i+1)); echo line $$i; done; exec sleep 100000"
    counting = {"image": IMAGE, "init": True, "command": ["sh", "-c", script]}
    shop.write("app/compose.yaml", json.dumps({"version": "3.7", "services": {"a": counting, "b": counting}}))
    shop.write("harness.yaml", STACK.replace("main: web, ", ""))
    shop.ok("start")
    before = {row["Id"] for row in engine.containers()}
    for _ in range(3):
        shop.kill_daemon()
        shop.ok("daemon", "start")
    until(lambda: shop.rows()["project"]["state"] == "ready", "the project to be taken back")
    assert {row["Id"] for row in engine.containers()} == before

    def lines(name: str) -> list[str]:
        out = shop.ok("logs", "project", "--tail", "all", "--raw").out
        return [line for line in out.splitlines() if line.startswith(f"{name}-1 | ")]

    for name in ("a", "b"):
        expected = [f"{name}-1 | line {number}" for number in range(1, 3001)]
        until(lambda name=name: len(lines(name)) >= 3000, "all lines")  # type: ignore[misc]
        assert lines(name) == expected


def test_the_end_of_a_container_is_the_end_unless_it_went_well(shop: Harness, engine: Engine) -> None:
    shop.write("harness.yaml", STACK.replace("main: web, ", ""))
    shop.ok("start")
    worker = engine.containers(**{"com.docker.compose.service": "worker"})[0]
    engine.call("POST", f"/containers/{worker['Id']}/kill")
    row: dict[str, Any] = until(
        lambda: (found := shop.rows()["project"])["phase"] == "failed" and found, "the project to have failed"
    )
    assert "worker-1" in row["exit"]["text"] or "worker-1" in row["reason"]
    assert states(engine) == {}


def test_a_project_that_runs_is_taken_over_by_its_name_alone(shop: Harness, engine: Engine) -> None:
    tool(shop.folder / "app", engine, "--project-name", "legacy", "up", "--detach")
    try:
        before = {row["Id"] for row in engine.containers()}
        shop.write("harness.yaml", STACK.replace("main: web,", "main: web, project: legacy,"))
        shop.ok("start")
        assert {row["Id"] for row in engine.containers()} == before
        shop.ok("stop", "project", "-y")
        assert states(engine) == {}
    finally:
        tool(shop.folder / "app", engine, "--project-name", "legacy", "down")


def test_what_has_not_changed_stays_when_it_is_only_stopped(shop: Harness, engine: Engine) -> None:
    shop.write("harness.yaml", STACK.replace("main: web,", "main: web, on_stop: stop,"))
    shop.ok("start")
    before = {row["Labels"]["com.docker.compose.service"]: row["Id"] for row in engine.containers()}
    shop.ok("stop", "project", "-y")
    assert set(states(engine).values()) == {"exited"}
    shop.write("app/compose.yaml", COMPOSE.replace("working for", "still working for"))
    shop.ok("start", "project")
    after = {row["Labels"]["com.docker.compose.service"]: row["Id"] for row in engine.containers()}
    assert after["web"] == before["web"]
    assert after["worker"] != before["worker"]
    until(lambda: "still working for" in shop.ok("logs", "project", "--tail", "all").out, "its output")
    engine.clear()


MISTAKES = [
    ("nonsense: 1\n", "nonsense"),
    (f"version: '3.7'\nservices: {{a: {{image: {IMAGE}, command: [no-such-program]}}}}\n", "no-such-program"),
    (
        f"version: '3.7'\nservices: {{a: {{image: {IMAGE}, command: sleep 9, ports: ['TAKEN:80']}}}}\n",
        "address already",
    ),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_mistakes_are_told_and_leave_nothing(shop: Harness, engine: Engine, text: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        shop.write("app/compose.yaml", text.replace("TAKEN", f"127.0.0.1:{holder.getsockname()[1]}"))
        shop.write("harness.yaml", STACK.replace("main: web, ", ""))
        ran = shop.run("start")
    assert ran.code == 1
    assert said in ran.out + ran.err
    assert engine.containers() == []
    assert shop.rows()["project"]["restarts"] == 0


def test_without_a_tool_it_says_what_to_install(shop: Harness) -> None:
    shop.env["PATH"] = "/nowhere"
    ran = shop.run("start")
    assert ran.code == 1
    assert "neither 'docker compose' nor 'docker-compose' is installed" in ran.out + ran.err
    assert "docker-compose-plugin" in ran.out + ran.err
