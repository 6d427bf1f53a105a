"""Containers that somebody else started: attached to, followed, left alone, whatever is done to them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Harness, until
from tests.engine import IMAGE, Engine

pytestmark = pytest.mark.e2e

STACK = """
name: shop
services:
  cache:
    target: {type: docker-attach, container: shared}
"""
CLIENT = '  client: {target: {type: process, shell: "echo ${cache.host} ${cache.port} >address; exec sleep 1000"}}\n'
TALKS = "echo out; echo err >&2; i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo line $i; sleep 0.05; done"


@pytest.fixture
def docker(harness: Harness, engine: Engine) -> Iterator[Engine]:
    harness.env["DOCKER_HOST"] = engine.host
    yield engine
    harness.close()
    engine.clear()


def begin(engine: Engine, name: str = "shared", line: str = TALKS) -> str:
    return engine.run(name, "sh", "-c", line, ExposedPorts={"6379/tcp": {}}, HostConfig={"Init": True})


def test_it_is_looked_after_and_never_ended(harness: Harness, docker: Engine) -> None:
    one = begin(docker)
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    row = harness.rows()["cache"]
    assert (row["container_id"], row["state"], row["target"]) == (one, "ready", "docker-attach")
    until(lambda: "line 3" in harness.ok("logs", "cache").out, "its output")
    assert "err" in harness.ok("logs", "cache", "--tail", "all").out
    ran = harness.run("stop", "cache")
    assert ran.code == 6
    assert f"harness did not start container {one[:12]} and only looks on" in ran.err
    assert harness.run("exec", "cache", "--", "sh", "-c", "exit 3").code == 3
    assert "let go, it goes on" in harness.ok("stop", "-y", "shop").err
    assert docker.inspect(one)["State"]["Running"]


def test_one_that_is_paused_can_be_let_go_and_one_of_ours_stopped(harness: Harness, docker: Engine) -> None:
    one = begin(docker)
    own = "  own: {target: {type: docker, image: IMAGE, command: [sleep, '1000'], init: true}}\n"
    harness.write("harness.yaml", STACK + own.replace("IMAGE", IMAGE))
    harness.ok("start")
    two = str(harness.rows()["own"]["container_id"])
    for container in (one, two):
        docker.call("POST", f"/containers/{container}/pause")
    until(lambda: harness.run("status").out.count("is paused by somebody else") == 2, "both to be unknown")
    harness.ok("stop", "-y", "shop", "--timeout", "20s")
    assert {row["state"] for row in harness.rows().values()} == {"not started", "stopped"}
    assert docker.inspect(one)["State"]["Paused"], "what is not ours is left as it was"
    assert [row["Id"] for row in docker.containers()] == [one]


def test_a_killed_daemon_loses_and_repeats_nothing_of_it(harness: Harness, docker: Engine) -> None:
    one = begin(docker)
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    for _ in range(3):
        before = harness.ok("logs", "cache", "--tail", "all").out
        harness.kill_daemon()
        row = harness.rows()["cache"]
        assert (row["container_id"], row["epoch"]) == (one, 1)
        until(lambda before=before: harness.ok("logs", "cache", "--tail", "all").out != before, "more output")  # type: ignore[misc]
    docker.call("POST", f"/containers/{one}/stop?t=0")
    until(lambda: "exited" in harness.ok("events", "--type", "exited").out, "its end")
    stored = b"".join(part.read_bytes() for part in sorted((harness.state / "logs/shop/cache").glob("stdout.*.log")))
    lines = stored.decode().splitlines()
    assert lines == ["out", *(f"line {number}" for number in range(1, len(lines)))]


def test_one_that_is_made_anew_under_its_name_is_told_and_attached_to(harness: Harness, docker: Engine) -> None:
    one = begin(docker)
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    docker.remove(one)
    two = begin(docker)
    until(lambda: harness.rows()["cache"]["container_id"] == two, "the new one")
    assert "its container was removed by somebody else" in harness.ok("events", "--type", "exited").out
    docker.call("POST", f"/containers/{two}/rename?name=other")
    three = begin(docker)
    harness.kill_daemon()
    assert harness.rows()["cache"]["container_id"] == two, "it is followed by its id"
    docker.remove(two)
    until(lambda: harness.rows()["cache"]["container_id"] == three, "the one that has the name now")


def test_one_that_is_stopped_and_started_again_goes_on_in_the_same_log(harness: Harness, docker: Engine) -> None:
    one = begin(docker, line="date +%N; exec sleep 1000")
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    docker.call("POST", f"/containers/{one}/stop?t=0")
    row = until(lambda: (r := harness.rows()["cache"])["reason_code"] == "absent" and r, "it to be missed")
    assert "the container shared is exited" in row["reason"]
    docker.call("POST", f"/containers/{one}/start")
    until(lambda: harness.rows()["cache"]["state"] == "ready", "it to be there again")
    until(lambda: len(harness.ok("logs", "cache", "--tail", "all").out.splitlines()) == 2, "its two lines")


def test_one_that_is_not_there_yet_is_waited_for(harness: Harness, docker: Engine) -> None:
    harness.write("harness.yaml", STACK + "    start_timeout: 20s\n")
    waiting = harness.popen("start", "--progress", "plain")
    assert waiting.stderr is not None
    said = ""
    while "waits for it to appear: there is no container shared" not in said:
        line = waiting.stderr.readline()
        assert line, said
        said += line
    begin(docker)
    _, rest = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, said + rest


def test_without_an_engine_it_says_what_to_do(harness: Harness) -> None:
    harness.env["DOCKER_HOST"] = f"unix://{harness.folder}/no.sock"
    harness.write(
        "harness.yaml",
        STACK.replace("container: shared}", "container: shared}\n    start_timeout: 2s\n    restart: no"),
    )
    ran = harness.run("start")
    assert ran.code == 1
    assert "is Docker installed and running?" in ran.err


def test_its_ports_are_reached(harness: Harness, docker: Engine) -> None:
    docker.call("POST", "/networks/create", {"Name": "lab"})
    body = {"NetworkMode": "lab", "Init": True}
    one = docker.run("shared", "sleep", "1000", ExposedPorts={"6379/tcp": {}}, HostConfig=body, Image=IMAGE)
    harness.write("harness.yaml", STACK + CLIENT)
    harness.ok("start")
    ip = docker.inspect(one)["NetworkSettings"]["Networks"]["lab"]["IPAddress"]
    assert harness.rows()["cache"]["url"] == f"http://{ip}:6379"
    file = harness.folder / "address"
    until(lambda: file.exists() and file.read_text() == f"{ip} 6379\n", "the address")
