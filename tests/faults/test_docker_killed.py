"""The daemon is killed at each step of a container's life: one container at any time, none unknown, no output lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from executors.docker.command import LABELS
from harness_core.domain.errors import HarnessError
from tests.engine import IMAGE, Engine
from tests.faults.lab import Lab, until
from tests.faults.points import DOCKER

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
T = TypeVar("T")

#: counts, and says in the end how far it came
COUNTER = (
    "trap 'echo $n >\"/out/$(hostname).count\"; exit 0' TERM; n=0; "
    'while :; do n=$((n+1)); echo "line $n"; [ $((n % 50)) = 0 ] && sleep 0.02; done'
)
TARGET = {"type": "docker", "image": IMAGE, "pull": "never", "init": True, "volumes": [".:/out"]}
COMMAND = ["sh", "-c", COUNTER]
STACK = f"""
services:
  a:
    target: {json.dumps({**TARGET, "command": COMMAND})}
    restart: {{delay: 10ms, burst: 0}}
"""


class Containers:
    """A lab whose daemon is raised again whenever it dies, and the engine's own word about what there is."""

    def __init__(self, lab: Lab, engine: Engine) -> None:
        self.lab, self.engine = lab, engine
        lab.env["DOCKER_HOST"] = engine.host
        lab.stack(STACK)

    def ours(self) -> list[dict[str, object]]:
        return [row for row in self.engine.containers() if LABELS.INSTANCE in row["Labels"]]

    def alive(self) -> list[str]:
        return [str(row["Id"]) for row in self.ours() if row["State"] == "running"]

    def insist(self, act: Callable[[], T], what: str) -> T:
        """Do it until it gives something, at no moment with two containers alive."""
        deadline, trouble = time.monotonic() + 60, ""
        while True:
            assert len(self.alive()) <= 1, "two containers of one service"
            if not self.lab.running:
                self.lab.launch()
            try:
                if value := act():
                    return value
            except (HarnessError, OSError) as error:
                trouble = f"{error!r}\n{self.lab.daemon_log()[-2000:]}"
            assert time.monotonic() < deadline, f"waited for {what}: {trouble}"
            time.sleep(0.02)

    def phase(self) -> str:
        return str(self.lab.row("a")["phase"])

    def told(self) -> list[list[int]]:
        """The numbers that were stored, life by life."""
        lives: list[list[int]] = []
        text = self.lab.output("a").decode()
        assert re.fullmatch(r"(line \d+\n)*", text), "whole lines"
        for number in map(int, re.findall(r"\d+", text)):
            if number == 1:
                lives.append([])
            lives[-1].append(number)
        return lives

    def check_output(self) -> None:
        """Every life that ended in order is stored to its last line, without a gap and without a repetition."""
        lives = self.told()
        assert all(life == list(range(1, len(life) + 1)) for life in lives)
        counts = sorted(int(path.read_text()) for path in self.lab.folder.glob("*.count"))
        assert sorted(len(life) for life in lives) == counts


@pytest.fixture
def containers(engine: Engine, lab: Lab) -> Containers:
    return Containers(lab, engine)


def life(containers: Containers) -> None:
    """Start, restart, stop; whoever dies on the way is raised again and the step repeated."""
    lab = containers.lab
    containers.insist(lambda: lab.start(wait=False), "the start to be acknowledged")
    containers.insist(lambda: containers.phase() == "running" and lab.output("a"), "it to run and to print")
    (first,) = containers.alive()
    containers.insist(lambda: lab.restart("a", wait=False), "the restart to be acknowledged")
    containers.insist(lambda: containers.phase() == "running" and containers.alive() != [first], "another life")
    containers.insist(lambda: len(containers.told()) == 2, "its first words")
    containers.insist(lambda: lab.stop(wait=False), "the stop to be acknowledged")
    containers.insist(lambda: containers.phase() == "stopped", "it to be stopped")
    assert containers.ours() == []
    until(lambda: len(containers.engine.call("GET", "/networks")) == 2, "the network to go")
    containers.check_output()


@pytest.mark.parametrize("point", [*DOCKER, "commit.after", "runner.spawned", "runner.stopped"])
def test_killed_at_this_step(containers: Containers, point: str) -> None:
    lab = containers.lab
    fired = lab.root / "fired"
    fired.mkdir()
    lab.env |= {"HARNESS_FAILPOINTS": f"{point}=kill", "HARNESS_FAILPOINTS_FIRED": str(fired)}
    life(containers)
    assert (fired / point).exists(), "the life did not pass this point"


def test_killed_again_and_again_while_it_prints(containers: Containers) -> None:
    lab = containers.lab
    containers.insist(lambda: lab.start(wait=False), "the start to be acknowledged")
    containers.insist(lambda: containers.phase() == "running" and lab.output("a"), "it to run")
    (one,) = containers.alive()
    for _ in range(8):
        before = len(lab.output("a"))
        lab.kill()
        containers.insist(lambda: containers.phase() == "running", "it to be taken back")
        containers.insist(lambda before=before: len(lab.output("a")) > before, "more output")  # type: ignore[misc]
    assert containers.alive() == [one]
    lab.stop()
    containers.check_output()


def test_what_it_prints_while_no_daemon_lives_is_stored_by_the_next(containers: Containers) -> None:
    lab = containers.lab
    lab.boot()
    lab.start()
    lab.kill()
    time.sleep(1.0)
    (one,) = containers.alive()
    containers.engine.call("POST", f"/containers/{one}/stop?t=5")
    containers.insist(lambda: containers.phase() == "completed", "its end to be told")
    containers.check_output()
    assert [event["data"]["code"] for event in lab.told("exited")] == [0]
    lab.stop()
    assert containers.ours() == []
