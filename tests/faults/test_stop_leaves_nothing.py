"""After a stop nothing of a service is left, however it hides; and what cannot be ended is told, not forgotten."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab, alive, until

pytestmark = pytest.mark.e2e

FREEZER = Path("/sys/fs/cgroup/freezer")

#: name → a shell that leaves something behind, and how many processes it must have before it is stopped
HIDERS = {
    "ignoring": (2, """trap '' TERM; sh -c "trap '' TERM; while :; do sleep 1; done" & while :; do sleep 1; done"""),
    "session": (2, """setsid sh -c "trap '' TERM HUP; while :; do sleep 1; done" & exec sleep 1000"""),
    "double": (2, """sh -c 'setsid sh -c "trap \\"\\" TERM HUP; sleep 1000; :" & exit 0'; exec sleep 1000"""),
    "stopped": (2, """sh -c 'kill -STOP $$; exec sleep 1000' & exec sleep 1000"""),
    "leader_stopped": (1, """kill -STOP $$; exec sleep 1000"""),
}


def stack(name: str, script: str, timeout: str = "300ms", more: str = "") -> str:
    lines = "".join(f"        {line}\n" for line in script.splitlines())
    return (
        f"services:\n  {name}:\n    target:\n      type: process\n      shell: |\n{lines}"
        f"    stop: {{timeout: {timeout}}}\n{more}"
    )


@pytest.mark.parametrize("name", HIDERS)
def test_nothing_is_left(lab: Lab, name: str) -> None:
    count, script = HIDERS[name]
    lab.stack(stack(name, script))
    lab.boot()
    lab.start(wait=False)
    until(lambda: len(lab.carriers(name)) >= count, "all of it to run")
    time.sleep(0.1)  # a moment for traps and sessions to be set up
    result = lab.stop()
    assert result["ok"]
    assert lab.carriers(name) == []
    assert lab.row(name)["phase"] == "stopped"


def test_a_daemon_that_forks_twice_and_leaves_is_ended_with_what_it_left(lab: Lab) -> None:
    script = "sh -c 'setsid sleep 1000 & exit 0'; sleep 0.2; exit 0"
    lab.stack(stack("forker", script, more="    restart: no\n"))
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.row("forker")["phase"] == "completed", "its end")
    assert lab.carriers("forker") == []


def test_what_a_dead_leader_left_is_gone_before_the_next_life(lab: Lab) -> None:
    script = "setsid sleep 1000 & echo $$ >> forker.births; sleep 0.1; exit 1"
    lab.stack(stack("forker", script, more="    restart: {delay: 10ms, burst: 3}\n"))
    lab.boot()
    lab.start(wait=False)
    until(lambda: lab.row("forker")["phase"] == "failed", "it to be given up")
    assert len(lab.births("forker")) == 3
    assert lab.carriers("forker") == []


@pytest.fixture
def freezer() -> Iterator[Path]:
    if not os.access(FREEZER, os.W_OK) or not (FREEZER / "tasks").exists():
        pytest.skip("no writable cgroup freezer (version 1): run as root where it is mounted")
    group = FREEZER / f"harness-faults-{os.getpid()}"
    group.mkdir()
    yield group
    (group / "freezer.state").write_text("THAWED")
    until(lambda: not (group / "tasks").read_text().split(), "the group to be empty")
    group.rmdir()


def test_a_frozen_process_is_thawed_and_ended(lab: Lab, freezer: Path) -> None:
    lab.stack(stack("frozen", "exec sleep 1000"))
    lab.boot()
    lab.start()
    pid = lab.row("frozen")["pid"]
    (freezer / "tasks").write_text(str(pid))
    (freezer / "freezer.state").write_text("FROZEN")
    assert lab.stop()["ok"]
    assert not alive(pid)


def test_what_cannot_be_ended_is_told_and_holds_nobody_up(lab: Lab, freezer: Path) -> None:
    lab.stack(
        stack("frozen", "exec sleep 1000")
        + "  other: {target: {type: process, shell: '{actor} other'}, stop: {timeout: 300ms}}\n"
    )
    lab.boot()
    lab.start()
    pid = lab.row("frozen")["pid"]
    # below a group that is frozen itself: what we may thaw does not help
    inner = freezer / "inner"
    inner.mkdir()
    (inner / "tasks").write_text(str(pid))
    (freezer / "freezer.state").write_text("FROZEN")
    try:
        began = time.monotonic()
        assert lab.stop("other")["ok"]
        assert time.monotonic() - began < 5
        lab.stop("frozen", wait=False)
        row = until(lambda: (r := lab.row("frozen"))["reason_code"] == "unkillable" and r, "it to be told", 15)
        assert row["phase"] == "stopping"
        assert str(pid) in row["reason"]
        assert alive(pid)
        lab.start("other")
        lab.kill()
        lab.boot()
        assert lab.row("frozen")["phase"] in ("unknown", "stopping")
    finally:
        (freezer / "freezer.state").write_text("THAWED")
    until(lambda: lab.row("frozen")["phase"] == "stopped", "its end once it can", 30)
    assert not alive(pid)
    inner.rmdir()


def test_a_stop_survives_a_daemon_that_dies_at_every_stage_of_it(lab: Lab) -> None:
    count, script = HIDERS["session"]
    lab.stack(stack("session", script, timeout="1s"))
    lab.boot()
    for pause in (0.0, 0.05, 0.5, 1.05):
        lab.start(wait=False)
        until(lambda: len(lab.carriers("session")) >= count, "all of it to run")
        lab.stop(wait=False)
        time.sleep(pause)
        lab.kill()
        if pause == 0.5 and (leaders := lab.copies("session")):
            os.kill(leaders[0], signal.SIGKILL)  # what hides in another session has lost its parent
        lab.boot()
        until(lambda: lab.row("session")["phase"] == "stopped", "the stop")
        assert lab.carriers("session") == []
