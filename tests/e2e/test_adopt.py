"""Taking over what somebody else started, and giving it up again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.conftest import Harness, alive, until
from tests.engine import IMAGE, Engine

pytestmark = pytest.mark.e2e

STACK = """
name: shop
services:
  web: {target: {type: process, shell: "exec sleep 1000"}}
  other: {target: {type: process, shell: "exec sleep 1000"}}
"""


@pytest.fixture
def begin(harness: Harness) -> Iterator[Callable[[], int]]:
    """Starts a process of somebody else's and tells its pid."""
    begun: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        begun.append(subprocess.Popen(["sleep", "777.25"], stdin=subprocess.DEVNULL))
        return begun[-1].pid

    yield start
    for one in begun:
        one.kill()
        one.wait(10)


def registered(harness: Harness) -> None:
    harness.write("harness.yaml", STACK)
    harness.ok("start")
    harness.ok("stop", "web", "other")


def test_a_process_is_the_service_until_it_is_given_up(harness: Harness, begin: Callable[[], int]) -> None:
    registered(harness)
    pid = begin()
    assert harness.ok("adopt", "web", "--match", "sleep 777.25").out == f"web is pid {pid} from now on\n"
    harness.kill_daemon()
    row = harness.rows()["web"]
    assert (row["pid"], row["phase"]) == (pid, "running")
    harness.ok("forget", "web", "-y")
    assert (harness.rows()["web"]["phase"], alive(pid)) == ("not_started", True)
    harness.write("web.pid", f"{pid}\n")
    harness.ok("adopt", "web", "--pid-file", "web.pid")
    harness.ok("stop", "web")
    assert not alive(pid)
    harness.ok("start", "web")
    assert harness.rows()["web"]["pid"] != pid


def test_what_cannot_be_taken_over_is_told(harness: Harness, begin: Callable[[], int]) -> None:
    registered(harness)
    ran = harness.run("adopt", "web", "--match", "sleep 777.25")
    assert (ran.code, "cannot adopt for web: no process matches 'sleep 777.25'" in ran.err) == (7, True)
    one, two = begin(), begin()
    ran = harness.run("adopt", "web", "--match", "sleep 777.25")
    assert ran.code == 6
    assert f"pid {min(one, two)} (sleep), pid {max(one, two)} (sleep)" in ran.err
    harness.ok("adopt", "web", "--pid", str(one))
    ran = harness.run("adopt", "other", "--pid", str(one))
    assert (ran.code, f"cannot adopt for other: pid {one} is shop/web already" in ran.err) == (6, True)
    assert harness.run("adopt", "web", "--pid", str(two)).code == 6, "it has an instance"
    assert harness.run("adopt", "other").code == 2
    assert harness.run("adopt", "other", "--container", "x").code == 2
    assert alive(one)
    assert alive(two)


def test_a_service_that_only_attaches_takes_nothing_over(harness: Harness, begin: Callable[[], int]) -> None:
    target = "{type: process-attach, pid_file: nowhere}"
    harness.write("harness.yaml", f"name: shop\nservices: {{web: {{target: {target}}}}}\n")
    harness.ok("start", "--no-wait")
    harness.ok("stop", "web")
    ran = harness.run("adopt", "web", "--pid", str(begin()))
    assert ran.code == 2
    assert "takes nothing over" in ran.err


def test_a_container_is_the_service_and_is_kept_when_it_is_stopped(harness: Harness, engine: Engine) -> None:
    harness.env["DOCKER_HOST"] = engine.host
    target = f"{{type: docker, image: '{IMAGE}', pull: never, command: [sleep, '1000'], init: true}}"
    harness.write("harness.yaml", f"name: shop\nservices: {{web: {{target: {target}}}}}\n")
    harness.ok("start", "--no-wait")
    harness.ok("stop", "web")
    line = "echo hello; exec sleep 1000"
    one = engine.run("theirs", "sh", "-c", line, HostConfig={"Init": True})
    assert harness.ok("adopt", "web", "--container", "theirs").out == f"web is container {one[:12]} from now on\n"
    until(lambda: "hello" in harness.ok("logs", "web").out, "its log")
    harness.kill_daemon()
    assert harness.rows()["web"]["container_id"] == one
    harness.ok("forget", "web", "-y")
    assert engine.inspect(one)["State"]["Running"]
    harness.ok("adopt", "web", "--container", one[:20])
    harness.ok("stop", "web")
    assert not engine.inspect(one)["State"]["Running"]
    ran = harness.run("adopt", "web", "--container", "theirs")
    assert (ran.code, "the container theirs is exited" in ran.err) == (1, True)
    assert harness.run("adopt", "web", "--pid", "7").code == 2
    engine.remove(one)
    harness.close()
